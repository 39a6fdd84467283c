"""How the cells of a space are read off the weights that a supernet gives its operations."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from strategies.one_shot.edge_normalization import weigh_edges
from strategies.one_shot.search_epoch import choose_edges, count_skips, count_skips_among, less_costs
from strategies.one_shot.skip_limit import choose_few_skips, guarded_skips

Probabilities = Mapping[str, Mapping[Any, float]]


@dataclass(frozen=True)
class CellReader:
    """Reads cells off the weights of operations, and of edges.

    Parameters
    ----------
    input_edges
        By label of a node's choice of inputs the labels of its edges, in order.
    n_chosen
        By label of a node's choice of inputs how many it keeps.
    weighed_nodes
        By name of a node whose edges are weighed the labels of these, in order.
    costs, cost_weight
        What operations cost, by name; this times that is taken off their logits.
    most_skips
        The most skip connections in the normal cell; ``None``: any number.
    whole_edges
        The labels of the edges of a space without choices of inputs, where some of them can be skip connections.
    costly
        The labels of all choices between operations of known costs.
    """

    input_edges: Mapping[str, list[str]]
    n_chosen: Mapping[str, int]
    weighed_nodes: Mapping[str, list[str]]
    costs: Mapping[str, float]
    cost_weight: float
    most_skips: int | None
    whole_edges: Sequence[str] = ()
    costly: Sequence[str] = ()

    def read(self, probabilities: Probabilities) -> dict[str, Any]:
        """Return the cells, and beside them the choices in which costs count: their labels alone."""
        weights = self.weights(probabilities)
        cells = choose_few_skips(weights, self._kept, self.n_chosen, self.most_skips)
        return {**_likeliest(weights, self.costly if self.cost_weight > 0 else ()), **cells}

    def weights(self, probabilities: Probabilities) -> Probabilities:
        """Return the weights of operations by which cells are read: less what these cost, times the shares of their edges."""
        counted = {*self.costly, *(edge for edges in self._kept.values() for edge in edges)}
        charged = less_costs({label: probabilities[label] for label in counted if label in probabilities}, self.costs, self.cost_weight)
        return weigh_edges({**probabilities, **charged}, self.weighed_nodes)

    def excess_skips(self, sample: Mapping[str, Any]) -> int:
        """Return how many skip connections the normal cell of ``sample`` has beyond those that it may have."""
        return 0 if self.most_skips is None else max(0, guarded_skips(sample, self._kept) - self.most_skips)

    def count_skips(self, sample: Mapping[str, Any], probabilities: Probabilities | None) -> dict[str, tuple[int, int]]:
        """Return, as ``count_skips`` does, those of ``sample``: its cells as they were without costs and a limit of skip connections.

        Without ``probabilities`` they are as they are.
        """
        if not sample:
            return {}
        if not self.n_chosen:
            known = [label for label in self.whole_edges if label in (probabilities or {})]  # edges of NNI's cells have other names there
            plain = {} if probabilities is None or self.cost_weight == 0 else _likeliest(probabilities, known)
            return count_skips_among({**sample, **plain}, self.whole_edges)
        plain = {} if probabilities is None else choose_edges(weigh_edges(probabilities, self.weighed_nodes), self._kept, self.n_chosen)
        return count_skips({**sample, **plain}, self._kept)

    @property
    def _kept(self) -> dict[str, list[str]]:
        return {label: self.input_edges[label] for label in self.n_chosen}


def _likeliest(probabilities: Probabilities, labels: Iterable[str]) -> dict[str, Any]:
    return {label: max(probabilities[label], key=lambda name: probabilities[label][name]) for label in labels}
