"""NNI's mutables as parameters of Optuna's."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Container, Mapping
from typing import Any

import numpy as np
from nni.mutable import Categorical, CategoricalMultiple, Numerical
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution

from common.errors import StrategyError
from common.numbers import is_real

Usual = Callable[[Mapping[str, Any]], Mapping[str, float]]

FACTOR = 10.0  # how far from its usual value a number is looked for, either way
DIGITS = 6  # of such a number; so few come back the same through a logarithm
MAX_SUBSETS = 256  # more subsets than this are described item by item


def draw_value(distribution: BaseDistribution, random: np.random.RandomState) -> Any:
    """Return a value of a parameter of Optuna's, drawn evenly over its choices, or over its range on its own scale."""
    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices[random.randint(len(distribution.choices))]
    assert isinstance(distribution, FloatDistribution), "make_encoder has these two"
    if distribution.step is not None:
        steps = round((distribution.high - distribution.low) / distribution.step)
        return distribution.low + distribution.step * random.randint(steps + 1)
    if distribution.log:
        return math.exp(random.uniform(math.log(distribution.low), math.log(distribution.high)))
    return random.uniform(distribution.low, distribution.high)


class Encoder:
    """One NNI mutable as Optuna parameters: ``distributions`` by name, and the translation of values both ways."""

    distributions: dict[str, BaseDistribution]

    def decode(self, parameters: Mapping[str, Any]) -> Any:
        """Return the mutable's value of Optuna's parameters."""
        raise NotImplementedError

    def encode(self, value: Any) -> dict[str, Any]:
        """Return Optuna's parameters of the mutable's value."""
        raise NotImplementedError


class _OneOf(Encoder):
    """One of a list of values of any type, by position."""

    def __init__(self, label: str, values: list[Any]) -> None:
        self._label, self._values = label, values
        self.distributions = {label: CategoricalDistribution(range(len(values)))}

    def decode(self, parameters: Mapping[str, Any]) -> Any:
        return self._values[parameters[self._label]]

    def encode(self, value: Any) -> dict[str, Any]:
        return {self._label: self._values.index(value)}


class _OneOfOrdered(Encoder):
    """One of a list of numbers, by its place in their order: neighbours are alike, and their distances do not matter."""

    def __init__(self, label: str, values: list[Any]) -> None:
        self._label, self._values = label, sorted(values)
        self.distributions = {label: FloatDistribution(0.0, len(values) - 1.0, step=1.0)}

    def decode(self, parameters: Mapping[str, Any]) -> Any:
        return self._values[round(parameters[self._label])]

    def encode(self, value: Any) -> dict[str, Any]:
        return {self._label: float(self._values.index(value))}


class _Subset(Encoder):
    """``n_chosen`` of many values: a rank for each value, of which the highest ``n_chosen`` count; any number: a switch for each."""

    def __init__(self, label: str, values: list[Any], n_chosen: int | None) -> None:
        self._names, self._values, self._n_chosen = [f"{label}/{index}" for index in range(len(values))], values, n_chosen
        distribution = CategoricalDistribution([False, True]) if n_chosen is None else FloatDistribution(0.0, 1.0)
        self.distributions = dict.fromkeys(self._names, distribution)

    def decode(self, parameters: Mapping[str, Any]) -> list[Any]:
        if self._n_chosen is None:
            return [value for name, value in zip(self._names, self._values, strict=True) if parameters[name]]
        ranked = sorted(range(len(self._values)), key=lambda index: -parameters[self._names[index]])
        return [self._values[index] for index in sorted(ranked[: self._n_chosen])]

    def encode(self, value: Any) -> dict[str, Any]:
        chosen = [candidate in value for candidate in self._values]
        if self._n_chosen is None:
            return dict(zip(self._names, chosen, strict=True))
        return {name: 0.75 if is_chosen else 0.25 for name, is_chosen in zip(self._names, chosen, strict=True)}


class _Number(Encoder):
    """A numerical mutable: uniform and log-uniform ones as they are, every other distribution by its quantile."""

    def __init__(self, label: str, mutable: Numerical) -> None:
        self._label, self._mutable = label, mutable
        # Whole numbers of NNI's files are drawn from a range that is wider than their bounds by a half on both sides: not as it is.
        whole = getattr(mutable, "whole", False)
        bounded = math.isfinite(mutable.low) and math.isfinite(mutable.high) and mutable.mu is None and not whole
        self._direct = bounded and mutable.distribution.dist.name in ("uniform", "loguniform", "reciprocal")
        if self._direct:
            self.distributions = {label: FloatDistribution(mutable.low, mutable.high, log=mutable.log_distributed)}
        else:
            self.distributions = {label: FloatDistribution(1e-6, 1 - 1e-6)}

    def decode(self, parameters: Mapping[str, Any]) -> float:
        value = parameters[self._label]
        number = self._mutable.qclip(value if self._direct else self._mutable.distribution.ppf(value))
        return number if isinstance(number, int) else float(number)

    def encode(self, value: Any) -> dict[str, Any]:
        if self._direct:
            return {self._label: value}
        return {self._label: min(1 - 1e-6, max(1e-6, float(self._mutable.distribution.cdf(value))))}


