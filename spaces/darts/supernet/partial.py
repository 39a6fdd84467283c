"""A DARTS cell whose operations work on part of the channels (PC-DARTS, Xu et al. 2020, arXiv 1907.05737, equation 2).

The fans compute the operations of the channels that go through. The others go around them, max-pooled where the edge has stride 2. Both are
summed over the edges of a node before they are shuffled once: the shuffle moves channels alone, so that it is the same sum.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from spaces.darts.operations import OPERATIONS
from spaces.darts.supernet.batch_statistics import Statistics
from spaces.darts.supernet.fused import FusedCell
from spaces.darts.supernet.uneven import mix_edges
from spaces.partial_channels import ThinChoice, shuffle


class PartialCell(FusedCell):
    """The differentiable form of ``cell`` with partial channels: its preprocessing, and operations of their own on fewer channels.

    The sum of the weights of an edge's operations is the weight of the channels that go around.

    Parameters
    ----------
    cell
        Of the search space, with ``channels`` and ``reduces``.
    parts
        The channels of a state over those that go through the operations, which it divides: 2 or more.
    """

    def __init__(self, cell: Any, parts: int) -> None:
        thin = cell.channels // parts
        nodes = [SimpleNamespace(edges=[_thin_edge(cell, *edge, thin) for edge in enumerate(node.edges)]) for node in cell.nodes]
        thinned: Any = SimpleNamespace(
            preprocess_0=cell.preprocess_0, preprocess_1=cell.preprocess_1, nodes=nodes, channels=thin, reduces=cell.reduces
        )
        super().__init__(thinned)
        self.thin = thin

    def _mix(self, before_last: Tensor, last: Tensor, weights: Sequence[Tensor], statistics: Statistics) -> Tensor:
        states = [before_last, last]
        through: Tensor | None = None  # sums over the edges to the nodes that are not yet complete, side by side
        around: Tensor | None = None
        for index, (fan, mixing) in enumerate(zip(self.fans, weights, strict=True)):
            x = states[index]
            operated = mix_edges(fan, x[:, : self.thin].contiguous(memory_format=torch.channels_last), mixing, statistics)
            through = operated if through is None else operated + through
            around = _go_around(x[:, self.thin :], fan.stride, mixing.sum(1), around)
            if index > 0:
                node, through = through.split([self.thin, through.shape[1] - self.thin], dim=1)
                shape = (node.shape[0], *node.shape[2:], x.shape[1] - self.thin)
                beside = around[0].view(shape).permute(0, 3, 1, 2)
                states.append(shuffle(node, beside.to(node.dtype)))
                around = around[1:]
        return torch.cat(states[2:], dim=1)


def _thin_edge(cell: Any, source: int, choice: Any, channels: int) -> ThinChoice:
    """Return the choice on the edge from state ``source`` of ``cell``, with operations on so many channels."""
    stride = 2 if cell.reduces and source < 2 else 1
    return ThinChoice(choice.label, {name: _thin(choice[name], name, channels, stride) for name in choice.names})


def _thin(candidate: Any, name: str, channels: int, stride: int) -> Any:
    """Return the operation of that name on so many channels; ``candidate`` itself where it is a dropout, which takes any number."""
    return candidate if isinstance(candidate, nn.Dropout) else OPERATIONS[name](channels, stride, False)


def _go_around(x: Tensor, stride: int, shares: Tensor, sums: Tensor | None) -> Tensor:
    """Return ``sums`` [edges, N * H' * W' * C] and, added to them, ``x`` [N, C, H, W] times the share of every edge.

    They are of the type of the shares: in half precision steps of these would be lost.
    """
    if stride > 1:  # of odd sides the last row and column too, as the operations have them
        x = functional.max_pool2d(x, stride, stride, ceil_mode=True)
    flat = x.permute(0, 2, 3, 1).flatten().to(shares.dtype)
    return torch.outer(shares, flat) if sums is None else torch.addr(sums, shares, flat)
