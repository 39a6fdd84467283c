"""Bayesian optimisation over what networks compute, which neither NNI nor Optuna has: their Gaussian processes see labels alone.

A Gaussian process (scikit-learn's) predicts the score of a sample from features, and the sample with the highest expected improvement
(Jones, Schonlau and Welch 1998) is tried next. Where a space says what its architectures compute (``surrogate_features``), such as the
paths through a cell, those are the features: they are equal for equal networks, whatever their labels (White, Neiswanger and Savani 2021,
*BANANAS*, arXiv 1910.11858). Scores below the median count by their rank alone, so that the few percent between good networks are not
lost beside the bad ones (half-rank warping; Song et al. 2024, *The Vizier Gaussian process bandit algorithm*, arXiv 2408.11527).
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from nni.mutable import Categorical, CategoricalMultiple
from nni.nas.execution.engine import ExecutionEngine
from nni.nas.execution.event import ModelEventType, TrainingEndEvent
from nni.nas.space import ExecutableModelSpace, ModelStatus
from nni.nas.strategy.base import Strategy
from optuna.distributions import CategoricalDistribution, FloatDistribution
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_extraction import DictVectorizer
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel

from common.trial import sample_key
from strategies.checkpoint import as_plain, generator_state, restore_generator
from strategies.domain import MAX_DRAWS, MAX_LISTED, Domain, plain_sample
from strategies.engines.recording import ContinuedEvent, RejectedEvent
from strategies.expected_improvement import log_expected_improvement, warp
from strategies.local_search import neighbour_values
from strategies.optuna.encoders import SampleEncoder, Usual, draw_value

Features = Callable[[Mapping[str, Any]], Mapping[str, float]]

RANGE = 4.0  # so that the kernel, whose length is bounded, can tell places in a range apart
DRAWN, PARENTS, NEIGHBOURS = 500, 5, 300  # else: random samples, and neighbours of the best so far
NOISE = 1e-3  # of a score, as a share of the variance of all
# The length is not let fall further: where neighbours tell nothing of one another any more, every new score confirms that.
KERNEL = ConstantKernel(1.0, (1e-2, 1e2)) * RBF(2.0, (0.5, 20.0))
FITTED_EVERY = 4  # the kernel's parameters are fitted anew after so many suggestions
MAX_OBSERVED = 500  # the best half and the newest half of so many: the cost of a suggestion grows with their cube


def bayesian(*, seed: int, trials: int, **options: Any) -> BayesianSearch:
    """Return Bayesian optimisation after a quarter of the trials, at most ten, at random; ``options`` are ``BayesianSearch``'s."""
    return BayesianSearch(seed=seed, startup=max(2, min(10, trials // 4)), **options)


@dataclass(frozen=True)
class _Observation:
    sample: dict[str, Any]
    description: dict[str, float]
    score: float


class _Candidates:
    """Samples that may be tried, and their descriptions as the rows of a table."""

    def __init__(self, samples: Sequence[dict[str, Any]], describe: Callable[[Mapping[str, Any]], dict[str, float]]) -> None:
        self.samples = samples
        self._vectorizer = DictVectorizer(sparse=False)
        self._table = self._vectorizer.fit_transform([describe(sample) for sample in samples])
        self._positions = {sample_key(sample): position for position, sample in enumerate(samples)}
        self._is_new = np.ones(len(samples), dtype=bool)

    def take_out(self, keys: Collection[str]) -> None:
        self._is_new[[self._positions[key] for key in keys if key in self._positions]] = False

    @property
    def new(self) -> np.ndarray:
        """Positions of the samples that were not taken out."""
        return np.flatnonzero(self._is_new)

    def rows(self, descriptions: Sequence[Mapping[str, float]]) -> np.ndarray:
        """Return [n, number of names]: what no candidate has is left out, as it is equally far from all."""
        return self._vectorizer.transform(descriptions) if descriptions else np.empty((0, self._table.shape[1]))

    def table(self, positions: np.ndarray) -> np.ndarray:
        return self._table[positions]


class BayesianSearch(Strategy):
    """Asks a Gaussian process where the next improvement is to be expected.

    What the engine already holds when the search starts (say, the default configuration) counts among the random trials at the start. A
    failed trial tells nothing; a pruned one counts with its last score, a sample that the engine rejects as bad as the worst. A trial that
    still runs is taken to end as predicted. Nothing is submitted twice, and nothing that the constraints of the space forbid; where all
    samples were tried, the search ends.

    Parameters
    ----------
    startup
        Number of random trials before the process is asked.
    features
        Numbers by name that say of a sample what its network computes (names that are left out count as 0), of the labels ``described``;
        every other label is described by its value: a choice by a number for each candidate, a number by its place in its range.
    canonical
        Maps a sample to the one that stands for all that mean the same.
    usual
        As ``SampleEncoder`` takes it.
    """

    def __init__(
        self,
        *,
        seed: int = 0,
        startup: int = 10,
        features: Features | None = None,
        described: Collection[str] = (),
        canonical: Callable[[dict[str, Any]], dict[str, Any]] = dict,
        usual: Usual | None = None,
    ) -> None:
        super().__init__()
        self._random, self._startup = np.random.RandomState(seed), startup
        self._features, self._described = features, set(described) if features is not None else set()
        self._canonical, self._usual = canonical, usual
        self._encoder = SampleEncoder({})
        self._tried: set[str] = set()
        self._restored: frozenset[str] = frozenset()  # what was tried by an earlier search
        self._pending: dict[int, dict[str, Any]] = {}
        self._observed: list[_Observation] = []
        self._rejected: list[dict[str, float]] = []
        self._all: _Candidates | None = None
        self._kernel, self._asked = KERNEL, 0

    def extra_repr(self) -> str:
        return f"startup={self._startup}"

    def _initialize(self, model_space: ExecutableModelSpace, engine: ExecutionEngine) -> ExecutableModelSpace:
        self._domain = Domain(model_space)
        self._encoder = SampleEncoder(self._domain.mutables, self._usual)
        engine.register_model_event_callback(ModelEventType.TrainingEnd, self._on_end)
        for model in engine.list_models():
            if sample_key(self._domain.chosen(model.sample or {})) not in self._restored:
                self._note(model, None)
        return model_space

    def _run(self) -> None:
        samples = list({sample_key(sample): sample for sample in map(self._canonical, self._list_all())}.values())
        self._all = _Candidates(samples, self._describe) if samples else None
        while self.wait_for_resource():
            sample = self._draw() if len(self._observed) + len(self._pending) < self._startup else self._suggest()
            if sample is None:
                break
            model = self.model_space.freeze(dict(sample))
            self._tried.add(sample_key(sample))
            self._pending[id(model)] = sample
            self.engine.submit_models(model)
        self.engine.wait_models()

    def _list_all(self) -> Iterable[dict[str, Any]]:
        """Return all samples, where they are not too many."""
        are_choices = all(
            isinstance(mutable, Categorical | CategoricalMultiple) and getattr(mutable, "n_chosen", 1) is not None
            for mutable in self._domain.mutables.values()
        )
        return self._domain.list_all() if are_choices and self._domain.count <= MAX_LISTED else ()

    def _draw(self) -> dict[str, Any] | None:
        """Return a random sample that is new; ``None`` where none is found."""
        for _ in range(MAX_DRAWS):
            # Not by NNI's `random`, which checks each draw and takes a millisecond: hundreds are drawn for one suggestion.
            drawn = {name: draw_value(each, self._random) for name, each in self._encoder.distributions.items()}
            sample = self._canonical(plain_sample(self._encoder.decode(drawn)))
            if sample_key(sample) not in self._tried and self._domain.allows(sample):
                return sample
        return self._draw_allowed() if self._domain.is_constrained else None

    def _draw_allowed(self) -> dict[str, Any] | None:
        drawn = self._domain.draw(self._random, self._tried)
        found = None if drawn is None else self._canonical(drawn)
        return None if found is None or sample_key(found) in self._tried else found

    def _suggest(self) -> dict[str, Any] | None:
        """Return the new sample of the highest expected improvement; ``None`` where there is none."""
        candidates = self._all or self._draw_candidates()
        candidates.take_out(self._tried)
        new = candidates.new
        if len(new) == 0 or len(self._observed) < 2:
            return self._draw()
        kept = self._kept()
        scores = [observation.score for observation in kept]
        known = candidates.rows([*(observation.description for observation in kept), *self._rejected])
        targets = warp(np.array(scores + [min(scores)] * len(self._rejected)))
        process = self._fit(known, targets)
        if self._pending:
            pending = candidates.rows([self._describe(sample) for sample in self._pending.values()])
            believed = np.concatenate([targets, process.predict(pending)])
            process = self._make_process(fitted=False).fit(np.concatenate([known, pending]), believed)
        mean, deviation = process.predict(candidates.table(new), return_std=True)
        improvement = log_expected_improvement(mean, np.maximum(deviation, 1e-9), targets.max())
        return candidates.samples[new[int(np.argmax(improvement))]]

    def _draw_candidates(self) -> _Candidates:
        """Return random samples, and the best so far with one choice changed."""
        samples: list[dict[str, Any]] = []
        for _ in range(DRAWN):
            if (sample := self._draw()) is not None:
                samples.append(sample)
            elif self._domain.is_constrained:
                break  # what was sought so long, and in vain, is not sought again
        neighbours = [
            self._canonical({**parent.sample, label: value})
            for parent in sorted(self._observed, key=lambda observation: -observation.score)[:PARENTS]
            for label, mutable in self._domain.mutables.items()
            for value in neighbour_values(mutable, parent.sample[label])
        ]
        chosen = self._random.permutation(len(neighbours))[:NEIGHBOURS]
        allowed = (neighbours[index] for index in chosen if self._domain.allows(neighbours[index]))
        unique = {sample_key(sample): sample for sample in [*samples, *allowed]}
        return _Candidates(list(unique.values()), self._describe)

    def _kept(self) -> Sequence[_Observation]:
        """Return what the process is told of: all, unless that would take long."""
        if len(self._observed) <= MAX_OBSERVED:
            return self._observed
        half = MAX_OBSERVED // 2
        return [*sorted(self._observed[:-half], key=lambda observation: -observation.score)[:half], *self._observed[-half:]]

    def _fit(self, inputs: np.ndarray, targets: np.ndarray) -> GaussianProcessRegressor:
        is_due = self._asked % FITTED_EVERY == 0
        if is_due:
            self._kernel = KERNEL  # not where the last fit ended: a few unlucky scores would hold it there
        process = self._make_process(fitted=is_due)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # a parameter at the end of its range is as good as any
            process.fit(inputs, targets)
        self._kernel = process.kernel_
        self._asked += 1
        return process

    def _make_process(self, *, fitted: bool) -> GaussianProcessRegressor:
        return GaussianProcessRegressor(self._kernel, alpha=NOISE, optimizer="fmin_l_bfgs_b" if fitted else None)

    def _describe(self, sample: Mapping[str, Any]) -> dict[str, float]:
        """Return ``sample`` as numbers by name."""
        described: dict[str, float] = {}
        if self._features is not None:
            described |= self._features({label: value for label, value in sample.items() if label in self._described})
        for name, value in self._encoder.encode(sample, skip=self._described).items():
            described |= _place(name, value, self._encoder.distributions[name])
        return described

    def _note(self, model: ExecutableModelSpace, event: TrainingEndEvent | None) -> None:
        """Learn from a model that is through; its sample is the one that stands for all that mean the same."""
        sample = self._domain.chosen(model.sample or {})
        self._tried.add(sample_key(sample))
        description = self._describe(sample)
        status = model.status if event is None else event.status
        score = model.metric if status == ModelStatus.Trained else None
        if status == ModelStatus.Interrupted and model.metrics.intermediates:
            score = model.metrics.intermediates[-1]
        if isinstance(event, RejectedEvent):
            self._rejected.append(description)
        elif score is not None and math.isfinite(score):
            self._observed.append(_Observation(sample, description, float(score)))

    def _on_end(self, event: TrainingEndEvent) -> None:
        self._pending.pop(id(event.model), None)
        if isinstance(event, ContinuedEvent):
            sample = self._domain.chosen(event.model.sample or {})
            self._observed = [observation for observation in self._observed if observation.sample != sample]
        self._note(event.model, event)

    def _cleanup(self) -> None:
        self.engine.unregister_model_event_callback(ModelEventType.TrainingEnd, self._on_end)

    def state_dict(self) -> dict[str, Any]:
        """Return what was observed, which trials still run excepted, and where the generator is, as plain data."""
        running = {sample_key(sample) for sample in self._pending.values()}
        state = {
            "random": generator_state(self._random),
            "tried": sorted(self._tried - running),
            "observed": [vars(observation) for observation in self._observed],
            "rejected": self._rejected,
        }
        return dict(as_plain(state))

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on where ``state_dict`` was given; the process is fitted anew."""
        restore_generator(self._random, state_dict["random"])
        self._restored = frozenset(state_dict["tried"])
        self._tried, self._rejected = set(state_dict["tried"]), list(state_dict["rejected"])
        self._observed = [_Observation(**told) for told in state_dict["observed"]]


def _place(name: str, value: Any, distribution: Any) -> dict[str, float]:
    """Return a parameter of Optuna's as numbers: two choices are 1 apart, the ends of a range ``RANGE``."""
    if isinstance(distribution, CategoricalDistribution):
        return {f"{name}={value}": math.sqrt(0.5)}
    assert isinstance(distribution, FloatDistribution)
    low, high = distribution.low, distribution.high
    if distribution.log:
        low, high, value = math.log(low), math.log(high), math.log(value)
    return {name: RANGE * (value - low) / (high - low) if high > low else 0.0}
