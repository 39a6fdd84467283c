"""The architectures nearest to the one that is read off, by the weights of operations: for short trainings to choose among."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

from common.trial import sample_key
from strategies.one_shot.cell_reader import CellReader
from strategies.one_shot.search_epoch import NONE, SearchEpoch
from strategies.one_shot.selection import Sample, Scorer, Selected, Selection


class Nearest(Selection):
    """Keeps what is read off, and names those architectures in which one operation is another.

    Near is by the weights by which it was read off. They are scored by inherited weights, for people to read: that chooses nothing.

    Parameters
    ----------
    scorer
        Scores them.
    number
        How many architectures there are at most, 1 or more, the one that is read off included.
    canonical
        From an architecture to the one that stands for all that build the same network.
    """

    scores_networks = True

    def __init__(self, *, scorer: Scorer, number: int, canonical: Callable[[Sample], Mapping[str, Any]]) -> None:
        super().__init__()
        self._scorer, self._number, self._canonical = scorer, number, canonical

    def finish(self, epoch: SearchEpoch, reader: CellReader) -> Selected:
        with_inputs = {edge for edges in self.supernet.input_edges.values() for edge in edges}
        found: dict[str, Sample] = {}
        others = one_operation_off(epoch.sample, reader.weights(epoch.probabilities), without_none=with_inputs)
        most = reader.excess_skips(epoch.sample)
        for sample in [epoch.sample, *(other for other in others if reader.excess_skips(other) <= most)]:
            found.setdefault(sample_key(dict(self._canonical(sample))), sample)
        nearest = list(found.items())[: self._number]
        return Selected(epoch.sample, [(sample, self._scorer.of_sample(key, self.supernet, sample)) for key, sample in nearest])


def one_operation_off(sample: Sample, weights: Mapping[str, Mapping[Any, float]], *, without_none: Collection[str] = ()) -> list[Sample]:
    """Return the architectures in which one operation of ``sample`` is another, the nearest first.

    Near is where the weight of the other operation is little less than that of the one in its place.

    Parameters
    ----------
    weights
        By label and operation; those of choices between inputs are left alone.
    without_none
        Labels of edges that no ``none`` can take, as nodes choose their inputs otherwise.
    """
    others = [
        (known[sample[label]] - weight, {**sample, label: operation})
        for label, known in weights.items()
        if label in sample and not isinstance(sample[label], list) and sample[label] in known
        for operation, weight in known.items()
        if operation != sample[label] and not (operation == NONE and label in without_none)
    ]
    return [other for _, other in sorted(others, key=lambda pair: pair[0])]
