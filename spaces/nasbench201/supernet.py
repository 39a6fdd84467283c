"""The cell of NAS-Bench-201 in a one-shot search: on every edge the weighted sum of its operations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from spaces.nasbench201.vocabulary import EDGES, NUM_NODES, edge_label
from spaces.partial_channels import shuffle


def without_affine(candidate: nn.Module) -> nn.Module:
    """Return ``candidate``, whose batch normalisations have lost their affine parameters, as in the supernets of the benchmark's authors.

    With them an operation could make its output large whatever its weight, and the weights would mean nothing.
    """
    for name, module in list(candidate.named_children()):
        if isinstance(module, nn.BatchNorm2d):
            setattr(candidate, name, nn.BatchNorm2d(module.num_features, eps=module.eps, momentum=module.momentum, affine=False))
        else:
            without_affine(module)
    return candidate


class SearchedCell(nn.Module):
    """What both forms of a cell in a supernet have in common: the candidates of its edges, without affine parameters.

    Parameters
    ----------
    edges
        By label the ``LayerChoice`` of an edge.

    Attributes
    ----------
    choices
        By label of every edge the names of its operations.
    """

    def __init__(self, edges: Mapping[str, Any]) -> None:
        super().__init__()
        self.choices: dict[str, list[str]] = {label: list(choice.names) for label, choice in edges.items()}
        candidates = {label: {name: choice[name] for name in choice.names if name != "none"} for label, choice in edges.items()}
        mixed = {label: {name: without_affine(each) for name, each in named.items()} for label, named in candidates.items()}
        self.edges: Any = nn.ModuleDict({label: nn.ModuleDict(operations) for label, operations in mixed.items()})

    def candidates(self) -> Iterator[tuple[str, str, nn.Module]]:
        """Return the operations but ``none``: of each the label of its edge, its name and the module."""
        for label, operations in self.edges.items():
            yield from ((label, name, operation) for name, operation in operations.items())


class MixedCell(SearchedCell):
    """The differentiable form of a cell: [N, channels, H, W] -> the same shape, with the convolutions of the cell's candidates."""

    def forward(self, mixing: Mapping[str, Tensor], x: Tensor) -> Tensor:
        """Return the output of the cell.

        Parameters
        ----------
        mixing
            By label of every edge the weights of its operations, [operations]; ``none`` adds nothing.
        x
            [N, channels, H, W].
        """
        states = [x]
        for node in range(1, NUM_NODES):
            states.append(self.mix(mixing, node, states))
        return states[-1]

    def mix(self, mixing: Mapping[str, Tensor], node: int, states: Sequence[Tensor]) -> Tensor:
        """Return the sum of the mixed edges that lead to ``node`` from the ``states`` before it."""
        total: Any = 0
        for source in [source for source, target in EDGES if target == node]:
            label = edge_label(source, node)
            weights = dict(zip(self.choices[label], mixing[label], strict=True))
            for name, operation in self.edges[label].items():
                total = total + weights[name] * operation(states[source])
        return total


class PartialMixedCell(MixedCell):
    """A ``MixedCell`` whose operations work on the first ``thin`` of the channels (PC-DARTS, arXiv 1907.05737, equation 2).

    The others go around an edge, with the sum of its weights, ``none`` included; then the channels of a node are shuffled.
    """

    def __init__(self, edges: Mapping[str, Any], thin: int) -> None:
        super().__init__(edges)
        self.thin = thin

    def mix(self, mixing: Mapping[str, Tensor], node: int, states: Sequence[Tensor]) -> Tensor:
        through = super().mix(mixing, node, [state[:, : self.thin] for state in states])
        beside = [state[:, self.thin :] * mixing[edge_label(source, node)].sum() for source, state in enumerate(states)]
        return shuffle(through, torch.stack(beside).sum(0))


class PathCell(SearchedCell):
    """The single-path form of a cell: [N, channels, H, W] -> the same shape, by one operation on each edge."""

    def forward(self, path: Mapping[str, str], weights: Mapping[str, Tensor], x: Tensor) -> Tensor:
        """Return the output of the cell.

        Parameters
        ----------
        path
            By label of every edge the name of its operation.
        weights
            By label a scalar by which the operation is multiplied; 1 where there is none.
        x
            [N, channels, H, W].
        """
        states = [x]
        for node in range(1, NUM_NODES):
            first, *others = (self._on_edge(source, node, path, weights, states[source]) for source in range(node))
            states.append(sum(others, first))
        return states[-1]

    def _on_edge(self, source: int, node: int, path: Mapping[str, str], weights: Mapping[str, Tensor], x: Tensor) -> Tensor:
        label = edge_label(source, node)
        # No new zeros: what comes before gets a gradient of zero, as in a found network.
        output: Tensor = x * 0.0 if path[label] == "none" else self.edges[label][path[label]](x)
        return weights[label] * output if label in weights else output
