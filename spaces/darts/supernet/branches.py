"""The operations of a DARTS cell, each on all edges of a fan at once, forward and backward.

The edges of a fan leave one state; their channels lie side by side. A branch maps its source [N, edges * C, H, W] to
[N, edges * C, H', W'], up to its last normalisation. What only the gradients of its kernels need is kept only where these are wanted.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from spaces.darts.supernet import torch_kernels as kernels
from spaces.darts.supernet.batch_statistics import BackwardPass, Statistics


class Branch:
    """One operation on all edges.

    Attributes
    ----------
    layers
        Its convolutions, of each the copies on the edges.
    norms
        Its last normalisations.
    source
        Which of the fan's sources it reads.
    number_of_kernels, number_kept
        How many packed kernels it has, and how many other tensors it keeps.
    """

    source: str
    number_of_kernels: int
    number_kept: int

    def __init__(self, name: str, edges: Sequence[Any], stride: int, layers: Sequence[int], norm: int) -> None:
        self.name, self.edges, self.stride = name, len(edges), stride
        self.layers = [[edge[name][index] for edge in edges] for index in layers]
        self.norms = [edge[name][norm] for edge in edges]

    def parameters(self) -> Iterator[nn.Parameter]:
        """Return the kernels of all edges, layer by layer."""
        return (convolution.weight for layer in self.layers for convolution in layer)

    @property
    def number_of_parameters(self) -> int:
        """How many ``parameters`` there are."""
        return len(self.layers) * self.edges

    def pack(self, parameters: Sequence[Tensor], dtype: torch.dtype) -> list[Tensor]:
        """Return the kernels for all edges at once, from the parameters in the order of ``parameters()``."""
        return [torch.cat(list(parameters[first : first + self.edges])).to(dtype) for first in range(0, len(parameters), self.edges)]

    def unpack(self, gradients: Sequence[Tensor], dtype: torch.dtype) -> list[Tensor]:
        """Return the gradients of the parameters from those of the packed kernels."""
        return [part for gradient in gradients for part in gradient.to(dtype).chunk(self.edges)]

    def forward(self, source: Tensor, packed: Sequence[Tensor], statistics: Statistics) -> tuple[Tensor, list[Tensor], list[Tensor]]:
        """Return the output, the tensors that are kept for every backward pass, and those kept for the gradients of the kernels."""
        raise NotImplementedError

    def backward(
        self, gradient: Tensor, source: Tensor | None, packed: Sequence[Tensor], kept: Sequence[Any], to: BackwardPass
    ) -> tuple[Any, list[Any]]:
        """Return the gradients of the source and of the packed kernels; the source itself is given where the parameters' are wanted."""
        raise NotImplementedError


class Separable(Branch):
    """Depthwise and pointwise convolution, normalisation, ReLU, depthwise and pointwise convolution."""

    source = "full"
    number_of_kernels = 4
    number_kept = 4

    def __init__(self, name: str, edges: Sequence[Any], stride: int) -> None:
        super().__init__(name, edges, stride, (1, 2, 5, 6), 7)
        self.hidden_norms = [edge[name][3] for edge in edges]

    def forward(self, source: Tensor, packed: Sequence[Tensor], statistics: Statistics) -> tuple[Tensor, list[Tensor], list[Tensor]]:
        first = kernels.depthwise(source, packed[0], self.stride)
        hidden = kernels.pointwise(first, packed[1])
        mean, rstd = statistics.measure(hidden, self.hidden_norms)
        normalised = kernels.scale_centred(hidden, mean, rstd)
        second = kernels.depthwise(normalised.relu(), packed[2])
        return kernels.pointwise(second, packed[3]), [normalised, rstd], [first, second]

    def backward(
        self, gradient: Tensor, source: Tensor | None, packed: Sequence[Tensor], kept: Sequence[Any], to: BackwardPass
    ) -> tuple[Any, list[Any]]:
        normalised, rstd, first, second = kept
        grads: list[Tensor | None] = [None, None, None, None]
        if to.want_parameters:
            grads[3] = kernels.pointwise_kernel_gradient(gradient, second, packed[3])
        gradient = kernels.pointwise_x_gradient(gradient, packed[3], self.edges)
        if to.want_parameters:
            grads[2] = kernels.depthwise_kernel_gradient(gradient, normalised.relu(), packed[2].shape[2])
        gradient = kernels.depthwise_x_gradient(gradient, packed[2], normalised.shape)
        gradient = torch.ops.aten.threshold_backward(gradient, normalised, 0)
        gradient = kernels.normalised_gradient(gradient, normalised, to.of_batch)
        scale = rstd.view(-1, 1, 1, 1)  # of the gradient, which is cheaper on the kernel
        if to.want_parameters:
            grads[1] = kernels.pointwise_kernel_gradient(gradient, first, packed[1]) * scale
        gradient = kernels.pointwise_x_gradient(gradient, (packed[1] * scale).to(gradient.dtype), self.edges)
        if source is not None:
            grads[0] = kernels.depthwise_kernel_gradient(gradient, source, packed[0].shape[2], self.stride)
        return kernels.depthwise_x_gradient(gradient, packed[0], to.size, self.stride) if to.want_state else None, grads


