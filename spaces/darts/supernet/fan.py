"""All edges that leave one state of a DARTS cell, computed together by torch's operations.

They read the same tensor: one ReLU and one pool per state, one depthwise and one grouped pointwise convolution per kernel size for all
edges, with the channels of the edges side by side in channels_last, so that convolutions and normalisations run over wide rows. The weight
of an operation is the scale of its last batch normalisation, and its gradient falls out of that normalisation's backward pass.

With torch's operations a step is bound by memory. So a fan keeps for its backward pass what is normalised and, where the gradients of the
weights are wanted, what the depthwise convolutions put out; it computes the cheap rest (ReLUs, copies) anew.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from spaces.darts.supernet import torch_kernels as kernels
from spaces.darts.supernet.batch_statistics import BackwardPass, Statistics
from spaces.darts.supernet.branches import Branch, Dilated, Factorized, NoParameterFree, ParameterFree, Separable

BRANCHES: dict[str, type[Separable] | type[Dilated]] = {
    "sep_conv_3x3": Separable,
    "sep_conv_5x5": Separable,
    "dil_conv_3x3": Dilated,
    "dil_conv_5x5": Dilated,
}


class Fan(nn.Module):
    """All edges that leave one state: [N, C, H, W] -> [N, edges * C, H / stride, W / stride], each edge the mixture of its operations.

    All edges have the same operations. With one of those that ``ParameterFree`` computes, they have all of them.
    """

    def __init__(self, edges: Sequence[nn.ModuleDict], stride: int) -> None:
        super().__init__()
        self.edges = nn.ModuleList(edges)
        self.stride = stride
        self.names = list(edges[0])
        has_pools = ParameterFree.POOLS[0] in self.names
        self.parameter_free = ParameterFree(self.names, edges, stride) if has_pools else NoParameterFree(stride)
        self.branches: list[Branch] = [BRANCHES[name](name, edges, stride) for name in self.names if name in BRANCHES]
        if stride > 1 and ParameterFree.SKIP in self.names:
            self.branches.append(Factorized(ParameterFree.SKIP, edges, stride))

    def gather(self, mixing: Sequence[Tensor]) -> Tensor:
        """Return the weights of the operations on the edges, of each [operations], as [edges, operations]."""
        return torch.stack(list(mixing))

    def forward(self, x: Tensor, mixing: Tensor, statistics: Statistics) -> Tensor:
        """Return the mixtures of ``x``, in which ``mixing`` [edges, operations] holds the weights of the operations on the edges."""
        parameters = (parameter for branch in self.branches for parameter in branch.parameters())
        return MixedFan.apply(self, statistics, x, mixing, *parameters)

    def sources(self, x: Tensor) -> dict[str, Tensor]:
        """Return what the branches read."""
        wanted, edges = {branch.source for branch in self.branches}, len(self.edges)
        if not wanted:
            return {}
        relu = torch.relu(x)
        if self.stride == 1:
            return dict.fromkeys(wanted, kernels.spread(relu, edges))
        parities = kernels.split_parities(relu)
        made: dict[str, Callable[[], Tensor]] = {
            "full": lambda: kernels.spread(relu, edges),
            "strided": lambda: kernels.spread(parities[0], edges),
            "corners": lambda: torch.cat([parities[0], parities[3]], dim=1),
        }
        return {name: made[name]() for name in made if name in wanted}

    def state_gradient(self, gradients: Mapping[str, Tensor], x: Tensor) -> Tensor:
        """Return the gradient of the state from those of its sources, one or more."""
        edges = len(self.edges)
        total = kernels.gather(gradients["full"], edges) if "full" in gradients else torch.zeros_like(x)
        if {"corners", "strided"} & set(gradients):  # of stride 2
            zeros = torch.zeros_like(x[:, :, ::2, ::2])
            even, odd = gradients["corners"].chunk(2, dim=1) if "corners" in gradients else (zeros, zeros)
            if "strided" in gradients:
                even = even + kernels.gather(gradients["strided"], edges)
            total += kernels.join_parities(torch.stack([even, zeros, zeros, odd]), x.shape)
        return torch.ops.aten.threshold_backward(total, x, 0)


class MixedFan(torch.autograd.Function):
    """The arithmetic of a ``Fan``. State, mixing weights and parameters get their gradients where these are wanted, only there."""

    @staticmethod
    def forward(ctx: Any, fan: Fan, statistics: Statistics, x: Tensor, mixing: Tensor, *parameters: Tensor) -> Tensor:
        sources = fan.sources(x)
        learns = any(ctx.needs_input_grad[4:])
        weights = mixing.t().repeat_interleave(x.shape[1], dim=1)  # [operations, edges * C]
        total, saved = fan.parameter_free.forward(x, mixing, statistics)
        offset = torch.zeros_like(weights[0])
        first = 0
        for branch in fan.branches:
            packed = branch.pack(parameters[first : first + branch.number_of_parameters], x.dtype)
            first += branch.number_of_parameters
            y, kept, kept_to_learn = branch.forward(sources[branch.source], packed, statistics)
            mean, rstd = statistics.measure(y, branch.norms)
            scale = weights[fan.names.index(branch.name)] * rstd
            if y.dtype == scale.dtype:
                total.addcmul_(y, scale.view(1, -1, 1, 1))
                offset += mean * scale
            else:  # half precision: scale and shift in float32 before rounding
                total += kernels.scale_centred(y, mean, scale)
            saved += [y, mean, rstd, *packed, *kept, *(kept_to_learn if learns else len(kept_to_learn) * [None])]
        if x.dtype == offset.dtype:
            total -= offset.view(1, -1, 1, 1)
        ctx.save_for_backward(x, mixing, *saved)
        ctx.fan, ctx.of_batch, ctx.dtype = fan, statistics.of_batch, parameters[0].dtype if parameters else None
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Any, ...]:
        fan: Fan = ctx.fan
        x, mixing, *saved = ctx.saved_tensors
        want_state, want_mixing, *want_parameters = ctx.needs_input_grad[2:]
        to = BackwardPass(x.shape, ctx.of_batch, want_state, want_mixing, any(want_parameters))
        gradient = gradient.contiguous(memory_format=torch.channels_last)
        of_free = fan.parameter_free.number_kept
        x_gradient, mixing_gradient = fan.parameter_free.backward(gradient, x, mixing, saved[:of_free], to)
        saved = saved[of_free:]
        weights = mixing.t().repeat_interleave(x.shape[1], dim=1)
        sources = fan.sources(x) if to.want_parameters else {}
        source_gradients: dict[str, Tensor] = {}
        parameter_gradients: list[Tensor] = []
        for branch in fan.branches:
            kernels_end = 3 + branch.number_of_kernels
            y, mean, rstd = saved[:3]
            packed, kept = saved[3:kernels_end], saved[kernels_end : kernels_end + branch.number_kept]
            saved = saved[kernels_end + branch.number_kept :]
            column = fan.names.index(branch.name)
            wanted = (to.want_branches, to.want_mixing)
            branch_gradient, weight_gradient = kernels.norm_gradients(gradient, y, weights[column], mean, rstd, to.of_batch, wanted)
            if to.want_mixing:
                mixing_gradient[:, column] = weight_gradient.view(len(mixing), -1).sum(1)
            if not to.want_branches:
                continue
            source_gradient, kernel_gradients = branch.backward(branch_gradient, sources.get(branch.source), packed, kept, to)
            if to.want_state:
                where = "full" if fan.stride == 1 else branch.source
                source_gradients[where] = source_gradients[where].add_(source_gradient) if where in source_gradients else source_gradient
            if to.want_parameters:
                parameter_gradients += branch.unpack(kernel_gradients, ctx.dtype)
        if to.want_state:
            x_gradient += fan.state_gradient(source_gradients, x) if source_gradients else 0
        unread = [None] * (len(ctx.needs_input_grad) - 4 - len(parameter_gradients))
        return (None, None, x_gradient, mixing_gradient if to.want_mixing else None, *parameter_gradients, *unread)
