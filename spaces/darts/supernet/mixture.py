"""The mixtures of the edges that leave one state of a DARTS cell, in whichever way is the fastest here."""

from __future__ import annotations

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


def mix(fan: Fan, x: Tensor, mixing: Tensor, statistics: Statistics) -> Tensor:
    """Return the mixtures of all edges of ``fan``, as it does, by the compiled kernels where there are any."""
    parameters = [parameter for branch in fan.branches for parameter in branch.parameters()]
    if x.device.type == "cpu" and kernels_for(x.dtype) is not None and all(p.dtype == real_of(x.dtype) for p in parameters):
        output: Tensor = _CompiledMixture.apply(fan, statistics, x, mixing, *parameters)
        return output
    return fan(x, mixing, statistics)


class _CompiledMixture(torch.autograd.Function):
    """The arithmetic of a ``Fan`` by the compiled kernels: [N, C, H, W] -> [N, edges * C, H', W']."""

    @staticmethod
    def forward(ctx: Any, fan: Fan, statistics: Statistics, x: Tensor, mixing: Tensor, *parameters: Tensor) -> Tensor:
        real = real_of(x.dtype)
        compiled = CompiledFan(fan, statistics, real)
        images, channels, height, width = x.shape
        nodes = x.new_empty(images, -(-height // fan.stride), -(-width // fan.stride), len(mixing), channels)
        kept = compiled.forward(nhwc(x), mixing.to(real).contiguous(), parameters, nodes, False)
        ctx.save_for_backward(x, *kept)
        ctx.compiled, ctx.real, ctx.number, ctx.edges = compiled, real, len(parameters), len(mixing)
        return nodes.flatten(3).permute(0, 3, 1, 2)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Any, ...]:
        x, *kept = ctx.saved_tensors
        want_state, learns = ctx.needs_input_grad[2], any(ctx.needs_input_grad[4:])
        of_nodes = nodes_of(gradient, ctx.edges).to(ctx.real).contiguous()
        of_state = torch.zeros(nhwc(x).shape, dtype=ctx.real) if want_state else None
        of_mixing, of_parameters = ctx.compiled.backward(nhwc(x), of_nodes, kept, of_state, learns)
        state = None if of_state is None else nchw(of_state).to(x.dtype)
        return None, None, state, of_mixing, *(of_parameters or ctx.number * [None])
