"""Convolutions, pools and normalisations of the fused DARTS cell, forward and backward, by the kernels that are fast on a CPU.

Everything is in channels_last. oneDNN has fast forward kernels for every depthwise convolution, but its gradients fall back to reference
loops, ten to a hundred times slower, where the kernel is strided or dilated (both gradients) or wider than three columns (the weights'
gradient). All are expressed here by what is fast. The input's gradient of an unstrided convolution is the convolution with the kernel
turned round. A dilated convolution is an undilated one on the four images of even and odd rows and columns, a strided one is the sum of
four such convolutions with three by three kernels, and a kernel of five columns is one of three and one of two. Which form a shape gets is
decided by the constants below, measured once, on a Xeon with AVX-512, and not on each machine.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional

FAST_COLUMNS = 3
NARROW_COPY, NARROW_SUM = 32, 64  # bytes; to copy or to sum narrower rows costs more than the same as a pointwise convolution


def depthwise(x: Tensor, kernel: Tensor, stride: int = 1, dilation: int = 1) -> Tensor:
    """Convolve [N, K, H, W] with [K, 1, k, k], k = 3 or 5, padded by half its reach, to [N, K, ceil(H / stride), ceil(W / stride)]."""
    return functional.conv2d(x, kernel, None, stride, dilation * (kernel.shape[2] // 2), dilation, groups=len(kernel))


def depthwise_x_gradient(gradient: Tensor, kernel: Tensor, size: torch.Size, stride: int = 1, dilation: int = 1) -> Tensor:
    """Return the gradient of ``depthwise`` for its input, of the height and width of ``size``; the dilation is 1 where the stride is 2."""
    if stride == 1:
        return depthwise(gradient, kernel.flip(2, 3), 1, dilation)
    first = 2 - kernel.shape[2] // 2  # of the offsets -2 ... 3
    after = 6 - first - kernel.shape[2]
    grid = functional.pad(kernel, (first, after, first, after)).view(-1, 1, 3, 2, 3, 2)
    # A tap at offset 2 i + p reads the image of parity p at offset i, which is -1, 0 or 1.
    kernels = grid.permute(3, 5, 0, 1, 2, 4).reshape(4, -1, 1, 3, 3).flip(3, 4)
    return join_parities(torch.stack([depthwise(gradient, kernel) for kernel in kernels]), size)


def depthwise_kernel_gradient(gradient: Tensor, x: Tensor, size: int, stride: int = 1, dilation: int = 1) -> Tensor:
    """Return the gradient of ``depthwise`` for its kernel [K, 1, size, size]; the dilation is 1 where the stride is 2."""
    if stride == 2:
        kernels = torch.stack([_native_kernel_gradient(gradient, part, 3, 3, 1) for part in split_parities(x)])
        first = 2 - size // 2
        grid = kernels.view(2, 2, -1, 1, 3, 3).permute(2, 3, 4, 0, 5, 1).reshape(-1, 1, 6, 6)
        return grid[:, :, first : first + size, first : first + size]
    if dilation == 2:
        gradient, x = split_parities(gradient).flatten(0, 1), split_parities(x).flatten(0, 1)
    reach = size // 2
    if size <= FAST_COLUMNS:
        return _native_kernel_gradient(gradient, x, size, size, reach)
    parts = []
    for first in range(0, size, FAST_COLUMNS):  # columns first, first + 1, ... of the kernel
        columns = min(FAST_COLUMNS, size - first)
        window = functional.pad(x, (reach - first, first + columns - 1 - reach, reach, reach))
        parts.append(_native_kernel_gradient(gradient, window, size, columns, 0))
    return torch.cat(parts, dim=3)


def _native_kernel_gradient(gradient: Tensor, x: Tensor, rows: int, columns: int, padding: int) -> Tensor:
    kernel = x.new_empty(x.shape[1], 1, rows, columns)
    return torch.ops.aten.convolution_backward(
        gradient, x, kernel, None, [1, 1], [padding, padding], [1, 1], False, [0, 0], len(kernel), [False, True, False]
    )[1]


def split_parities(x: Tensor) -> Tensor:
    """Return the even and odd rows and columns of [N, K, H, W], odd sides padded by zeros: [4, N, K, ceil(H / 2), ceil(W / 2)]."""
    if x.shape[2] % 2 or x.shape[3] % 2:
        x = functional.pad(x, (0, x.shape[3] % 2, 0, x.shape[2] % 2))
    images, channels, height, width = x.shape
    parts = x.permute(0, 2, 3, 1).view(images, height // 2, 2, width // 2, 2, channels).permute(2, 4, 0, 1, 3, 5)
    return parts.reshape(4, images, height // 2, width // 2, channels).permute(0, 1, 4, 2, 3)


def join_parities(parts: Tensor, size: torch.Size) -> Tensor:
    """Return the inverse of ``split_parities``, of an image whose height and width are the last of ``size``."""
    _, images, channels, half_height, half_width = parts.shape
    x = parts.permute(1, 3, 4, 0, 2).view(images, half_height, half_width, 2, 2, channels).transpose(2, 3)
    x = x.reshape(images, 2 * half_height, 2 * half_width, channels).permute(0, 3, 1, 2)
    return x[:, :, : size[-2], : size[-1]].contiguous(memory_format=torch.channels_last)


def pointwise(x: Tensor, kernel: Tensor, bias: Tensor | None = None) -> Tensor:
    """Convolve [N, K, H, W] with [L, K / groups, 1, 1] to [N, L, H, W]."""
    return functional.conv2d(x, kernel, bias, groups=x.shape[1] // kernel.shape[1])


def pointwise_x_gradient(gradient: Tensor, kernel: Tensor, groups: int) -> Tensor:
    """Return the gradient of ``pointwise`` for its input."""
    return pointwise(gradient, kernel.unflatten(0, (groups, -1)).transpose(1, 2).flatten(0, 1))


def pointwise_kernel_gradient(gradient: Tensor, x: Tensor, kernel: Tensor) -> Tensor:
    """Return the gradient of ``pointwise`` for its kernel."""
    groups, wanted = x.shape[1] // kernel.shape[1], [False, True, False]
    return torch.ops.aten.convolution_backward(gradient, x, kernel, None, [1, 1], [0, 0], [1, 1], False, [0, 0], groups, wanted)[1]


def spread(x: Tensor, copies: int) -> Tensor:
    """Copy the channels of [N, C, H, W]: [N, copies * C, H, W]."""
    if copies == 1:
        return x
    if _is_narrow(x, x.shape[1], NARROW_COPY):
        return pointwise(x, _identities(x.shape[1], copies, x.dtype))
    return torch.cat(copies * [x], dim=1)


def gather(x: Tensor, copies: int) -> Tensor:
    """Sum up the copies in [N, copies * C, H, W], the gradient of ``spread``: [N, C, H, W]."""
    if copies == 1:
        return x
    channels = x.shape[1] // copies
    if _is_narrow(x, channels, NARROW_SUM):
        return pointwise(x, _identities(channels, copies, x.dtype).transpose(0, 1))
    first, second, *others = x.chunk(copies, dim=1)
    total = first + second
    for other in others:
        total += other
    return total


def _is_narrow(x: Tensor, channels: int, limit: int) -> bool:
    return x.device.type == "cpu" and x.dtype != torch.float64 and channels * x.dtype.itemsize < limit


@lru_cache(maxsize=256)
def _identities(channels: int, copies: int, dtype: torch.dtype) -> Tensor:
    return torch.eye(channels, dtype=dtype).repeat(copies, 1).view(copies * channels, channels, 1, 1)


def average_pool(x: Tensor, stride: int) -> Tensor:
    """Return the mean of the pixels under a window of three by three, those outside the image not counted."""
    return depthwise(x, _ones((x.shape[1], 1, 3, 3), x.dtype, x.device), stride).div_(_pixels_in_window(x, stride))


def average_pool_gradient(gradient: Tensor, x: Tensor, stride: int) -> Tensor:
    """Return the gradient of ``average_pool`` for its input ``x``."""
    ones = _ones((x.shape[1], 1, 3, 3), x.dtype, x.device)
    return depthwise_x_gradient(gradient / _pixels_in_window(x, stride), ones, x.shape, stride)


def _pixels_in_window(x: Tensor, stride: int) -> Tensor:
    return _counts(*x.shape[2:], stride, x.dtype, x.device)


@lru_cache(maxsize=256)
def _counts(height: int, width: int, stride: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    return depthwise(_ones((1, 1, height, width), dtype, device), _ones((1, 1, 3, 3), dtype, device), stride)


@lru_cache(maxsize=256)
def _ones(shape: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    return torch.ones(shape, dtype=dtype, device=device)


def batch_statistics(y: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and biased variance [K] over the batch and the pixels, in float32 at least."""
    if y.device.type not in ("cpu", "cuda"):  # torch has no such function for Apple's GPUs
        variance, mean = torch.var_mean(y.float(), (0, 2, 3), correction=0)
        return mean, variance
    # Unused running statistics in float32 make the native function keep those of a half precision batch in float32.
    if y.dtype.itemsize > 2:
        mean, variance = torch.batch_norm_update_stats(y, None, None, 0.0)
    else:
        unused = torch.zeros(y.shape[1], device=y.device)  # not cached: a NaN of this batch would stay in it
        mean, variance = torch.batch_norm_update_stats(y, unused, unused, 0.0)
    return mean, variance


