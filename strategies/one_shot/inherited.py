"""Evolutionary search by inherited weights (SPOS; Guo et al. 2020, arXiv 1904.00420, section 3.4 and algorithm 1)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from nni.nas.space import SimplifiedModelSpace

from common.trial import sample_key
from strategies.domain import MAX_DRAWS, Domain
from strategies.engines.recording import Rejection
from strategies.one_shot.restriction import Supernet
from strategies.one_shot.selection import Sample, Scorer, Selected, Selection
from strategies.search_summary import nothing_allowed

PARENTS = 10  # the best so far, of which children are made
MUTATION = 0.1  # probability that a label of a mutated child is drawn anew


class InheritedSearch(Selection):
    """Scores the first generation of random networks; each further one has half its networks crossed, and half mutated, of the best so far.

    No network is scored twice, and none that is rejected. Where too few children are left, random networks take their places; where nothing
    is left, the search ends early.

    Parameters
    ----------
    scorer
        Scores them.
    seed
        Of all that is drawn.
    population, generations
        Networks of a generation, and how many there are; the paper's 50 and 20.
    canonical
        From an architecture to the one that stands for all that build the same network.
    reject
        Tells why an architecture, one that stands for all, is not allowed, or ``None`` where it is; ``None``: all are.
    """

    scores_networks = True

    def __init__(
        self,
        *,
        scorer: Scorer,
        seed: int,
        population: int,
        generations: int,
        canonical: Callable[[Sample], Mapping[str, Any]],
        reject: Callable[[Mapping[str, Any]], Rejection | None] | None = None,
    ) -> None:
        super().__init__()
        self._scorer, self._population, self._generations, self._canonical = scorer, population, generations, canonical
        self._reject = reject
        self._rejections: dict[str, Rejection] = {}  # by key
        self._random = np.random.RandomState(seed % 2**32)
        self._scores: dict[str, tuple[Sample, float]] = {}  # by key, in the order of their draws

    def bind(self, supernet: Supernet) -> None:
        super().bind(supernet)
        self._domain = Domain(SimplifiedModelSpace(supernet.model, supernet.mutables, None))
        self._first = self._draw(self._population)  # now, so that a limit that nothing meets is told before the training
        if not self._first and self._rejections:
            raise nothing_allowed(self._rejections.values())

    def finish(self, epoch: Any = None, reader: Any = None) -> Selected:
        for generation in range(self._generations):
            children = self._first if generation == 0 else self._breed()
            if not children:
                break
            for key, sample in children.items():
                self._scores[key] = (sample, self._scorer.of_sample(key, self.supernet, sample))
        ranked = self._ranked()
        self.decided = ranked[0][0]
        return Selected(self.decided, ranked)

    def _ranked(self) -> list[tuple[Sample, float]]:
        """Return the networks and their scores, the best first."""
        return sorted(self._scores.values(), key=lambda scored: -scored[1])

    def _breed(self) -> dict[str, Sample]:
        parents = [sample for sample, _ in self._ranked()[:PARENTS]]
        half = self._population // 2
        children = self._new(half, lambda: self._cross(parents), {})
        children = self._new(2 * half, lambda: self._mutate(parents), children)
        return self._draw(self._population, children)

    def _draw(self, count: int, chosen: Mapping[str, Sample] | None = None) -> dict[str, Sample]:
        return self._new(count, lambda: self._domain.draw(self._random, ()), chosen or {})

    def _new(self, count: int, make: Callable[[], Sample | None], chosen: Mapping[str, Sample]) -> dict[str, Sample]:
        """Return ``chosen`` and what ``make`` makes beside it, by key, up to ``count``: allowed, and not scored before."""
        found, fruitless = dict(chosen), 0
        while len(found) < count and fruitless < MAX_DRAWS:
            sample = make()
            if sample is None:
                break
            canonical = self._canonical(sample)
            key = sample_key(canonical)
            fruitless += 1
            if key not in found and key not in self._scores and self._allows(key, canonical):
                found[key], fruitless = sample, 0
        return found

    def _allows(self, key: str, canonical: Mapping[str, Any]) -> bool:
        if self._reject is not None and (rejection := self._reject(canonical)) is not None:
            self._rejections[key] = rejection
        return key not in self._rejections

    def _cross(self, parents: list[Sample]) -> Sample:
        """Return a child that has each value of one of two parents."""
        first, second = (parents[self._random.randint(len(parents))] for _ in range(2))
        return {label: (first if self._random.rand() < 0.5 else second)[label] for label in first}

    def _mutate(self, parents: list[Sample]) -> Sample | None:
        """Return a child whose values are those of a parent, but for some that are drawn anew."""
        parent, drawn = parents[self._random.randint(len(parents))], self._domain.draw(self._random, ())
        return None if drawn is None else {label: drawn[label] if self._random.rand() < MUTATION else parent[label] for label in parent}
