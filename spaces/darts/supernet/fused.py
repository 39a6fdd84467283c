"""A DARTS cell as one differentiable function: the mathematics of the plain cell, with everything that edges share computed once.

On a CPU the compiled kernels compute it (``compiled``). Elsewhere, and where there are none, torch's operations do (``fan``). Edges whose
operations differ are in ``uneven``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from kernels.build import kernels_for
from kernels.calls import real_of
from spaces.darts.supernet.batch_statistics import Statistics
from spaces.darts.supernet.compiled import CompiledCell
from spaces.darts.supernet.fan import Fan
from spaces.darts.supernet.uneven import make_fan, mix_edges


class SearchedCell(Protocol):
    """A cell of the search space: what it makes of its two inputs, and its nodes, each with the choices on its edges."""

    @property
    def preprocess_0(self) -> nn.Module: ...

    @property
    def preprocess_1(self) -> nn.Module: ...

    @property
    def nodes(self) -> nn.ModuleList: ...

    @property
    def channels(self) -> int: ...

    @property
    def reduces(self) -> bool: ...


class FusedCell(nn.Module):
    """The differentiable form of ``cell``, with the parameters and buffers of its candidates.

    The parameters' gradients can be taken once, not differentiated again. Cells whose edges differ in their operations, or with dropout,
    are computed state by state.

    Attributes
    ----------
    choices
        By label of every edge the names of its operations.
    is_even
        Whether all edges have the same operations, without dropout.
    """

    def __init__(self, cell: SearchedCell) -> None:
        super().__init__()
        self.preprocess_0, self.preprocess_1 = cell.preprocess_0, cell.preprocess_1
        self.choices: dict[str, list[str]] = {}
        nodes: Any = cell.nodes
        self.labels: list[list[str]] = [[] for _ in range(len(nodes) + 1)]  # by state, of the edges that leave it
        edges: list[list[Any]] = [[] for _ in self.labels]
        for node in nodes:
            for source, choice in enumerate(node.edges):
                self.choices[choice.label] = list(choice.names)
                self.labels[source].append(choice.label)
                edges[source].append(nn.ModuleDict({name: choice[name] for name in choice.names}))
        strides = [2 if cell.reduces and source < 2 else 1 for source in range(len(edges))]
        fans = [make_fan(fan, stride, cell.channels) for fan, stride in zip(edges, strides, strict=True)]
        self.fans: Any = nn.ModuleList(fans)
        self.is_even = all(isinstance(fan, Fan) for fan in fans)

    def candidates(self) -> Iterator[tuple[str, str, nn.Module]]:
        """Return the operations: of each the label of its edge, its name and the module."""
        for labels, fan in zip(self.labels, self.fans, strict=True):
            for label, edge in zip(labels, fan.edges, strict=True):
                yield from ((label, name, operation) for name, operation in edge.items())

    def forward(self, mixing: Mapping[str, Tensor], before_last: Tensor, last: Tensor) -> Tensor:
        """Return the output of the cell, as the plain one does for the outputs of the two cells before.

        Parameters
        ----------
        mixing
            By label of every edge the weights of its operations, [operations].
        before_last, last
            [N, c_before_last, H, W] and [N, c_last, H, W].
        """
        states = [self.preprocess_0(before_last), self.preprocess_1(last)]
        device = before_last.device.type
        dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else before_last.dtype
        statistics = Statistics(self.training)
        with torch.autocast(device, enabled=False):
            before, now = (state.to(dtype).contiguous(memory_format=torch.channels_last) for state in states)
            output = self._mix(before, now, self.weights(mixing), statistics)
            statistics.move_running()
            return output

    def weights(self, mixing: Mapping[str, Tensor]) -> list[Tensor]:
        """Return the weights of the operations of all edges that leave a state, by state, as [edges, operations]."""
        return [fan.gather([mixing[label] for label in labels]) for fan, labels in zip(self.fans, self.labels, strict=True)]

    def _mix(self, before_last: Tensor, last: Tensor, weights: Sequence[Tensor], statistics: Statistics) -> Tensor:
        dtype = last.dtype
        if self.is_even and last.device.type == "cpu" and kernels_for(dtype) is not None:
            parameters = [parameter for fan in self.fans for branch in fan.branches for parameter in branch.parameters()]
            if all(p.dtype == real_of(dtype) for p in parameters):
                output: Tensor = CompiledCell.apply(list(self.fans), statistics, before_last, last, *weights, *parameters)
                return output
        return self._by_fans(before_last, last, weights, statistics)

    def _by_fans(self, before_last: Tensor, last: Tensor, weights: Sequence[Tensor], statistics: Statistics) -> Tensor:
        states = [before_last, last]
        sums: Tensor | None = None  # of the edges to the nodes that are not yet complete, side by side
        for index, (fan, mixing) in enumerate(zip(self.fans, weights, strict=True)):
            x = states[index].contiguous(memory_format=torch.channels_last)
            leaving = mix_edges(fan, x, mixing, statistics)
            sums = leaving if sums is None else leaving + sums
            if index > 0:
                node, sums = sums.split([x.shape[1], sums.shape[1] - x.shape[1]], dim=1)
                states.append(node)
        return torch.cat(states[2:], dim=1)
