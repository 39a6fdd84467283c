"""NNI's mutables as parameters of Optuna's."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from nni.mutable import Categorical, CategoricalMultiple, Numerical
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution

from common.errors import StrategyError

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
