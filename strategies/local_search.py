"""Local search, which neither NNI nor Optuna has: from the best of some random samples to a better neighbour, until there is none.

White, Nolen and Savani 2021 (*Exploring the loss landscape in neural architecture search*, arXiv 2005.02960), Algorithm 1, in the form
that moves to the first better neighbour. A neighbour differs in one choice.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from nni.mutable import Categorical, CategoricalMultiple, Numerical
from nni.nas.strategy.base import Strategy

from common.errors import StrategyError
from common.trial import sample_key
from strategies.checkpoint import generator_state, restore_generator
from strategies.domain import Domain

QUANTILE_STEPS = (-0.1, -0.02, 0.02, 0.1)  # the neighbours of a number, as steps of its cumulative distribution


def local_search(*, seed: int, trials: int) -> LocalSearch:
    """Return local search that starts from the best of a tenth of the trials, at most ten."""
    return LocalSearch(seed=seed, starts=max(1, min(10, trials // 10)))


def neighbour_values(mutable: Any, value: Any) -> list[Any]:
    """Return the values next to ``value``.

    They are any other choice; a subset with one member changed; a number one step, or up to a tenth of its range, away.

    Raises
    ------
    StrategyError
        The mutable is of a kind that has no neighbours.
    """
    if isinstance(mutable, CategoricalMultiple):
        out = [other for other in mutable.values if other not in value]
        kept = [[other for other in value if other != member] for member in value]
        if mutable.n_chosen is not None:
            return [_ordered(mutable, [*rest, other]) for rest in kept for other in out]
        return [*kept, *(_ordered(mutable, [*value, other]) for other in out)]
    if isinstance(mutable, Categorical):
        return [other for other in mutable.values if other != value]
    if isinstance(mutable, Numerical):
        quantile = float(mutable.distribution.cdf(value))
        steps = (min(1 - 1e-6, max(1e-6, quantile + step)) for step in QUANTILE_STEPS)
        values = [mutable.qclip(mutable.distribution.ppf(step)) for step in steps]
        if mutable.quantize is not None:  # a tenth of the range may be less than a step
            values += [mutable.qclip(value - mutable.quantize), mutable.qclip(value + mutable.quantize)]
        return list(dict.fromkeys(number if isinstance(number, int) else float(number) for number in values if number != value))
    raise StrategyError(f"{mutable.label}: this strategy cannot search a {type(mutable).__name__}; it knows choices, subsets and numbers")


def _ordered(mutable: CategoricalMultiple, members: list[Any]) -> list[Any]:
    return [value for value in mutable.values if value in members]


class LocalSearch(Strategy):
    """Climbs from the best of ``starts`` random samples; where no neighbour is better, begins again elsewhere.

    What the engine already holds when the search starts (say, the default configuration) is among the first starts. A failed trial is
    worse than any other. Nothing is submitted twice. What the constraints of the space forbid is no neighbour, and no start.
    """

    def __init__(self, *, seed: int = 0, starts: int = 10) -> None:
        super().__init__()
        if starts < 1:
            raise StrategyError(f"local search: starts is {starts}; expected at least 1")
        self._random, self._starts = np.random.RandomState(seed), starts
        self._scores: dict[str, float] = {}
        self._restored: list[dict[str, Any]] = []  # samples of an earlier search, by the best of which this one begins

    def extra_repr(self) -> str:
        return f"starts={self._starts}"

    def _run(self) -> None:
        self._domain = Domain(self.model_space)
        starts = list(self._restored)
        self.engine.wait_models()  # for what was submitted before the search
        for model in self.engine.list_models():
            if model.sample is not None and model.metric is not None:
                starts.append(self._domain.chosen(model.sample))
                self._scores[sample_key(starts[-1])] = model.metric
        while True:
            while len(starts) < self._starts:
                sample = self._domain.draw(self._random, self._scores)
                if sample is None or self._score(sample) is None:
                    break
                starts.append(sample)
            if not starts or not self._climb(max(starts, key=lambda start: self._scores[sample_key(start)])):
                return
            starts = []

    def _climb(self, sample: dict[str, Any]) -> bool:
        """Move to the first better neighbour until there is none; return false where the budget ended before."""
        best = self._scores[sample_key(sample)]
        better: dict[str, Any] | None = sample
        while better is not None:
            sample, better = better, None
            for neighbour in self._neighbours(sample):
                score = self._score(neighbour)
                if score is None:
                    return False
                if score > best:
                    best, better = score, neighbour
                    break
        return True

    def _neighbours(self, sample: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Yield all neighbours that are allowed, in random order."""
        mutables = self._domain.mutables
        moves = [(label, value) for label, mutable in mutables.items() for value in neighbour_values(mutable, sample[label])]
        for index in self._random.permutation(len(moves)):
            label, value = moves[index]
            neighbour = {**sample, label: value}
            if self._domain.allows(neighbour):
                yield neighbour

    def _score(self, sample: dict[str, Any]) -> float | None:
        """Return the score of ``sample``, minus infinity where its trial failed; ``None`` where the budget has ended."""
        key = sample_key(sample)
        if key not in self._scores:
            if not self.wait_for_resource():
                return None
            model = self.model_space.freeze(dict(sample))
            self.engine.submit_models(model)
            self.engine.wait_models(model)
            self._scores[key] = -math.inf if model.metric is None else model.metric
        return self._scores[key]

    def state_dict(self) -> dict[str, Any]:
        """Return the samples that were tried with their scores, and where the generator is, as plain data."""
        tried = [[json.loads(key), score] for key, score in self._scores.items()]
        return {"random": generator_state(self._random), "tried": tried}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from the best of the samples of ``state_dict``: what of its neighbours was tried is not tried again."""
        restore_generator(self._random, state_dict["random"])
        self._scores = {sample_key(sample): score for sample, score in state_dict["tried"]}
        self._restored = [sample for sample, _ in state_dict["tried"]]