def make_encoder(label: str, mutable: Any) -> Encoder:
    """Return the Optuna form of an NNI mutable; raise ``StrategyError`` for a kind that has none.

    A choice with the attribute ``ordered`` (``spaces.ordered_choices``) has numbers, whose order the sampler is to use.
    """
    if isinstance(mutable, CategoricalMultiple):
        values, n_chosen = list(mutable.values), mutable.n_chosen
        if n_chosen is not None and math.comb(len(values), n_chosen) <= MAX_SUBSETS:
            return _OneOf(label, [list(subset) for subset in itertools.combinations(values, n_chosen)])
        return _Subset(label, values, n_chosen)
    if isinstance(mutable, Categorical):
        return (_OneOfOrdered if getattr(mutable, "ordered", False) else _OneOf)(label, list(mutable.values))
    if isinstance(mutable, Numerical):
        return _Number(label, mutable)
    raise StrategyError(f"{label}: this strategy cannot search a {type(mutable).__name__}; it knows choices, subsets and numbers")


class _NearUsual:
    """A number by its distance from the usual one, on a log scale.

    0 is the usual number, 1 is ``FACTOR`` times it, or the upper end of the range where that is nearer; -1 likewise downwards. What is
    farther away is encoded as if it were there.
    """

    def __init__(self, label: str, mutable: Numerical) -> None:
        self._label, self._mutable = label, mutable
        self.distributions: dict[str, BaseDistribution] = {label: FloatDistribution(-1.0, 1.0)}

    def decode(self, parameters: Mapping[str, Any], usual: Mapping[str, Any]) -> float:
        distance = parameters[self._label]
        centre = self._centre(usual)
        value = centre * (self._end(centre, distance) / centre) ** abs(distance)
        number = self._mutable.qclip(float(f"{value:.{DIGITS}g}"))
        return number if isinstance(number, int) else float(number)

    def encode(self, value: Any, usual: Mapping[str, Any]) -> dict[str, Any]:
        centre = self._centre(usual)
        ratio = math.log(value / centre)
        end = math.log(self._end(centre, ratio) / centre)
        return {self._label: math.copysign(min(1.0, ratio / end), ratio) if end else 0.0}

    def _centre(self, usual: Mapping[str, Any]) -> float:
        told = usual.get(self._label)
        if not is_real(told):
            raise StrategyError(f"`usual` of the space tells {told!r} as the usual value of {self._label}; expected a number")
        return float(min(self._mutable.high, max(self._mutable.low, told)))

    def _end(self, centre: float, direction: float) -> float:
        """Return how far numbers go from ``centre`` in a direction, which is above or below 0."""
        return float(min(self._mutable.high, centre * FACTOR) if direction > 0 else max(self._mutable.low, centre / FACTOR))


class SampleEncoder:
    """The samples of a space as Optuna's parameters, and back.

    Parameters
    ----------
    mutables
        NNI's, by label.
    usual
        Tells of a sample, by label, the usual values of numbers, the same labels for every sample. Such a number, where its range is
        bounded and above 0, is modelled by its distance from the usual one; ``None``: none is.

    Attributes
    ----------
    distributions
        Of all parameters, by name.
    """

    def __init__(self, mutables: Mapping[str, Any], usual: Usual | None = None) -> None:
        told = {} if usual is None else usual({label: mutable.default() for label, mutable in mutables.items()})
        self._usual: Usual = (lambda sample: {}) if usual is None else usual
        self._near = {label: _NearUsual(label, mutable) for label, mutable in mutables.items() if label in told and _is_positive(mutable)}
        self._others = {label: make_encoder(label, mutable) for label, mutable in mutables.items() if label not in self._near}
        self._labels = list(mutables)
        parts = [(self._near.get(label) or self._others[label]).distributions for label in self._labels]
        self.distributions = {name: distribution for part in parts for name, distribution in part.items()}

    def decode(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Return the sample of Optuna's parameters: what usual values depend on comes first, then the numbers near them."""
        sample = {label: encoder.decode(parameters) for label, encoder in self._others.items()}
        if self._near:
            usual = self._usual(sample)
            sample |= {label: near.decode(parameters, usual) for label, near in self._near.items()}
        return {label: sample[label] for label in self._labels}

    def encode(self, sample: Mapping[str, Any], skip: Container[str] = ()) -> dict[str, Any]:
        """Return Optuna's parameters of a sample, without those of the labels ``skip``."""
        usual = self._usual(sample) if self._near else {}
        parameters: dict[str, Any] = {}
        for label in self._labels:
            if label not in skip:
                near = self._near.get(label)
                parameters |= self._others[label].encode(sample[label]) if near is None else near.encode(sample[label], usual)
        return parameters


def _is_positive(mutable: Any) -> bool:
    """Return whether a mutable is a number of a bounded range above 0."""
    return isinstance(mutable, Numerical) and mutable.low > 0 and math.isfinite(mutable.high)
