"""Optuna's samplers behind NNI's ``Strategy`` interface: they maximise, and they know every kind of NNI mutable."""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import optuna
from nni.mutable import Categorical, CategoricalMultiple, Numerical
from nni.nas.execution.engine import ExecutionEngine
from nni.nas.execution.event import ModelEventType, TrainingEndEvent
from nni.nas.space import ExecutableModelSpace, ModelStatus
from nni.nas.strategy.base import Strategy
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.study import StudyDirection
from optuna.trial import Trial, TrialState, create_trial

from strategies import StrategyError
from strategies.engine import RejectedEvent, sample_key

MAX_SUBSETS = 256  # more subsets than this are described item by item
MAX_MOVES = 100  # away from a sample that is known


def tpe(*, seed: int, trials: int, open_trials: int = 1) -> OptunaStrategy:
    """Tree-structured Parzen estimator (Bergstra et al. 2011); a quarter of the trials, at most 20, are random at first.

    Where several trials are open at once, those count as bad ones until they end (constant liar), so that the next is sought elsewhere.
    """
    first = max(2, min(20, trials // 4))
    sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=first, constant_liar=open_trials > 1)
    return OptunaStrategy(sampler, explore=np.random.RandomState(seed))


def gaussian_process(*, seed: int, trials: int, open_trials: int = 1) -> OptunaStrategy:
    """Gaussian process with expected improvement; a quarter of the trials, at most 20, are random at first.

    Scores count as free of noise, as a repeat is answered from the record and brings the same one: with noise assumed, the process takes
    the few percent between good networks for it (docs/results.md).
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)  # the argument is; the sampler is not
        sampler = optuna.samplers.GPSampler(seed=seed, n_startup_trials=max(2, min(20, trials // 4)), deterministic_objective=True)
    return OptunaStrategy(sampler)


def nsga2(*, seed: int, trials: int, open_trials: int = 1, costs: Sequence[str] = ()) -> OptunaStrategy:
    """NSGA-II (Deb et al. 2002), a quarter of the trials a generation: the score, and ``costs``, names of facts to be small."""
    sampler = optuna.samplers.NSGAIISampler(seed=seed, population_size=max(4, min(50, trials // 4)))
    return OptunaStrategy(sampler, explore=np.random.RandomState(seed), costs=costs)


class _Encoder:
    """One NNI mutable as Optuna parameters: ``distributions`` by name, and the translation of values both ways."""

    distributions: dict[str, BaseDistribution]

    def decode(self, parameters: Mapping[str, Any]) -> Any:
        raise NotImplementedError

    def encode(self, value: Any) -> dict[str, Any]:
        raise NotImplementedError


class _OneOf(_Encoder):
    """One of a list of values of any type, by position."""

    def __init__(self, label: str, values: list[Any]) -> None:
        self._label, self._values = label, values
        self.distributions = {label: CategoricalDistribution(range(len(values)))}

    def decode(self, parameters: Mapping[str, Any]) -> Any:
        return self._values[parameters[self._label]]

    def encode(self, value: Any) -> dict[str, Any]:
        return {self._label: self._values.index(value)}


class _Subset(_Encoder):
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


class _Number(_Encoder):
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


def make_encoder(label: str, mutable: Any) -> _Encoder:
    """The Optuna form of an NNI mutable; raises ``StrategyError`` for a kind that has none."""
    if isinstance(mutable, CategoricalMultiple):
        values, n_chosen = list(mutable.values), mutable.n_chosen
        if n_chosen is not None and math.comb(len(values), n_chosen) <= MAX_SUBSETS:
            return _OneOf(label, [list(subset) for subset in itertools.combinations(values, n_chosen)])
        return _Subset(label, values, n_chosen)
    if isinstance(mutable, Categorical):
        return _OneOf(label, list(mutable.values))
    if isinstance(mutable, Numerical):
        return _Number(label, mutable)
    raise StrategyError(f"{label}: TPE cannot search a {type(mutable).__name__}; it knows choices, subsets and numbers")


class OptunaStrategy(Strategy):
    """Asks an Optuna sampler for samples and tells it their scores, higher is better.

    What the engine already holds when the search starts (say, the default configuration) is told to the sampler first. A failed trial is
    told as failed: samplers leave it out. A pruned trial is told as pruned, with its curve, which TPE ranks behind the completed ones and
    before those that were pruned earlier. A sample that the engine rejects is told as pruned with a violated constraint: behind all others,
    the least violating first, so that TPE learns to stay inside. None of these counts as a low score.

    Parameters
    ----------
    sampler
        One of Optuna's.
    explore
        Draws a new sample near one that the sampler repeats; ``None``: repeats go to the engine, which answers them from its record. A
        Gaussian process wants the latter: told again, it is sure of that place and moves on, where TPE would only come back more often.
    costs
        Further objectives, lower is better: names of facts that the engine has of every trial (``InProcessEngine.facts_of``).
    """

    def __init__(
        self, sampler: optuna.samplers.BaseSampler, *, explore: np.random.RandomState | None = None, costs: Sequence[str] = ()
    ) -> None:
        super().__init__()
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        directions = [StudyDirection.MAXIMIZE] + [StudyDirection.MINIMIZE] * len(costs)
        self._study = optuna.create_study(directions=directions, sampler=sampler)
        self._costs = tuple(costs)
        self._encoders: dict[str, _Encoder] = {}
        self._running: dict[int, Trial] = {}
        self._asked: set[str] = set()
        self._explore = explore

    @property
    def study(self) -> optuna.Study:
        """The Optuna study of this search."""
        return self._study

    def extra_repr(self) -> str:
        return f"sampler={type(self._study.sampler).__name__}"

    def _initialize(self, model_space: ExecutableModelSpace, engine: ExecutionEngine) -> ExecutableModelSpace:
        self._encoders = {label: make_encoder(label, mutable) for label, mutable in model_space.simplify().items()}
        engine.register_model_event_callback(ModelEventType.TrainingEnd, self._on_end)
        for model in engine.list_models():
            if model.status == ModelStatus.Trained:
                self._learn(model)
        return model_space

    @property
    def _distributions(self) -> dict[str, BaseDistribution]:
        return {name: distribution for encoder in self._encoders.values() for name, distribution in encoder.distributions.items()}

    def _learn(self, model: ExecutableModelSpace) -> None:
        assert model.sample is not None
        parameters = {
            name: value for label, encoder in self._encoders.items() for name, value in encoder.encode(model.sample[label]).items()
        }
        self._study.add_trial(create_trial(params=parameters, distributions=self._distributions, values=self._values(model)))

    def _values(self, model: ExecutableModelSpace) -> list[float]:
        """The score and the costs of a trained model."""
        if not self._costs:
            return [model.metric]
        engine: Any = self.engine
        facts = engine.facts_of(model.sample)
        return [model.metric, *(float(facts[name]) for name in self._costs)]

    def _run(self) -> None:
        distributions = self._distributions
        while self.wait_for_resource():
            trial, sample = self._ask(distributions)
            model = self.model_space.freeze(sample)
            self._running[id(model)] = trial
            self.engine.submit_models(model)
        self.engine.wait_models()

    def _ask(self, distributions: dict[str, BaseDistribution]) -> tuple[Trial, dict[str, Any]]:
        """The sampler's next sample; where it repeats itself and ``explore`` is given, a new one beside what it proposed."""
        trial = self._study.ask(distributions)
        sample = self._decode(trial.params)
        if self._explore is not None and sample_key(sample) in self._asked:
            moved = self._move_away(trial.params, distributions, self._explore)
            self._study.tell(trial, state=TrialState.FAIL)
            self._study.enqueue_trial(moved)
            trial = self._study.ask(distributions)
            sample = self._decode(trial.params)
        self._asked.add(sample_key(sample))
        return trial, sample

    def _decode(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        return {label: encoder.decode(parameters) for label, encoder in self._encoders.items()}

    def _move_away(
        self, parameters: Mapping[str, Any], distributions: Mapping[str, BaseDistribution], random: np.random.RandomState
    ) -> dict[str, Any]:
        """``parameters`` with one choice after another drawn anew until they are a new sample, or until patience ends."""
        moved = dict(parameters)
        choices = {name: choice for name, choice in distributions.items() if isinstance(choice, CategoricalDistribution)}
        for _ in range(MAX_MOVES if choices else 0):
            name = list(choices)[random.randint(len(choices))]
            moved[name] = choices[name].choices[random.randint(len(choices[name].choices))]
            if sample_key(self._decode(moved)) not in self._asked:
                break
        return moved

    def _on_end(self, event: TrainingEndEvent) -> None:
        trial = self._running.pop(id(event.model), None)
        if trial is None:  # submitted before the search
            if event.status == ModelStatus.Trained:
                self._learn(event.model)
            return
        if event.status == ModelStatus.Trained:
            self._study.tell(trial, self._values(event.model))
        elif isinstance(event, RejectedEvent):
            trial.set_constraint("allowed", event.excess)
            self._study.tell(trial, state=TrialState.PRUNED)
        elif event.status == ModelStatus.Interrupted:
            for epoch, score in enumerate(event.model.metrics.intermediates, start=1):
                trial.report(score, epoch)
            self._study.tell(trial, state=TrialState.PRUNED)
        else:
            self._study.tell(trial, state=TrialState.FAIL)

    def _cleanup(self) -> None:
        self.engine.unregister_model_event_callback(ModelEventType.TrainingEnd, self._on_end)
