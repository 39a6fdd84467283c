"""The mixtures of the edges that leave one state of a DARTS cell, in whichever way is the fastest here.

Edges that have the same operations are a group. What several groups put out for one edge is added up.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from kernels.build import kernels_for
from kernels.calls import real_of
from kernels.layout import nchw, nhwc, nodes_of
from spaces.darts.supernet.batch_statistics import Statistics
from spaces.darts.supernet.compiled import CompiledFan
from spaces.darts.supernet.fan import Fan

Groups = Sequence[tuple[Fan, Sequence[int]]]  # the edges of a group and their numbers, which rise


def mix(fan: Fan, x: Tensor, mixing: Tensor, statistics: Statistics) -> Tensor:
    """Return the mixtures of all edges of ``fan``, as it does, by the compiled kernels where there are any."""
    return mix_groups([(fan, range(len(mixing)))], len(mixing), x, [mixing], statistics)


def mix_groups(groups: Groups, edges: int, x: Tensor, mixing: Sequence[Tensor], statistics: Statistics) -> Tensor:
    """Return the mixtures of so many edges: [N, C, H, W] -> [N, edges * C, H', W'], of which each is in one group or more.

    Parameters
    ----------
    groups
        Of all edges.
    x
        The state.
    mixing
        By group the weights of its operations, [its edges, its operations].
    statistics
        What normalisations normalise by.
    """
    parameters = [parameter for fan, _ in groups for branch in fan.branches for parameter in branch.parameters()]
    if x.device.type == "cpu" and kernels_for(x.dtype) is not None and all(p.dtype == real_of(x.dtype) for p in parameters):
        output: Tensor = _CompiledMixture.apply(groups, edges, statistics, x, *mixing, *parameters)
        return output
    mixed = [fan(x, weights, statistics) for (fan, _), weights in zip(groups, mixing, strict=True)]
    if len(groups) == 1 and len(groups[0][1]) == edges:
        return mixed[0]
    terms: list[list[Tensor]] = [[] for _ in range(edges)]
    for (_, numbers), whole in zip(groups, mixed, strict=True):
        for number, part in zip(numbers, whole.split(x.shape[1], dim=1), strict=True):
            terms[number].append(part)
    return torch.cat([sum(own[1:], own[0]) for own in terms], dim=1)


class _CompiledMixture(torch.autograd.Function):
    """The arithmetic of ``mix_groups`` by the compiled kernels; ``tensors`` are the weights of every group, then their parameters."""

    @staticmethod
    def forward(ctx: Any, groups: Groups, edges: int, statistics: Statistics, x: Tensor, *tensors: Tensor) -> Tensor:
        real = real_of(x.dtype)
        mixing, parameters = tensors[: len(groups)], list(tensors[len(groups) :])
        compiled = [CompiledFan(fan, statistics, real) for fan, _ in groups]
        images, channels, height, width = x.shape
        stride, adds = groups[0][0].stride, len(groups) > 1
        nodes = x.new_empty(images, -(-height // stride), -(-width // stride), edges, channels)
        if adds:
            nodes.zero_()
        kept: list[Any] = []
        counts, of_parameters = [], []
        for (fan, numbers), of_group, weights in zip(groups, compiled, mixing, strict=True):
            own = parameters[: sum(branch.number_of_parameters for branch in fan.branches)]
            parameters = parameters[len(own) :]
            part = _slice_of(nodes, numbers)
            room = nodes.new_empty(*nodes.shape[:3], len(numbers), channels) if part is None else part
            of_fan = of_group.forward(nhwc(x), weights.to(real).contiguous(), own, room, adds and part is not None)
            if part is None:
                for index, number in enumerate(numbers):
                    nodes[:, :, :, number] += room[:, :, :, index]
            kept += of_fan
            counts.append(len(of_fan))
            of_parameters.append(len(own))
        ctx.save_for_backward(x, *kept)
        ctx.compiled, ctx.numbers, ctx.real, ctx.edges = compiled, [numbers for _, numbers in groups], real, edges
        ctx.counts, ctx.of_parameters = counts, of_parameters
        return nodes.flatten(3).permute(0, 3, 1, 2)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Any, ...]:
        x, *kept = ctx.saved_tensors
        number = len(ctx.compiled)
        want_state, learns = ctx.needs_input_grad[3], any(ctx.needs_input_grad[4 + number :])
        of_nodes = nodes_of(gradient, ctx.edges).to(ctx.real).contiguous()
        of_state = torch.zeros(nhwc(x).shape, dtype=ctx.real) if want_state else None
        of_mixing: list[Tensor] = []
        of_parameters: list[Tensor | None] = []
        for of_group, numbers, count, own in zip(ctx.compiled, ctx.numbers, ctx.counts, ctx.of_parameters, strict=True):
            part = _slice_of(of_nodes, numbers)
            of_edges = of_nodes[:, :, :, list(numbers)] if part is None else part
            of_weights, of_own = of_group.backward(nhwc(x), of_edges, kept[:count], of_state, learns)
            kept = kept[count:]
            of_mixing.append(of_weights)
            of_parameters += of_own or own * [None]
        state = None if of_state is None else nchw(of_state).to(x.dtype)
        return None, None, None, state, *of_mixing, *of_parameters


def _slice_of(nodes: Tensor, numbers: Sequence[int]) -> Tensor | None:
    """Return the ``numbers`` of the edges of ``nodes`` [N, H, W, edges, C], the same memory; ``None`` where their distances differ."""
    steps = {later - number for number, later in pairwise(numbers)} or {1}
    return nodes[:, :, :, numbers[0] : numbers[-1] + 1 : steps.pop()] if len(steps) == 1 else None
