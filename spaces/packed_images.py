"""Several images side by side in the channels: [N, C, H, W] as [N / pack, pack * C, H, W], and what acts on them, in channels_last.

Image ``n`` of ``N`` is in row ``n % (N / pack)``. Products and normalisations see a tensor as rows of pixels, [P, pack * C].
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

LINE = 256  # values


def pack_images(x: Tensor, pack: int) -> Tensor:
    """[N, C, H, W] -> [N / pack, pack * C, H, W]."""
    if pack == 1:
        return x.contiguous(memory_format=torch.channels_last)
    parts = x.permute(0, 2, 3, 1).unflatten(0, (pack, -1))
    return parts.permute(1, 2, 3, 0, 4).flatten(3).permute(0, 3, 1, 2)


def unpack_images(x: Tensor, pack: int) -> Tensor:
    """The inverse of ``pack_images``."""
    if pack == 1:
        return x
    parts = x.permute(0, 2, 3, 1).unflatten(3, (pack, -1))
    return parts.permute(3, 0, 1, 2, 4).flatten(0, 1).permute(0, 3, 1, 2)


def as_rows(x: Tensor) -> Tensor:
    """[N, K, H, W] -> [N * H * W, K]."""
    return x.permute(0, 2, 3, 1).reshape(-1, x.shape[1])


def as_images(rows: Tensor, like: Tensor) -> Tensor:
    """[N * H * W, K] -> [N, K, H, W], the other sizes those of ``like``."""
    return rows.view(like.shape[0], like.shape[2], like.shape[3], -1).permute(0, 3, 1, 2)


@lru_cache(maxsize=64)
def _blocks(rows: int, columns: int, pack: int, dtype: torch.dtype) -> Tensor:
    return torch.block_diag(*pack * [torch.ones(rows, columns, dtype=dtype)])


def block_diagonal(kernel: Tensor, pack: int) -> Tensor:
    """[L, C, 1, 1] -> [pack * L, pack * C]: the pointwise convolution of ``pack`` images side by side."""
    kernel = kernel.flatten(1)
    return kernel if pack == 1 else kernel.repeat(pack, pack).mul_(_blocks(*kernel.shape, pack, kernel.dtype))


def sum_of_blocks(gradient: Tensor, pack: int) -> Tensor:
    """[pack * L, pack * C] -> [L, C, 1, 1]: the gradient of ``block_diagonal``."""
    if pack > 1:
        rows, columns = gradient.shape[0] // pack, gradient.shape[1] // pack
        gradient = (gradient * _blocks(rows, columns, pack, gradient.dtype)).view(pack, rows, pack, columns).sum((0, 2))
    return gradient[:, :, None, None]


def normalise(rows: Tensor, norm: Any, weight: Tensor, bias: Tensor, pack: int) -> tuple[Tensor, Tensor, Tensor]:
    """What ``norm`` makes of [P, pack * C] in training, and the mean and the inverse standard deviation [C]; moves its running ones."""
    norm.num_batches_tracked.add_(1)
    if pack == 1:
        return torch.native_batch_norm(rows, weight, bias, norm.running_mean, norm.running_var, True, norm.momentum, norm.eps)
    lines = _lines(rows, len(weight))
    means, variances = (value.view(-1, len(weight)) for value in torch.batch_norm_update_stats(lines, None, None, 0.0))
    mean = means.mean(0)
    variance = variances.mean(0).add_((means - mean).square_().mean(0))
    count = rows.numel() // len(weight)
    norm.running_mean.lerp_(mean, norm.momentum)
    norm.running_var.lerp_(variance * (count / (count - 1)), norm.momentum)
    rstd = (variance + norm.eps).rsqrt_()
    scale = rstd * weight
    return _affine(lines, scale, bias - mean * scale).view_as(rows), mean, rstd


def normalise_backward(
    gradient: Tensor, rows: Tensor, weight: Tensor, mean: Tensor, rstd: Tensor, pack: int
) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients of the rows, the weight and the bias of ``normalise``."""
    backward = torch.ops.aten.native_batch_norm_backward
    if pack == 1:
        return backward(gradient, rows, weight, None, None, mean, rstd, True, 0.0, [True, True, True])
    channels = len(weight)
    lines, gradient_lines = _lines(rows, channels), _lines(gradient, channels)
    repeats = lines.shape[1] // channels
    means, rstds = mean.repeat(repeats), rstd.repeat(repeats)
    _, weights, biases = backward(
        gradient_lines, lines, None, means, rstds.pow(-2), means, rstds, False, 0.0, [False, True, True]
    )  # as if the statistics were constants: the sums alone are wanted
    weight_gradient, bias_gradient = (sums.view(-1, channels).sum(0) for sums in (weights, biases))
    scale = rstd * weight / (rows.numel() // channels)
    slope = -scale * rstd * weight_gradient
    result = _affine(lines, slope, -scale * bias_gradient - slope * mean).addcmul_(gradient_lines, (rstd * weight).repeat(repeats))
    return result.view_as(rows), weight_gradient, bias_gradient


def _lines(rows: Tensor, channels: int) -> Tensor:
    """[P, pack * C] -> [P / n, n * pack * C]: rows wide enough for vectors to be full."""
    wide = LINE // channels
    while rows.numel() % (wide * channels):
        wide //= 2
    return rows.view(-1, wide * channels)


def _affine(lines: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    repeats = lines.shape[1] // len(scale)
    return torch.addcmul(shift.repeat(repeats), lines, scale.repeat(repeats))
