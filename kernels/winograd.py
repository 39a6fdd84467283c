"""Dense 3x3 convolutions on a CPU in float32 by Winograd's minimal filtering, forward and backward.

Lavin and Gray (2016), "Fast algorithms for convolutional neural networks" (arXiv 1509.09308), F(4x4, 3x3): a quarter of the
multiplications. The kernels are in ``native/winograd.c``; torch's own library computes directly. Results differ from its by the rounding of
the transforms, some 1e-5 of the largest; a pixel that is no number spoils the tile of 4x4 pixels that it is in, and those beside it.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from kernels import calls
from kernels.build import kernels_for, run_on
from kernels.calls import checked

TILE, PRODUCTS = 4, 36  # pixels along the side of a tile, multiplications in one
# Otherwise the transforms take longer than the products that they spare; measured on a processor with AVX2.
LEAST_CHANNELS, LEAST_PAIRS = 16, 512  # read or written, and those read times those written
LEAST_TILES = 32  # of all images: the kernels are transformed for each batch anew
MOST_PRODUCTS = 0.65  # of those that torch's convolution takes: maps that fill their tiles badly are left to it


def convolve(x: Tensor, kernels: Tensor) -> Tensor:
    """Return ``x`` [N, C, H, W] convolved with ``kernels`` [3, 3, C, out_channels], padded by one pixel: [N, out_channels, H, W]."""
    images, channels, height, width = x.shape
    kernels = checked(kernels.contiguous(), x.dtype, 3, 3, channels, kernels.shape[3])
    y = torch.empty(images, kernels.shape[3], height, width, dtype=x.dtype, memory_format=torch.channels_last)
    calls.call("winograd", x.dtype, images, height, width, channels, kernels.shape[3], _pixels(x), kernels, _pixels(y))
    return y


def kernel_gradients(x: Tensor, gradient: Tensor) -> Tensor:
    """Return the gradient of ``kernels`` [3, 3, C, out_channels], from ``x`` [N, C, H, W] and ``gradient`` [N, out_channels, H, W]."""
    images, channels, height, width = x.shape
    kernels = x.new_empty(3, 3, channels, gradient.shape[1])
    of_pixels = checked(_pixels(gradient), x.dtype, images, height, width, gradient.shape[1])
    calls.call("winograd_kernels", x.dtype, images, height, width, channels, gradient.shape[1], _pixels(x), of_pixels, kernels)
    return kernels


def _pixels(x: Tensor) -> Tensor:
    """Return [N, C, H, W] as [N, H, W, C], the numbers next to one another."""
    return x.permute(0, 2, 3, 1).contiguous()


class Winograd(torch.autograd.Function):
    """``x`` [N, C, H, W], ``weight`` [out_channels, C, 3, 3] -> [N, out_channels, H, W], as a convolution padded by one pixel has it.

    Both in float32, or both in float64, on a CPU.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return convolve(x, weight.permute(2, 3, 1, 0))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None]:
        x, weight = ctx.saved_tensors
        of_x = convolve(gradient, weight.flip(2, 3).permute(2, 3, 0, 1)) if ctx.needs_input_grad[0] else None
        of_weight = kernel_gradients(x, gradient).permute(3, 2, 0, 1) if ctx.needs_input_grad[1] else None
        return of_x, of_weight


def convolve_padded(x: Tensor, weight: Tensor) -> Tensor:
    """Return ``x`` [N, C, H, W] convolved with ``weight`` [out_channels, C, 3, 3], padded by one pixel, by whatever is faster."""
    if not _is_faster(x, weight):
        return functional.conv2d(x, weight, padding=1)
    y: Tensor = Winograd.apply(x, weight)
    return y


class WinogradConv2d(nn.Conv2d):
    """A dense 3x3 convolution of stride 1 that is padded by one pixel: the function, names and parameters of ``nn.Conv2d``.

    Whatever is not faster by the kernels, or not computed by them (on a GPU, in bfloat16), goes to torch. What they compute lies in
    channels_last, whatever the images do, and has gradients of the first order alone; ``RETIARIUS_KERNELS=torch`` does without them.
    """

    is_conv2d = True  # what may stand in for nn.Conv2d may stand in for this

    def forward(self, x: Tensor) -> Tensor:
        """Map [N, C, H, W] to [N, out_channels, H, W]."""
        if not may_gain(self) or not _is_faster(x, self.weight):  # somebody may have changed its stride
            return super().forward(x)
        y: Tensor = Winograd.apply(x, self.weight)
        return y if self.bias is None else y + self.bias[:, None, None]


def _is_faster(x: Tensor, weight: Tensor) -> bool:
    """Return whether the kernels are faster than torch, for a convolution padded by one pixel of stride 1."""
    if any(tensor.device.type != "cpu" or tensor.dtype != torch.float32 for tensor in (x, weight)):
        return False
    if torch.is_autocast_enabled("cpu") or torch.compiler.is_compiling() or torch.jit.is_tracing():
        return False
    if x.dim() != 4 or x.shape[1] != weight.shape[1] or not _are_enough(*weight.shape[:2]):
        return False
    height, width = x.shape[2:]
    tiles = -(-height // TILE) * -(-width // TILE)
    is_filled = tiles * PRODUCTS <= MOST_PRODUCTS * 9 * height * width
    return is_filled and tiles * len(x) >= LEAST_TILES and kernels_for(torch.float32) is not None


def _are_enough(*channels: int) -> bool:
    return min(channels) >= LEAST_CHANNELS and math.prod(channels) >= LEAST_PAIRS


def kernels_note(precision: torch.dtype, *, is_supernet: bool) -> str | None:
    """Return in one line by what dense convolutions are computed on a CPU; ``None`` where there is nothing to say of ``precision``."""
    if precision != torch.float32:
        return None
    return run_on("dense 3x3 convolutions", precision, ", where these are faster")


def use_winograd(network: nn.Module) -> None:
    """Let the dense 3x3 convolutions of ``network``, fresh and nobody else's, be computed so where that is faster."""
    for layer in network.modules():
        if type(layer) is nn.Conv2d and may_gain(layer):
            layer.__class__ = WinogradConv2d  # in its place, where its parents and hooks know it


def may_gain(layer: nn.Conv2d) -> bool:
    """Return whether ``layer`` is such a convolution, with channels enough."""
    is_plain = (layer.kernel_size, layer.stride, layer.dilation, layer.groups) == ((3, 3), (1, 1), (1, 1), 1)
    is_padded = layer.padding == (1, 1) and layer.padding_mode == "zeros"
    return is_plain and is_padded and _are_enough(layer.in_channels, layer.out_channels)
