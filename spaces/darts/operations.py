"""Candidate operations of the DARTS cells, as in Liu et al. 2019 (arXiv 1806.09055, section 3.1.1) and the authors' code.

All of them map [N, C, H, W] to [N, C, ceil(H / stride), ceil(W / stride)]. ``affine`` gives the batch normalisations their scale and
shift: without in the supernet, where they would compete with the architecture weights, with in a network that is trained alone.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from kernels.thin_strides import StridedPointwise
from spaces.darts.vocabulary import NONE


class ReluConvNorm(nn.Sequential):
    """ReLU, convolution, batch normalisation: [N, C_in, H, W] -> [N, C_out, H', W']."""

    def __init__(self, c_in: int, c_out: int, kernel_size: int, stride: int, padding: int, *, affine: bool) -> None:
        super().__init__(
            nn.ReLU(),
            nn.Conv2d(c_in, c_out, kernel_size, stride, padding, bias=False),
            nn.BatchNorm2d(c_out, affine=affine),
        )


class DilatedDepthwise(nn.Conv2d):
    """A dilated depthwise convolution, always in float32 on a CPU.

    In bfloat16 and channels_last, on maps of 30x30 and more, the CPU's weight gradient of this one kind of convolution is wrong without a
    word (torch 2.6 to 2.14, seen on a Zen 4 processor).
    """

    def forward(self, x: Tensor) -> Tensor:
        if x.device.type != "cpu":
            return super().forward(x)
        with torch.autocast("cpu", enabled=False):
            return super().forward(x.to(self.weight.dtype))


class DilatedConv(nn.Sequential):
    """ReLU, dilated depthwise convolution, pointwise convolution, batch normalisation (dilation 2)."""

    def __init__(self, channels: int, kernel_size: int, stride: int, *, affine: bool) -> None:
        padding = kernel_size - 1  # dilation 2 spreads a kernel of k over 2k - 1 pixels
        super().__init__(
            nn.ReLU(),
            DilatedDepthwise(channels, channels, kernel_size, stride, padding, dilation=2, groups=channels, bias=False),
            nn.Conv2d(channels, channels, 1, bias=False),
            nn.BatchNorm2d(channels, affine=affine),
        )


class SeparableConv(nn.Sequential):
    """Depthwise separable convolution, applied twice as in NASNet and DARTS; only the first one is strided."""

    def __init__(self, channels: int, kernel_size: int, stride: int, *, affine: bool) -> None:
        layers: list[nn.Module] = []
        for step in (stride, 1):
            layers += [
                nn.ReLU(),
                nn.Conv2d(channels, channels, kernel_size, step, kernel_size // 2, groups=channels, bias=False),
                nn.Conv2d(channels, channels, 1, bias=False),
                nn.BatchNorm2d(channels, affine=affine),
            ]
        super().__init__(*layers)


class FactorizedReduce(nn.Module):
    """Halves the resolution without discarding pixels: two strided 1x1 convolutions, the second shifted by one pixel."""

    def __init__(self, c_in: int, c_out: int, *, affine: bool) -> None:
        super().__init__()
        self.relu = nn.ReLU()
        self.conv_1 = StridedPointwise(c_in, c_out // 2)
        self.conv_2 = StridedPointwise(c_in, c_out - c_out // 2)
        self.norm = nn.BatchNorm2d(c_out, affine=affine)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(x)
        # An odd side would leave the shifted half one pixel short; even sides need no padding.
        shifted = functional.pad(x, (0, x.shape[3] % 2, 0, x.shape[2] % 2))[:, :, 1:, 1:]
        return self.norm(torch.cat([self.conv_1(x), self.conv_2(shifted)], dim=1))


class Zero(nn.Module):
    """The operation ``none``: no connection, zeros of the right size."""

    def __init__(self, stride: int) -> None:
        super().__init__()
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        return torch.zeros_like(x[:, :, :: self.stride, :: self.stride])


def _pool(pool: nn.Module, channels: int, affine: bool) -> nn.Module:
    # In the supernet the authors normalise what comes out of a pool, so that it competes on the scale of the convolutions;
    # in the network that is trained alone a pool is just a pool.
    return pool if affine else nn.Sequential(pool, nn.BatchNorm2d(channels, affine=False))


def _max_pool(channels: int, stride: int, affine: bool) -> nn.Module:
    return _pool(nn.MaxPool2d(3, stride, padding=1), channels, affine)


def _avg_pool(channels: int, stride: int, affine: bool) -> nn.Module:
    return _pool(nn.AvgPool2d(3, stride, padding=1, count_include_pad=False), channels, affine)


def _skip(channels: int, stride: int, affine: bool) -> nn.Module:
    return nn.Identity() if stride == 1 else FactorizedReduce(channels, channels, affine=affine)


# By the names of ``spaces.darts.vocabulary``: (channels, stride, affine) -> module.
OPERATIONS: dict[str, Callable[[int, int, bool], nn.Module]] = {
    NONE: lambda channels, stride, affine: Zero(stride),
    "max_pool_3x3": _max_pool,
    "avg_pool_3x3": _avg_pool,
    "skip_connect": _skip,
    "sep_conv_3x3": lambda channels, stride, affine: SeparableConv(channels, 3, stride, affine=affine),
    "sep_conv_5x5": lambda channels, stride, affine: SeparableConv(channels, 5, stride, affine=affine),
    "dil_conv_3x3": lambda channels, stride, affine: DilatedConv(channels, 3, stride, affine=affine),
    "dil_conv_5x5": lambda channels, stride, affine: DilatedConv(channels, 5, stride, affine=affine),
}


def operation_costs(channels: int) -> dict[str, float]:
    """Return the multiply-adds of every operation on an edge of ``channels`` and stride 1, by those of the dearest one."""
    counts = {}
    for name, make in OPERATIONS.items():
        convolutions = [module for module in make(channels, 1, True).modules() if isinstance(module, nn.Conv2d)]
        counts[name] = sum(convolution.weight.numel() for convolution in convolutions)  # for each pixel
    return {name: count / max(counts.values()) for name, count in counts.items()}
