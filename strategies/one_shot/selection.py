"""What selects an architecture when the supernet is trained, in place of its largest architecture parameters."""

from __future__ import annotations

from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import nn

from common.errors import StrategyError
from strategies.one_shot.cell_reader import CellReader
from strategies.one_shot.restriction import RestrictedSupernet, Supernet, Weights
from strategies.one_shot.search_epoch import SearchEpoch

Sample = dict[str, Any]
Score = Callable[[nn.Module], float]


@dataclass(frozen=True)
class Selected:
    """What was selected.

    Attributes
    ----------
    sample
        The architecture.
    top
        The architectures that were scored whole and their accuracies by inherited weights, in [0, 1]: the best first, or the nearest.
    """

    sample: Sample
    top: list[tuple[Sample, float]]


class Scorer:
    """Scores a supernet whose choices are held, nothing twice while its weights stay as they are.

    Parameters
    ----------
    score
        Returns the accuracy of a network with the weights it has, in [0, 1].
    known
        Scores by what was scored: those of an interrupted run are in it, and each new one is put there.
    """

    def __init__(self, score: Score | None, known: MutableMapping[str, float]) -> None:
        self._score, self._known = score, known

    def of_sample(self, key: str, supernet: Supernet, sample: Sample) -> float:
        """Return the accuracy of the network of ``sample``, as ``of_weights`` does."""
        return self._once(key, supernet, lambda score: score(RestrictedSupernet(supernet, sample)))

    def of_weights(self, key: str, supernet: Supernet, weights: Weights) -> float:
        """Return the accuracy of ``supernet`` held at ``weights``, which ``key`` tells from all others.

        Raises
        ------
        StrategyError
            Nobody said how accuracies are measured.
        """

        def measure(score: Score) -> float:
            with supernet.held(weights) as model:
                return score(model)

        return self._once(key, supernet, measure)

    def _once(self, key: str, supernet: Supernet, measure: Callable[[Score], float]) -> float:
        told = f"{key} after {supernet.steps} steps"  # a resumed search may have trained on after it was scored
        if told not in self._known:
            if self._score is None:
                raise StrategyError("a selection by accuracies needs `score` in its SearchContext, as rt.search gives it")
            self._known[told] = measure(self._score)
        return self._known[told]


class Selection:
    """Selects an architecture of one supernet; this one leaves that to the architecture parameters.

    A subclass scores the supernet, and may tune it on the way, in epochs after those of the search.

    Attributes
    ----------
    scores_networks
        Whether it scores many networks, which are worth to be computed alone.
    needs_mixtures
        Whether it weighs several operations of an edge at once, so that the supernet has to compute them all.
    decided
        The part of the architecture that is selected by now.
    """

    scores_networks: ClassVar[bool] = False
    needs_mixtures: ClassVar[bool] = False

    def __init__(self) -> None:
        self.decided: Sample = {}

    def bind(self, supernet: Supernet) -> None:
        """Take the supernet of the search, before it is trained; raise ``StrategyError`` where nothing can be selected of it."""
        self.supernet = supernet

    @property
    def epochs(self) -> int:
        """How many epochs the supernet is tuned for."""
        return 0

    def begin_epoch(self, number: int) -> None:
        """Select what is to be selected before the epoch of tuning of this number, from 0."""

    def finish(self, epoch: SearchEpoch, reader: CellReader) -> Selected | None:
        """Select what is left, and return the whole; ``None`` where nothing was scored.

        ``epoch`` is what the search ended with, and ``reader`` has read its architecture off.
        """
        return None

    def state(self) -> dict[str, Any]:
        """Return plain data of which :meth:`restore` makes the selection that it was after an epoch."""
        return {}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Become the selection whose :meth:`state` this is."""
