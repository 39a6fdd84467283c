"""Edge normalisation (PC-DARTS, Xu et al. 2020, arXiv 1907.05737, equations 3 and 4): a node weighs the edges that lead to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn


class EdgeShares(nn.Module):
    """The shares of the edges of some nodes: the softmax of their architecture parameters over the edges that lead to one node.

    Parameters
    ----------
    nodes
        By name of a node the labels of its edges, in order; none: every edge has the share 1.
    parameters
        By name of a node, among others, the architecture parameters of its edges, [edges].
    """

    def __init__(self, nodes: Mapping[str, Sequence[str]], parameters: Mapping[Any, nn.Parameter]) -> None:
        super().__init__()
        self._nodes = dict(nodes)
        self._betas = nn.ParameterDict([(node, parameters[node]) for node in nodes])

    def forward(self, mixing: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the weights of operations by label of an edge, each [operations], times the share of the edge."""
        weighed = dict(mixing)
        for node, edges in self._nodes.items():
            for edge, share in zip(edges, self._betas[node].softmax(-1), strict=True):
                weighed[edge] = mixing[edge] * share
        return weighed

    def scale(self, inputs: Sequence[Tensor]) -> list[Tensor]:
        """Return what the edges of the one node bring, each times its share; as it is where no node is weighed."""
        scaled = list(inputs)
        for beta in self._betas.values():
            scaled = [share * each for share, each in zip(beta.softmax(-1), inputs, strict=True)]
        return scaled

    def probabilities(self) -> dict[str, dict[int, float]]:
        """Return the shares by name of a node and position of the edge."""
        return {node: dict(enumerate(beta.softmax(-1).tolist())) for node, beta in self._betas.items()}


def weigh_edges(probabilities: Mapping[str, Mapping[Any, float]], nodes: Mapping[str, Sequence[str]]) -> dict[str, Mapping[Any, float]]:
    """Return the weights of operations by label of an edge, times the share of the edge, by which a cell is read off (section 3.3).

    Parameters
    ----------
    probabilities
        By label of an edge and operation, and by name of a node and position of its edge.
    nodes
        By name of a node whose edges are weighed their labels, in order.
    """
    weighed = dict(probabilities)
    for node, edges in nodes.items():
        for edge, share in zip(edges, probabilities[node].values(), strict=True):
            weighed[edge] = {name: share * p for name, p in probabilities[edge].items()}
    return weighed
