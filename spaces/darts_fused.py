"""A DARTS cell as one differentiable function: the mathematics of the plain cell, with everything that edges share computed once.

All edges that leave one state read the same tensor. Here they are computed together (``Fan``): one ReLU and one pool per state, one
depthwise and one grouped pointwise convolution per kernel size for all edges, with the channels of the edges side by side in
channels_last, so that convolutions and normalisations run over wide rows. The weight of an operation is the scale of its last batch
normalisation, and its gradient falls out of that normalisation's backward pass.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from spaces.darts_depthwise import DenseGradient, average_pool, depthwise_conv, split_parities, spread

if TYPE_CHECKING:
    from spaces.darts import Cell

SEPARABLE = ("sep_conv_3x3", "sep_conv_5x5")
DILATED = ("dil_conv_3x3", "dil_conv_5x5")
POOLS = ("max_pool_3x3", "avg_pool_3x3")
SKIP = "skip_connect"


class RunningStatistics:
    """Collects batch statistics in a forward pass and moves the running ones of all normalisations at once, as BatchNorm2d would."""

    def __init__(self) -> None:
        self._running: list[Tensor] = []
        self._batch: list[Tensor] = []
        self._counters: list[Tensor] = []

    def note(self, norms: Sequence[nn.BatchNorm2d], mean: Tensor, variance: Tensor, count: int) -> None:
        """``mean`` and biased ``variance`` [len(norms) * C] over ``count`` values, the channels of the norms one after another."""
        channels = norms[0].num_features
        self._running += [norm.running_mean for norm in norms if norm.running_mean is not None]
        self._running += [norm.running_var for norm in norms if norm.running_var is not None]
        self._batch += [*mean.split(channels), *(variance * (count / (count - 1))).split(channels)]
        self._counters += [norm.num_batches_tracked for norm in norms if norm.num_batches_tracked is not None]
        self._momentum = norms[0].momentum

    @torch.no_grad()
    def apply(self) -> None:
        if self._running:
            torch._foreach_lerp_(self._running, self._batch, self._momentum)
            torch._foreach_add_(self._counters, 1)


def _float32_statistics(y: Tensor) -> tuple[Tensor | None, Tensor | None]:
    """Running statistics that nobody reads, given to native normalisations because those of a half precision batch take their type."""
    return (None, None) if y.dtype.itemsize > 2 else (torch.zeros(y.shape[1], device=y.device), torch.ones(y.shape[1], device=y.device))


class WeightedNorms(torch.autograd.Function):
    """base + sum_k norm(y_k) * weight_k: batch normalisations of several tensors [N, K, H, W], each scaled by a weight [K], added up.

    Arguments: ``training``, ``eps``, ``base`` (changed in place), then the y, the weights, the means and the inverse standard
    deviations. In training these are the batch's own, and the gradient goes through them.
    """

    @staticmethod
    def forward(ctx: Any, training: bool, eps: float, base: Tensor, *args: Tensor) -> Tensor:
        count = len(args) // 4
        ys, weights, means, rstds = (args[index * count : (index + 1) * count] for index in range(4))
        ctx.training, ctx.eps, ctx.count = training, eps, count
        ctx.save_for_backward(*args)
        ctx.mark_dirty(base)
        scales = [weight * rstd for weight, rstd in zip(weights, rstds, strict=True)]
        if base.dtype == scales[0].dtype:
            offset = -sum(mean * scale for mean, scale in zip(means, scales, strict=True))
            base.add_(offset.view(1, -1, 1, 1))
            for y, scale in zip(ys, scales, strict=True):
                base.addcmul_(y, scale.view(1, -1, 1, 1))
        else:  # half precision: scale and shift in float32 before rounding
            ones = torch.ones_like(means[0])
            for y, mean, scale in zip(ys, means, scales, strict=True):
                base.add_(functional.batch_norm(y, mean, ones, scale, None, False, 0.0, 0.0))
        return base

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        count = ctx.count
        ys, weights, means, rstds = (ctx.saved_tensors[index * count : (index + 1) * count] for index in range(4))
        weights = [weight.contiguous() for weight in weights]  # the native function reads them as if they were
        needs = ctx.needs_input_grad[3:]
        gradient = gradient.contiguous(memory_format=torch.channels_last)
        y_gradients: list[Tensor | None] = [None] * count
        weight_gradients: list[Tensor | None] = [None] * count
        for index, (y, weight, mean, rstd) in enumerate(zip(ys, weights, means, rstds, strict=True)):
            mask = [needs[index], needs[count + index], False]
            if any(mask):
                running = (None, None) if ctx.training else (mean, rstd.pow(-2) - ctx.eps)
                y_gradients[index], weight_gradients[index], _ = torch.ops.aten.native_batch_norm_backward(
                    gradient, y, weight, *running, mean, rstd, ctx.training, ctx.eps, mask
                )
        return (None, None, gradient, *y_gradients, *weight_gradients, *(2 * count) * [None])


class Fan(nn.Module):
    """All edges that leave one state: [N, C, H, W] -> [N, edges * C, H / stride, W / stride], each edge the mixture of its operations."""

    def __init__(self, edges: Sequence[nn.ModuleDict], stride: int) -> None:
        super().__init__()
        self.edges = nn.ModuleList(edges)
        self.stride = stride
        self.names = list(edges[0])

    def forward(self, x: Tensor, mixing: Tensor, statistics: RunningStatistics) -> Tensor:
        """``mixing`` [edges, operations] holds the weights of the operations on the edges."""
        edges, channels = len(self.edges), x.shape[1]
        relu = torch.relu(x)
        copies = spread(relu, edges)
        outputs = {name: self._separable(copies, name, statistics) for name in SEPARABLE}
        if self.stride > 1:  # strided and dilated by two, a kernel sees every second row and column
            relu = split_parities(relu)
            copies = spread(relu[0], edges)
        outputs |= {name: self._dilated(copies, name) for name in DILATED}
        norms = {name: self._layers(name, -1) for name in outputs}
        if self.stride > 1:
            outputs[SKIP] = self._factorized(relu)
            norms[SKIP] = [edge[SKIP].norm for edge in self.edges]
        measured = [self._measure(y, norms[name], statistics) for name, y in outputs.items()]
        means, rstds = zip(*measured, strict=True)
        weights = mixing.t().repeat_interleave(channels, dim=1).unbind()
        weights = [weights[self.names.index(name)] for name in outputs]
        base = self._parameter_free(x, mixing, statistics)
        eps = norms[SEPARABLE[0]][0].eps
        return WeightedNorms.apply(self.training, eps, base, *outputs.values(), *weights, *means, *rstds)

    def _layers(self, name: str, index: int) -> list[Any]:
        return [edge[name][index] for edge in self.edges]

    def _kernel(self, name: str, index: int, dtype: torch.dtype) -> Tensor:
        return torch.cat([layer.weight for layer in self._layers(name, index)]).to(dtype)

    def _pointwise(self, x: Tensor, name: str, index: int) -> Tensor:
        return functional.conv2d(x, self._kernel(name, index, x.dtype), groups=len(self.edges))

    def _dilated(self, x: Tensor, name: str) -> Tensor:
        return self._pointwise(depthwise_conv(x, self._kernel(name, 1, x.dtype), 1, 2 // self.stride), name, 2)

    def _separable(self, x: Tensor, name: str, statistics: RunningStatistics) -> Tensor:
        hidden = self._pointwise(depthwise_conv(x, self._kernel(name, 1, x.dtype), self.stride, 1), name, 2)
        hidden = self._normalise(hidden, self._layers(name, 3), statistics).relu_()
        return self._pointwise(depthwise_conv(hidden, self._kernel(name, 5, x.dtype), 1, 1), name, 6)

    def _factorized(self, parities: Tensor) -> Tensor:
        both = torch.cat([parities[0], parities[3]], dim=1)
        channels, kernels = parities.shape[2], []
        for edge in self.edges:  # the first half of its channels reads the first half of ``both``, the second half the second
            kernels.append(functional.pad(edge[SKIP].conv_1.weight, (0, 0, 0, 0, 0, channels)))
            kernels.append(functional.pad(edge[SKIP].conv_2.weight, (0, 0, 0, 0, channels, 0)))
        return functional.conv2d(both, torch.cat(kernels).to(both.dtype))

    def _parameter_free(self, x: Tensor, mixing: Tensor, statistics: RunningStatistics) -> Tensor:
        """The weighted sum of the edges' pools and identities, by one pointwise convolution [sources * C] -> [edges * C]."""
        channels = x.shape[1]
        sources = torch.cat([functional.max_pool2d(x, 3, self.stride, 1), average_pool(x, self.stride)], dim=1)
        names = list(POOLS)
        pool_norms = [[edge[name][1] for name in POOLS] for edge in self.edges]
        if self.training:
            sources = DenseGradient.apply(self._normalise(DenseGradient.apply(sources), pool_norms[0], statistics, others=pool_norms[1:]))
        if self.stride == 1:
            sources = torch.cat([sources, x], dim=1)
            names.append(SKIP)
        weights = mixing[:, [self.names.index(name) for name in names], None].expand(-1, -1, channels)
        bias = None
        if not self.training:
            identity = [torch.ones_like(weights[0, 0])] * (len(names) - len(POOLS))
            scales = [torch.stack([*((norm.running_var + norm.eps).rsqrt() for norm in norms), *identity]) for norms in pool_norms]
            weights = weights * torch.stack(scales)
            means = torch.stack([torch.stack([norm.running_mean for norm in norms]) for norms in pool_norms])
            bias = -(weights[:, : len(POOLS)] * means).sum(1).flatten().to(x.dtype)
        kernel = torch.diag_embed(weights.transpose(0, 1)).permute(1, 2, 0, 3).reshape(-1, len(names) * channels, 1, 1)
        rounded = kernel.to(x.dtype)
        if rounded.dtype != kernel.dtype:  # half precision cannot tell the weights of a young search apart: add what rounding lost
            remainder = (kernel - rounded).detach().to(x.dtype)
            sources, rounded = torch.cat([sources, sources], dim=1), torch.cat([rounded, remainder], dim=1)
        return functional.conv2d(sources, rounded, bias)

    def _normalise(
        self, y: Tensor, norms: Sequence[Any], statistics: RunningStatistics, others: Sequence[Sequence[Any]] = ()
    ) -> Tensor:
        """Batch normalisation; ``others`` are further groups of norms that the plain cell would run on the same tensor."""
        if not self.training:
            mean, variance = (torch.cat([getattr(norm, name) for norm in norms]) for name in ("running_mean", "running_var"))
            return functional.batch_norm(y, mean, variance, None, None, False, 0.0, norms[0].eps)
        normalised, mean, rstd = torch.native_batch_norm(y, None, None, *_float32_statistics(y), True, 0.0, norms[0].eps)
        for group in (norms, *others):
            statistics.note(group, mean, rstd.pow(-2) - norms[0].eps, y.numel() // y.shape[1])
        return normalised

    @torch.no_grad()
    def _measure(self, y: Tensor, norms: Sequence[Any], statistics: RunningStatistics) -> tuple[Tensor, Tensor]:
        """Mean and inverse standard deviation [K]: of the batch in training, the running ones else."""
        if self.training:
            mean, variance = torch.batch_norm_update_stats(y, *_float32_statistics(y), 0.0)
            statistics.note(norms, mean, variance, y.numel() // y.shape[1])
        else:
            mean, variance = (torch.cat([getattr(norm, name) for norm in norms]) for name in ("running_mean", "running_var"))
        return mean, (variance + norms[0].eps).rsqrt()


class FusedCell(nn.Module):
    """The differentiable form of ``cell``, with the parameters and buffers of its candidates.

    ``choices`` maps the label of every edge to the names of its operations. ``forward`` takes for every label the weights of the
    operations, [operations], and the outputs of the two cells before, as ``Cell.forward`` does.
    """

    def __init__(self, cell: Cell) -> None:
        super().__init__()
        self.preprocess_0, self.preprocess_1 = cell.preprocess_0, cell.preprocess_1
        self.choices: dict[str, list[str]] = {}
        self.labels: list[list[str]] = [[] for _ in range(len(cell.nodes) + 1)]  # by state, of the edges that leave it
        edges: list[list[nn.ModuleDict]] = [[] for _ in self.labels]
        for node in cell.nodes:
            for source, choice in enumerate(node.edges):
                self.choices[choice.label] = list(choice.names)
                self.labels[source].append(choice.label)
                edges[source].append(nn.ModuleDict({name: choice[name] for name in choice.names}))
        self.fans = nn.ModuleList(Fan(fan, fan[0][POOLS[0]][0].stride) for fan in edges)

    def forward(self, mixing: Mapping[str, Tensor], before_last: Tensor, last: Tensor) -> Tensor:
        states = [self.preprocess_0(before_last), self.preprocess_1(last)]
        kind = before_last.device.type
        dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else before_last.dtype
        statistics = RunningStatistics()
        with torch.autocast(kind, enabled=False):
            sums, nodes = None, []
            for fan, labels in enumerate(self.labels):
                x = states[fan] if fan < 2 else nodes[-1]
                weights = torch.stack([mixing[label] for label in labels])
                leaving = self.fans[fan](x.to(dtype, memory_format=torch.channels_last), weights, statistics)
                sums = leaving if sums is None else leaving.add_(sums)
                if fan > 0:  # all edges to the next node are in
                    node, sums = sums.split([x.shape[1], sums.shape[1] - x.shape[1]], dim=1)
                    nodes.append(node)
            statistics.apply()
            return torch.cat(nodes, dim=1)