def scale_centred(y: Tensor, mean: Tensor, scale: Tensor) -> Tensor:
    """Return (y - mean) * scale, per channel; computed in the precision of ``scale`` and rounded once."""
    return functional.batch_norm(y, mean, _ones(mean.shape, mean.dtype, mean.device), scale, None, False, 0.0, 0.0)


def normalised_gradient(gradient: Tensor, normalised: Tensor, batch: bool) -> Tensor:
    """Return the gradient of z = (y - mean) * rstd for y, divided by rstd, from that for z.

    It goes through mean and rstd as well where they are the batch's own.
    """
    if not batch:
        return gradient
    dtype = normalised.dtype if normalised.dtype.itemsize > 2 else torch.float32
    rstd = _ones((normalised.shape[1],), dtype, normalised.device)
    return norm_gradients(gradient, normalised, None, torch.zeros_like(rstd), rstd, True, (True, False))[0]


def norm_gradients(
    gradient: Tensor, y: Tensor, weight: Tensor | None, mean: Tensor, rstd: Tensor, batch: bool, wanted: tuple[bool, bool]
) -> tuple[Tensor, Tensor]:
    """Return the gradients of (y - mean) * rstd * weight for y and the weight, through mean and rstd, too, where these are the batch's."""
    running = (None, None) if batch else (mean, rstd.pow(-2))
    return torch.ops.aten.native_batch_norm_backward(gradient, y, weight, *running, mean, rstd, batch, 0.0, [*wanted, False])[:2]
