"""Selection by perturbation (DARTS-PT; Wang et al. 2021, arXiv 2108.04392, section 4 and algorithm 1).

What an operation is worth is what the supernet loses without it, and not its architecture parameter.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import zip_longest
from typing import Any

import torch
from nni.mutable import Categorical, CategoricalMultiple
from torch import Tensor

from common.errors import StrategyError
from common.trial import sample_key
from strategies.one_shot.restriction import Supernet, Weights
from strategies.one_shot.search_epoch import NONE
from strategies.one_shot.selection import Scorer, Selected, Selection

Remove = Callable[[Sequence[int]], dict[str, Tensor]]  # the weights that change where the operations at these places are removed


class Projection(Selection):
    """Settles one choice of each cell after another, in random order; the supernet is tuned in between.

    First the operation of every edge is settled: the one whose removal costs most accuracy. Then the inputs of every node are: the one
    whose removal costs least goes, until as many are left as a node keeps. What is not in cells is settled as one more cell would be.

    Parameters
    ----------
    scorer
        Scores supernets.
    seed
        Of the order.
    tuning_epochs
        Epochs of tuning between two choices, 0 or more; the authors' 10.
    """

    needs_mixtures = True

    def __init__(self, *, scorer: Scorer, seed: int, tuning_epochs: int) -> None:
        super().__init__()
        self._scorer, self._tuning_epochs = scorer, tuning_epochs
        self._generator = torch.Generator().manual_seed(seed)
        self._rounds: list[list[str]] = []
        self._done = 0

    def bind(self, supernet: Supernet) -> None:
        super().bind(supernet)
        of_cells = supernet.cell_labels
        if of_cells:
            raise StrategyError(f"`selection='perturbation'` has no way to settle {of_cells[0]}, of a cell of NNI's: use 'inherited'")
        for label, mutable in supernet.mutables.items():
            if isinstance(mutable, CategoricalMultiple) and mutable.n_chosen is None:
                raise StrategyError(f"`selection='perturbation'` cannot tell how many {label} keeps: use 'inherited'")
        self._rounds = plan_rounds(supernet.mutables, supernet.input_edges, self._generator)

    @property
    def epochs(self) -> int:
        return self._tuning_epochs * intervals(self._rounds)

    def begin_epoch(self, number: int) -> None:
        while self._done <= number // self._tuning_epochs:
            self._settle_round()

    def finish(self, epoch: Any = None, reader: Any = None) -> Selected:
        while self._done < len(self._rounds):
            self._settle_round()
        for label in self.supernet.mutables:  # those of which all is kept, which have no round
            if label not in self.decided:
                self._settle(label)
        accuracy = self._scorer.of_sample(sample_key(self.decided), self.supernet, self.decided)
        return Selected(dict(self.decided), [(dict(self.decided), accuracy)])

    def _settle_round(self) -> None:
        for label in self._rounds[self._done]:
            if label not in self.decided:  # by an earlier version, which had another order
                self._settle(label)
        self._done += 1

    def _settle(self, label: str) -> None:
        supernet, mutable = self.supernet, self.supernet.mutables[label]
        whole = supernet.expected
        if label in supernet.input_edges:
            edges = supernet.input_edges[label]

            def cut(sources: Sequence[int]) -> dict[str, Tensor]:
                return {edges[source]: torch.zeros_like(whole[edges[source]]) for source in sources}

            self.decided[label] = self._thin_out(label, whole, cut, list(range(len(edges))), mutable.n_chosen)
        else:
            names = supernet.names(label)

            def remove(places: Sequence[int]) -> dict[str, Tensor]:
                kept = torch.ones_like(whole[label])
                kept[list(places)] = 0
                return {label: whole[label] * kept}  # the others keep their weights, as in the authors' code

            if isinstance(mutable, CategoricalMultiple):
                self.decided[label] = [names[place] for place in self._thin_out(label, whole, remove, range(len(names)), mutable.n_chosen)]
            else:
                self.decided[label] = names[self._dearest(label, whole, remove)]
        supernet.hold(supernet.weights_of_part(self.decided))

    def _dearest(self, label: str, whole: Weights, remove: Remove) -> int:
        """Return the place of the operation without which the accuracy is lowest; ``none`` is no operation of an edge that is kept."""
        names, in_cell = self.supernet.names(label), any(label in edges for edges in self.supernet.input_edges.values())
        places = [place for place, name in enumerate(names) if not (in_cell and name == NONE)]
        return min(places, key=lambda place: self._accuracy(label, [place], {**whole, **remove([place])}))

    def _thin_out(self, label: str, whole: Weights, remove: Remove, places: Sequence[int], count: int) -> list[int]:
        """Return ``count`` of ``places``: again and again the one goes without which the accuracy is highest, of equals the last."""
        left = list(places)
        while len(left) > count:
            gone = [place for place in places if place not in left]
            accuracies = {place: self._accuracy(label, [*gone, place], {**whole, **remove([*gone, place])}) for place in left}
            left.remove(max(reversed(left), key=lambda place: accuracies[place]))
        return left

    def _accuracy(self, label: str, gone: Sequence[int], weights: Weights) -> float:
        return self._scorer.of_weights(sample_key({"choice": label, "without": list(gone)}), self.supernet, weights)

    def state(self) -> dict[str, Any]:
        return {"done": self._done, "decided": dict(self.decided)}

    def restore(self, state: Mapping[str, Any]) -> None:
        self._done, self.decided = state["done"], dict(state["decided"])
        self.supernet.hold(self.supernet.weights_of_part(self.decided))


def plan_rounds(mutables: Mapping[str, Any], input_edges: Mapping[str, Sequence[str]], generator: torch.Generator) -> list[list[str]]:
    """Return what is settled together, in the order in which it is: one choice of each cell, first the operations, then the inputs.

    Choices of which everything is kept, such as the inputs of a node that has two, are not there.
    """
    labels = [label for label, mutable in mutables.items() if _is_open(mutable)]
    edges = {edge for own in input_edges.values() for edge in own}
    operations, nodes = [label for label in labels if label not in input_edges], [label for label in labels if label in input_edges]
    return [*_in_turn(operations, edges, generator), *_in_turn(nodes, set(nodes), generator)]


def intervals(rounds: Sequence[Any]) -> int:
    """Return how many times the supernet is tuned, between each round and the next."""
    return max(len(rounds) - 1, 0)


def _is_open(mutable: Any) -> bool:
    if isinstance(mutable, CategoricalMultiple):
        return mutable.n_chosen is None or len(mutable.values) > mutable.n_chosen
    return not isinstance(mutable, Categorical) or len(mutable.values) > 1


def _in_turn(labels: Sequence[str], in_cells: Collection[str], generator: torch.Generator) -> list[list[str]]:
    cells: dict[str, list[str]] = {}
    for label in labels:
        cells.setdefault(label.partition("/")[0] if label in in_cells else "", []).append(label)
    mixed = [[own[place] for place in torch.randperm(len(own), generator=generator).tolist()] for own in cells.values()]
    return [[label for label in together if label is not None] for together in zip_longest(*mixed)]