class Dilated(Branch):
    """Dilated depthwise convolution and pointwise convolution; with stride 2 undilated, on every second row and column."""

    source = "strided"
    number_of_kernels = 2
    number_kept = 1

    def __init__(self, name: str, edges: Sequence[Any], stride: int) -> None:
        super().__init__(name, edges, stride, (1, 2), 3)
        self._dilation = 2 // stride

    def forward(self, source: Tensor, packed: Sequence[Tensor], statistics: Statistics) -> tuple[Tensor, list[Tensor], list[Tensor]]:
        inner = kernels.depthwise(source, packed[0], 1, self._dilation)
        return kernels.pointwise(inner, packed[1]), [], [inner]

    def backward(
        self, gradient: Tensor, source: Tensor | None, packed: Sequence[Tensor], kept: Sequence[Any], to: BackwardPass
    ) -> tuple[Any, list[Any]]:
        grads: list[Tensor | None] = [None, None]
        if to.want_parameters:
            grads[1] = kernels.pointwise_kernel_gradient(gradient, kept[0], packed[1])
        gradient = kernels.pointwise_x_gradient(gradient, packed[1], self.edges)
        if source is not None:
            grads[0] = kernels.depthwise_kernel_gradient(gradient, source, packed[0].shape[2], 1, self._dilation)
        return kernels.depthwise_x_gradient(gradient, packed[0], gradient.shape, 1, self._dilation) if to.want_state else None, grads


class Factorized(Branch):
    """The skip connection of stride 2: half of its channels from even rows and columns, half from odd ones, side by side in its source."""

    source = "corners"
    number_of_kernels = 1
    number_kept = 0

    def __init__(self, name: str, edges: Sequence[Any], stride: int) -> None:
        self.name, self.edges, self.stride = name, len(edges), stride
        self.layers = [[edge[name].conv_1 for edge in edges], [edge[name].conv_2 for edge in edges]]
        self.norms = [edge[name].norm for edge in edges]

    def pack(self, parameters: Sequence[Tensor], dtype: torch.dtype) -> list[Tensor]:
        even, odd = parameters[: self.edges], parameters[self.edges :]
        channels = even[0].shape[1]
        halves = [functional.pad(kernel, (0, 0, 0, 0, 0, channels)) for kernel in even]
        others = [functional.pad(kernel, (0, 0, 0, 0, channels, 0)) for kernel in odd]
        return [torch.cat([half for pair in zip(halves, others, strict=True) for half in pair]).to(dtype)]

    def unpack(self, gradients: Sequence[Tensor], dtype: torch.dtype) -> list[Tensor]:
        channels = gradients[0].shape[1] // 2
        half = channels // 2
        edges = gradients[0].to(dtype).chunk(self.edges)
        return [edge[:half, :channels] for edge in edges] + [edge[half:, channels:] for edge in edges]

    def forward(self, source: Tensor, packed: Sequence[Tensor], statistics: Statistics) -> tuple[Tensor, list[Tensor], list[Tensor]]:
        return kernels.pointwise(source, packed[0]), [], []

    def backward(
        self, gradient: Tensor, source: Tensor | None, packed: Sequence[Tensor], kept: Sequence[Any], to: BackwardPass
    ) -> tuple[Any, list[Any]]:
        kernel = None if source is None else kernels.pointwise_kernel_gradient(gradient, source, packed[0])
        return kernels.pointwise_x_gradient(gradient, packed[0], 1) if to.want_state else None, [kernel]


