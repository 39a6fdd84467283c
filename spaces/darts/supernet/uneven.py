"""Edges that leave one state of a DARTS cell and differ in their operations, as in the later stages of P-DARTS.

Every convolution is computed on those edges alone that have it, the pools and the plain skip connection on those that have one of them: a
``Fan`` each. Skip connections with dropout (Chen et al. 2019, arXiv 1904.12760, section 3.3) are computed one by one, since each edge drops
something else.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from spaces.darts.supernet.batch_statistics import Statistics
from spaces.darts.supernet.branches import ParameterFree
from spaces.darts.supernet.fan import Fan
from spaces.darts.supernet.mixture import mix, mix_groups
from spaces.darts.vocabulary import NONE

Edges = Sequence[Any]  # of each the operations by name


class UnevenFan(nn.Module):
    """All edges that leave one state, as ``Fan``: [N, C, H, W] -> [N, edges * C, H / stride, W / stride].

    Parameters
    ----------
    edges
        The operations of each edge by name. A skip connection of stride 1 may be an ``nn.Dropout``.
    stride
        1 or 2.
    channels
        Of the state.
    """

    def __init__(self, edges: Edges, stride: int, channels: int) -> None:
        super().__init__()
        self.edges = nn.ModuleList(edges)
        self.stride = stride
        self.names = list(dict.fromkeys(name for edge in edges for name in edge))
        self.dropped = [number for number, edge in enumerate(edges) if _drops(edge)]
        self.stand_ins = nn.ModuleDict()  # of the pools that an edge lacks: they have the weight 0
        # Not registered: the edges have their modules already.
        self.groups: list[tuple[Fan, list[int]]] = []
        self._group_parameter_free(edges, channels)
        free = {*ParameterFree.POOLS, *([ParameterFree.SKIP] if stride == 1 else [])}
        for name in self.names:
            numbers = [number for number, edge in enumerate(edges) if name in edge]
            if name not in free and name != NONE:
                self.groups.append((Fan([nn.ModuleDict({name: edges[number][name]}) for number in numbers], stride), numbers))
        self.register_buffer("places", self._places(edges), persistent=False)
        for index, (fan, numbers) in enumerate(self.groups):
            self.register_buffer(f"places_{index}", self._places_of_group(fan, numbers), persistent=False)

    def _group_parameter_free(self, edges: Edges, channels: int) -> None:
        """Group the pools and plain skip connections, of all edges that have one of them, or nothing that another group computes."""
        names = [*ParameterFree.POOLS, *([ParameterFree.SKIP] if self.stride == 1 else [])]
        own = [{name: edge[name] for name in names if name in edge and not isinstance(edge[name], nn.Dropout)} for edge in edges]
        numbers = [number for number, edge in enumerate(edges) if own[number] or all(_is_apart(*operation) for operation in edge.items())]
        if not numbers:
            return
        whole = []
        for number in numbers:
            missing = [name for name in ParameterFree.POOLS if name not in own[number]]
            others = {name: nn.Sequential(nn.Identity(), nn.BatchNorm2d(channels, affine=False)) for name in missing}
            self.stand_ins.update({f"{name}_{number}": other for name, other in others.items()})
            whole.append(nn.ModuleDict({name: {**own[number], **others}.get(name, nn.Identity()) for name in names}))
        self.groups.append((Fan(whole, self.stride), numbers))

    def _places(self, edges: Edges) -> Tensor:
        """Return where the weight of every operation on every edge stands among those of all edges, one after another, and a 0."""
        first, total, places = 0, sum(len(edge) for edge in edges), []
        for edge in edges:
            own = list(edge)
            places.append([first + own.index(name) if name in own else total for name in self.names])
            first += len(own)
        return torch.tensor(places)

    def _places_of_group(self, fan: Fan, numbers: Sequence[int]) -> Tensor:
        """Return where the weights of a group stand in the flat matrix of all, to which a 0 is added."""
        nothing = len(self.edges) * len(self.names)
        columns = {name: index for index, name in enumerate(self.names)}
        for_dropped = {name: index for name, index in columns.items() if name != ParameterFree.SKIP}
        rows = [(number * len(columns), for_dropped if number in self.dropped else columns) for number in numbers]
        return torch.tensor([[first + known[name] if name in known else nothing for name in fan.names] for first, known in rows])

    def gather(self, mixing: Sequence[Tensor]) -> Tensor:
        """Return the weights of the operations on the edges, of each [its operations], as [edges, operations]: 0 where an edge has none."""
        gathered: Tensor = _with_zero(torch.cat(list(mixing)))[self.get_buffer("places")]
        return gathered

    def forward(self, x: Tensor, mixing: Tensor, statistics: Statistics) -> Tensor:
        """Return the mixtures of ``x``, in which ``mixing`` [edges, operations] holds the weights of the operations on the edges."""
        weights = _with_zero(mixing.flatten())
        of_groups = [weights[self.get_buffer(f"places_{index}")] for index in range(len(self.groups))]
        mixed = mix_groups(self.groups, len(self.edges), x, of_groups, statistics)
        if not self.dropped:
            return mixed
        parts = list(mixed.split(x.shape[1], dim=1))
        column = self.names.index(ParameterFree.SKIP)
        for number in self.dropped:
            edge: Any = self.edges[number]
            kept = edge[ParameterFree.SKIP](x).to(mixing.dtype)  # in half precision, small steps of the weight would be lost
            parts[number] = parts[number] + (mixing[number, column] * kept).to(x.dtype)
        return torch.cat(parts, dim=1)


def _with_zero(weights: Tensor) -> Tensor:
    return torch.cat([weights, weights.new_zeros(1)])


def _is_apart(name: str, operation: nn.Module) -> bool:
    """Return whether no group computes an operation."""
    return name == NONE or isinstance(operation, nn.Dropout)


def _drops(edge: Any) -> bool:
    """Return whether an edge has a skip connection with dropout."""
    return ParameterFree.SKIP in edge and isinstance(edge[ParameterFree.SKIP], nn.Dropout)


def make_fan(edges: Edges, stride: int, channels: int) -> Fan | UnevenFan:
    """Return the edges that leave one state of so many channels: one ``Fan`` where all have all operations, without dropout."""
    names = list(edges[0])
    is_even = all(list(edge) == names and not _drops(edge) for edge in edges)
    return (
        Fan(edges, stride) if is_even and {*ParameterFree.POOLS, ParameterFree.SKIP} <= set(names) else UnevenFan(edges, stride, channels)
    )


def mix_edges(fan: Fan | UnevenFan, x: Tensor, mixing: Tensor, statistics: Statistics) -> Tensor:
    """Return the mixtures of all edges of ``fan``, as it does, in the fastest way."""
    return mix(fan, x, mixing, statistics) if isinstance(fan, Fan) else fan(x, mixing, statistics)
