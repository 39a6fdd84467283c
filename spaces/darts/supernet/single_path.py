"""The cells of a DARTS supernet on a single path: one operation on each edge that a node reads, and nothing computed but these.

A pass costs what that of a found network costs. On a CPU in training it is the same compiled pass (``trained.network``).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from spaces.darts.trained.edges import Edge, make_edge
from spaces.darts.trained.network import count_batch, kernels_serve, run_cell, run_cells


class PathCell(nn.Module):
    """A cell with the candidates of its edges: ([N, c_before_last, H, W], [N, c_last, H, W]) -> [N, num_nodes * channels, H', W'].

    Attributes
    ----------
    labels
        By node those of its edges, in the order of the states that they leave.
    candidates
        By node and edge the operations by name.
    """

    def __init__(self, cell: Any) -> None:
        super().__init__()
        self.reduces: bool = cell.reduces
        self.preprocess_0, self.preprocess_1 = cell.preprocess_0, cell.preprocess_1
        self.labels: list[list[str]] = [[choice.label for choice in node.edges] for node in cell.nodes]
        self.candidates: Any = nn.ModuleList(
            nn.ModuleList(nn.ModuleDict({name: choice[name] for name in choice.names}) for choice in node.edges) for node in cell.nodes
        )

    def on_path(self, path: Mapping[str, str]) -> list[list[tuple[int, str, Any]]]:
        """Return by node the edges on ``path``: the state that each leaves, its label and its operation."""
        return [
            [(source, label, edge[path[label]]) for source, (label, edge) in enumerate(zip(labels, edges, strict=True)) if label in path]
            for labels, edges in zip(self.labels, self.candidates, strict=True)
        ]

    def forward(self, path: Mapping[str, str], weights: Mapping[str, Tensor], before_last: Tensor, last: Tensor) -> Tensor:
        """Return the output of the cell by torch's operations; ``path`` and ``weights`` are as ``PathCells`` has them."""
        states = [self.preprocess_0(before_last), self.preprocess_1(last)]
        for edges in self.on_path(path):
            outputs = [(label, operation(states[source])) for source, label, operation in edges]
            first, *others = (weights[label] * output if label in weights else output for label, output in outputs)
            for other in others:
                first = first + other
            states.append(first)
        return torch.cat(states[2:], dim=1)


class SinglePaths(nn.Module):
    """What single-path forms have in common: ``cells`` with the parameters and buffers of their candidates.

    Attributes
    ----------
    choices
        By label of every edge the names of its operations.
    """

    def __init__(self, cells: Iterable[Any]) -> None:
        super().__init__()
        cells = list(cells)
        self.choices: dict[str, list[str]] = {
            choice.label: list(choice.names) for cell in cells for node in cell.nodes for choice in node.edges
        }
        self.cells: Any = nn.ModuleList(PathCell(cell) for cell in cells)

    def candidates(self) -> Iterator[tuple[str, str, nn.Module]]:
        """Return the operations: of each the label of its edge, its name and the module."""
        for cell in self.cells:
            for labels, edges in zip(cell.labels, cell.candidates, strict=True):
                for label, edge in zip(labels, edges, strict=True):
                    yield from ((label, name, operation) for name, operation in edge.items())

    @cached_property
    def norms(self) -> list[nn.BatchNorm2d]:
        """The normalisations of all candidates, which are asked before every pass."""
        return _norms_of([self])


class PathCells(SinglePaths):
    """The single-path form of the ``cells`` of a network."""

    def forward(self, path: Mapping[str, str], weights: Mapping[str, Tensor], stem: Tensor) -> Iterator[Tensor | None]:
        """Yield the outputs of the cells, one after the other; ``None`` stands for those that other cells alone read.

        Parameters
        ----------
        path
            By label the name of the operation, for the edges that nodes read: one or more to each node.
        weights
            By label a scalar by which an edge of the path is multiplied, of value 1 where its gradient is wanted.
        stem
            [N, C, H, W], which the first cells read.
        """
        exact = _exact(stem)
        if kernels_serve(self, exact):
            return self._run_fast(path, weights, exact)
        return self._run_plain(path, weights, stem)

    def _run_plain(self, path: Mapping[str, str], weights: Mapping[str, Tensor], stem: Tensor) -> Iterator[Tensor]:
        before_last = last = stem
        for cell in self.cells:
            before_last, last = last, cell(path, weights, before_last, last)
            yield last

    def _run_fast(self, path: Mapping[str, str], weights: Mapping[str, Tensor], stem: Tensor) -> Iterator[Tensor | None]:
        chosen = [cell.on_path(path) for cell in self.cells]
        preprocessing = [module for cell in self.cells for module in (cell.preprocess_0, cell.preprocess_1)]
        count_batch(_norms_of([*preprocessing, *(operation for nodes in chosen for operation in _operations_of(nodes))]))
        return run_cells(list(self.cells), lambda number, last: _edges_of(chosen[number], weights, last), {len(self.cells) - 1}, stem)


class LonePathCell(SinglePaths):
    """The single-path form of one ``cell``, which stands for its differentiable form in the steps of the supernet's weights."""

    def __init__(self, cell: Any) -> None:
        super().__init__([cell])

    def forward(self, path: Mapping[str, str], weights: Mapping[str, Tensor], before_last: Tensor, last: Tensor) -> Tensor:
        """Return the output of the cell; ``path`` and ``weights`` are as ``PathCells`` has them, with edges to all nodes."""
        (cell,) = self.cells
        if not kernels_serve(self, _exact(last)):
            output: Tensor = cell(path, weights, before_last, last)
            return output
        nodes = cell.on_path(path)
        count_batch(_norms_of(_operations_of(nodes)))
        states = [_exact(state) for state in (cell.preprocess_0(before_last), cell.preprocess_1(last))]
        before, now = (state.contiguous(memory_format=torch.channels_last) for state in states)
        return run_cell(cell, _edges_of(nodes, weights, now), before, now, is_private=False)


Nodes = Sequence[Sequence[tuple[int, str, Any]]]  # as ``PathCell.on_path`` returns them


def _exact(state: Tensor) -> Tensor:
    """Return what the kernels read of a state: they are faster in float32 than torch in half precision."""
    return state.float() if torch.is_autocast_enabled(state.device.type) else state


def _operations_of(nodes: Nodes) -> Iterator[nn.Module]:
    return (operation for edges in nodes for _, _, operation in edges)


def _norms_of(modules: Iterable[nn.Module]) -> list[nn.BatchNorm2d]:
    return [norm for module in modules for norm in module.modules() if isinstance(norm, nn.BatchNorm2d)]


def _edges_of(nodes: Nodes, weights: Mapping[str, Tensor], images: Tensor) -> list[list[Edge]]:
    """Return a pass through the edges of each node; a weight without a gradient is one factor of all ``images``."""

    def make(source: int, label: str, operation: Any) -> Edge:
        weight = weights.get(label)
        if weight is None or weight.requires_grad:
            return make_edge(operation, source, weight=weight)
        return make_edge(operation, source, weight.to(images).repeat(len(images)))

    return [[make(*edge) for edge in edges] for edges in nodes]