class ParameterFree:
    """The pools, and the skip connection of stride 1: their weighted sum on all edges is one pointwise convolution of them."""

    POOLS = ("max_pool_3x3", "avg_pool_3x3")
    SKIP = "skip_connect"
    number_kept = 4

    def __init__(self, names: Sequence[str], edges: Sequence[Any], stride: int) -> None:
        self.stride = stride
        self.norms = [[edge[name][1] for name in self.POOLS] for edge in edges]
        self.columns = [names.index(name) for name in (*self.POOLS, *([self.SKIP] if stride == 1 else []))]

    def forward(self, x: Tensor, mixing: Tensor, statistics: Statistics) -> tuple[Tensor, list[Tensor]]:
        """Return the sum [N, edges * C, H', W'], by the weights ``mixing`` [edges, operations], and the tensors that are kept."""
        channels = x.shape[1]
        largest, where = torch.ops.aten.max_pool2d_with_indices(x, 3, self.stride, 1)
        pools = torch.cat([largest, kernels.average_pool(x, self.stride)], dim=1)
        if statistics.of_batch:
            mean, rstd = (value.view(1, -1) for value in statistics.measure(pools, self.norms[0], self.norms[1:]))
        else:  # those of the edges may differ
            measured = [statistics.measure(pools, norms) for norms in self.norms]
            mean, rstd = (torch.stack(values) for values in zip(*measured, strict=True))
        weights = mixing[:, self.columns].repeat_interleave(channels, dim=1)  # [edges, sources * C]
        weights[:, : rstd.shape[1]] *= rstd
        bias = -(weights[:, : rstd.shape[1]] * mean).view(len(mixing), -1, channels).sum(1).flatten()
        kernel = self._kernel(weights, channels)
        both = torch.cat([pools, x], dim=1) if self.stride == 1 else pools
        rounded = kernel.to(x.dtype)
        if rounded.dtype != kernel.dtype:  # half precision cannot tell the weights of a young search apart: add what rounding lost
            both, rounded = torch.cat([both, both], dim=1), torch.cat([rounded, (kernel - rounded).to(x.dtype)], dim=1)
        return kernels.pointwise(both, rounded, bias.to(x.dtype)), [pools, where, mean, rstd]

    def backward(self, gradient: Tensor, x: Tensor, mixing: Tensor, kept: Sequence[Tensor], to: BackwardPass) -> tuple[Any, Tensor]:
        """Return the gradients of the state and of the mixing weights, the latter [edges, operations]."""
        pools, where, mean, rstd = kept
        channels, edges, pooled = x.shape[1], len(mixing), pools.shape[1]
        mixing_gradient = torch.zeros_like(mixing)
        if to.want_mixing:
            both = torch.cat([pools, x], dim=1) if self.stride == 1 else pools
            products = self._products(gradient, both, edges)  # [edges, sources, C]
            sums = gradient.sum((0, 2, 3), dtype=mixing.dtype).view(edges, 1, channels)
            normalised = (products[:, :2] - sums * mean.view(-1, 2, channels)) * rstd.view(-1, 2, channels)
            mixing_gradient[:, self.columns] = torch.cat([normalised, products[:, 2:]], dim=1).sum(2)
        if not to.want_state:
            return None, mixing_gradient
        weights = mixing[:, self.columns].repeat_interleave(channels, dim=1)
        if not to.of_batch:
            weights[:, :pooled] *= rstd
        back = self._kernel(weights, channels).transpose(0, 1).contiguous().to(x.dtype)
        pool_gradient = kernels.pointwise(gradient, back[:pooled])
        if to.of_batch:
            pool_gradient, _ = kernels.norm_gradients(pool_gradient, pools, None, mean.flatten(), rstd.flatten(), True, (True, False))
        of_largest, of_average = (part.contiguous(memory_format=torch.channels_last) for part in pool_gradient.split(channels, dim=1))
        stride = [self.stride, self.stride]
        x_gradient = torch.ops.aten.max_pool2d_with_indices_backward(of_largest, x, [3, 3], stride, [1, 1], [1, 1], False, where)
        x_gradient += kernels.average_pool_gradient(of_average, x, self.stride)
        if self.stride == 1:
            x_gradient += kernels.pointwise(gradient, back[pooled:])
        return x_gradient, mixing_gradient

    @staticmethod
    def _kernel(weights: Tensor, channels: int) -> Tensor:
        """Return weights [edges, sources * C] as [edges * C, sources * C, 1, 1]: channel c of an edge reads channel c of every source."""
        return torch.diag_embed(weights.view(len(weights), -1, channels)).transpose(1, 2).reshape(-1, weights.shape[1], 1, 1)

    @staticmethod
    def _products(gradient: Tensor, both: Tensor, edges: int) -> Tensor:
        """Return sums over batch and pixels of each edge's gradient times each source: [edges, sources, C]."""
        channels = gradient.shape[1] // edges
        kernel = both.new_empty(gradient.shape[1], both.shape[1], 1, 1)
        products = kernels.pointwise_kernel_gradient(gradient, both, kernel)
        return products.view(edges, channels, -1, channels).diagonal(dim1=1, dim2=3)


class NoParameterFree:
    """Neither pools nor a skip connection of stride 1: in the place of ``ParameterFree`` where a fan has convolutions alone."""

    number_kept = 0

    def __init__(self, stride: int) -> None:
        self.stride = stride
        self.norms: list[list[Any]] = []
        self.columns: list[int] = []

    def forward(self, x: Tensor, mixing: Tensor, statistics: Statistics) -> tuple[Tensor, list[Tensor]]:
        """Return zeros [N, edges * C, H', W']."""
        images, channels, height, width = x.shape
        size = (images, len(mixing) * channels, -(-height // self.stride), -(-width // self.stride))
        return torch.empty(size, dtype=x.dtype, device=x.device, memory_format=torch.channels_last).zero_(), []

    def backward(self, gradient: Tensor, x: Tensor, mixing: Tensor, kept: Sequence[Tensor], to: BackwardPass) -> tuple[Any, Tensor]:
        """Return gradients of zero."""
        return torch.zeros_like(x) if to.want_state else None, torch.zeros_like(mixing)
