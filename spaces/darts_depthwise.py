"""Depthwise convolution whose gradients use only the kernels that are fast on a CPU.

oneDNN has fast forward kernels for every depthwise convolution in channels_last, but its gradients fall back to reference loops, ten to
fifty times slower, where the kernel is dilated (both gradients) or wider than three columns (the weights' gradient). Both are expressed
here by what is fast: the input's gradient of an unstrided convolution is the convolution with the kernel turned round, a dilated
convolution is an undilated one on the images of every second row and column, and a kernel of five columns is one of three and one of two.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

FAST_COLUMNS = 3


def depthwise_conv(x: Tensor, weight: Tensor, stride: int, dilation: int) -> Tensor:
    """[N, K, H, W], [K, 1, k, k] -> [N, K, ceil(H / stride), ceil(W / stride)], padded by half the odd kernel's reach."""
    if stride == 2 and dilation == 2:  # reads only every second row and column
        x, stride, dilation = x[:, :, ::2, ::2].contiguous(memory_format=torch.channels_last), 1, 1
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
        if ctx.needs_input_grad[0]:
            reach = weight.shape[2] // 2
            if ctx.stride == 1:
                turned = weight.flip(2, 3)
                x_gradient = functional.conv2d(gradient, turned, None, 1, ctx.dilation * reach, ctx.dilation, groups=len(weight))
            else:
                x_gradient, _ = _native_gradients(gradient, x, weight, ctx.stride, (reach, reach), (True, False))
        if ctx.needs_input_grad[1]:
            weight_gradient = _weight_gradient(gradient, x, weight, ctx.stride, ctx.dilation)
        return x_gradient, weight_gradient, None, None


def _native_gradients(
    gradient: Tensor, x: Tensor, weight: Tensor, stride: int, padding: tuple[int, int], wanted: tuple[bool, bool]
) -> tuple[Tensor, Tensor]:
    x_gradient, weight_gradient, _ = torch.ops.aten.convolution_backward(
        gradient, x, weight, None, [stride, stride], padding, [1, 1], False, [0, 0], len(weight), [*wanted, False]
    )
    return x_gradient, weight_gradient


def _weight_gradient(gradient: Tensor, x: Tensor, weight: Tensor, stride: int, dilation: int) -> Tensor:
    if dilation == 2:
        gradient, x = _every_second(gradient), _every_second(x)
    size = weight.shape[2]
    reach = size // 2
    parts = []
    for first in range(0, size, FAST_COLUMNS):  # columns first, first + 1, ... of the kernel
        columns = min(FAST_COLUMNS, size - first)
        if columns == size:
            window, padding = x, (reach, reach)
        else:
            width = (gradient.shape[3] - 1) * stride + columns
            left = reach - first
            window, padding = functional.pad(x, (left, width - left - x.shape[3])), (reach, 0)
        part = weight[:, :, :, first : first + columns]
        parts.append(_native_gradients(gradient, window, part, stride, padding, (False, True))[1])
    return torch.cat(parts, dim=3)


def _every_second(x: Tensor) -> Tensor:
    """[N, K, H, W] -> [4 N, K, ceil(H / 2), ceil(W / 2)]: the four images of even and odd rows and columns, odd sides padded by zeros."""
    if x.shape[2] % 2 or x.shape[3] % 2:
        x = functional.pad(x, (0, x.shape[3] % 2, 0, x.shape[2] % 2))
    images, channels, height, width = x.shape
    parts = x.permute(0, 2, 3, 1).view(images, height // 2, 2, width // 2, 2, channels).permute(2, 4, 0, 1, 3, 5)
    return parts.reshape(4 * images, height // 2, width // 2, channels).permute(0, 3, 1, 2)
