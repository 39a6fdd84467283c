"""Convolutions of narrow and depthwise kind whose gradients use only the kernels that are fast on a CPU.

oneDNN has fast forward kernels for every depthwise convolution in channels_last, but its gradients fall back to reference loops, ten to
a hundred times slower, where the kernel is strided or dilated (both gradients) or wider than three columns (the weights' gradient).
All are expressed here by what is fast. The input's gradient of an unstrided convolution is the convolution with the kernel turned round.
A dilated convolution is an undilated one on the four images of even and odd rows and columns, a strided one is the sum of four such
convolutions with three by three kernels, and a kernel of five columns is one of three and one of two.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

FAST_COLUMNS = 3
WIDE_ROW = 64  # bytes; copies and sums of narrower rows cost more than the same as a pointwise convolution


def depthwise_conv(x: Tensor, weight: Tensor, stride: int = 1, dilation: int = 1) -> Tensor:
    """[N, K, H, W], [K, 1, k, k] -> [N, K, ceil(H / stride), ceil(W / stride)], padded by half the odd kernel's reach; k is 3 or 5."""
    return DepthwiseConv.apply(x, weight, stride, dilation)


class DepthwiseConv(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, stride: int, dilation: int) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.stride, ctx.dilation = stride, dilation
        padding = dilation * (weight.shape[2] // 2)
        return functional.conv2d(x, weight, None, stride, padding, dilation, groups=len(weight))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        gradient = gradient.contiguous(memory_format=torch.channels_last)
        x_gradient = weight_gradient = None
        if ctx.stride == 2:
            x_gradient, weight_gradient = _strided_gradients(gradient, x, weight, ctx.needs_input_grad[:2])
        else:
            if ctx.needs_input_grad[0]:
                padding = ctx.dilation * (weight.shape[2] // 2)
                x_gradient = functional.conv2d(gradient, weight.flip(2, 3), None, 1, padding, ctx.dilation, groups=len(weight))
            if ctx.needs_input_grad[1]:
                if ctx.dilation == 2:
                    gradient, x = (split_parities(tensor).flatten(0, 1) for tensor in (gradient, x))
                weight_gradient = _weight_gradient(gradient, x, weight.shape[2])
        return x_gradient, weight_gradient, None, None


def _weight_gradient(gradient: Tensor, x: Tensor, size: int) -> Tensor:
    """[N, K, H, W] twice -> [K, 1, size, size]."""
    reach = size // 2
    if size <= FAST_COLUMNS:
        return _native_weight_gradient(gradient, x, size, size, reach)
    parts = []
    for first in range(0, size, FAST_COLUMNS):  # columns first, first + 1, ... of the kernel
        columns = min(FAST_COLUMNS, size - first)
        left, right = reach - first, first + columns - 1 - reach
        parts.append(_native_weight_gradient(gradient, functional.pad(x, (left, right, reach, reach)), size, columns, 0))
    return torch.cat(parts, dim=3)


def _native_weight_gradient(gradient: Tensor, x: Tensor, rows: int, columns: int, padding: int) -> Tensor:
    weight = x.new_empty(x.shape[1], 1, rows, columns)
    return torch.ops.aten.convolution_backward(
        gradient, x, weight, None, [1, 1], [padding, padding], [1, 1], False, [0, 0], len(weight), [False, True, False]
    )[1]


def split_parities(x: Tensor) -> Tensor:
    """[N, K, H, W] -> [4, N, K, ceil(H / 2), ceil(W / 2)]: even and odd rows and columns, odd sides padded by zeros."""
    if x.shape[2] % 2 or x.shape[3] % 2:
        x = functional.pad(x, (0, x.shape[3] % 2, 0, x.shape[2] % 2))
    images, channels, height, width = x.shape
    parts = x.permute(0, 2, 3, 1).view(images, height // 2, 2, width // 2, 2, channels).permute(2, 4, 0, 1, 3, 5)
    return parts.reshape(4, images, height // 2, width // 2, channels).permute(0, 1, 4, 2, 3)


def _join_parities(parts: Tensor, height: int, width: int) -> Tensor:
    """The inverse of ``split_parities``."""
    _, images, channels, half_height, half_width = parts.shape
    x = parts.permute(1, 3, 4, 0, 2).reshape(images, half_height, half_width, 2, 2, channels).transpose(2, 3)
    return x.reshape(images, 2 * half_height, 2 * half_width, channels).permute(0, 3, 1, 2)[:, :, :height, :width]


def _strided_gradients(gradient: Tensor, x: Tensor, weight: Tensor, wanted: tuple[bool, bool]) -> tuple[Tensor | None, Tensor | None]:
    """Gradients of a convolution with stride 2: its taps at offset 2 i + p read the image of parity p at offset i, which is -1, 0 or 1."""
    x_gradient = weight_gradient = None
    first = 2 - weight.shape[2] // 2  # of the offsets -2 ... 3
    last = first + weight.shape[2]
    if wanted[0]:
        grid = functional.pad(weight, (first, 6 - last, first, 6 - last)).view(-1, 1, 3, 2, 3, 2)
        kernels = grid.permute(3, 5, 0, 1, 2, 4).reshape(4, *weight.shape[:2], 3, 3).flip(3, 4)
        parts = torch.stack([functional.conv2d(gradient, kernel, None, 1, 1, groups=len(weight)) for kernel in kernels])
        x_gradient = _join_parities(parts, *x.shape[2:])
    if wanted[1]:
        kernels = torch.stack([_native_weight_gradient(gradient, part, 3, 3, 1) for part in split_parities(x)])
        grid = kernels.view(2, 2, -1, 1, 3, 3).permute(2, 3, 4, 0, 5, 1).reshape(-1, 1, 6, 6)
        weight_gradient = grid[:, :, first:last, first:last]
    return x_gradient, weight_gradient


def spread(x: Tensor, copies: int) -> Tensor:
    """[N, C, H, W] -> [N, copies * C, H, W]."""
    return x if copies == 1 else Spread.apply(x, copies)


class Spread(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, copies: int) -> Tensor:
        ctx.copies = copies
        kernel = _narrow_identity(x, x.shape[1])
        return torch.cat(copies * [x], dim=1) if kernel is None else functional.conv2d(x, kernel.repeat(copies, 1, 1, 1))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        kernel = _narrow_identity(gradient, gradient.shape[1] // ctx.copies)
        if kernel is not None:
            return functional.conv2d(gradient, kernel.repeat(1, ctx.copies, 1, 1)), None
        first, second, *others = gradient.chunk(ctx.copies, dim=1)
        total = first + second
        for other in others:
            total += other
        return total, None


def _narrow_identity(x: Tensor, channels: int) -> Tensor | None:
    if x.device.type != "cpu" or x.dtype == torch.float64 or channels * x.dtype.itemsize >= WIDE_ROW:
        return None
    return torch.eye(channels, dtype=x.dtype).view(channels, channels, 1, 1)


def average_pool(x: Tensor, stride: int) -> Tensor:
    """Mean of the pixels under a window of three by three, those outside the image not counted."""
    height, width = x.shape[2:]
    ones = x.new_ones(x.shape[1], 1, 3, 3)
    rows, columns = (x.new_full((size,), 3.0) for size in (height, width))
    for counts in (rows, columns):
        counts[0] -= 1
        counts[-1] -= 1
    factor = 1 / (rows[::stride, None] * columns[::stride])
    return depthwise_conv(x, ones, stride) * factor


class DenseGradient(torch.autograd.Function):
    """The identity, whose gradient is laid out in channels_last: kernels that follow are slow on slices."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.view_as(x)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return gradient.contiguous(memory_format=torch.channels_last)
