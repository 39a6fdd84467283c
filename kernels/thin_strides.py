"""Strided pointwise convolutions of few channels, without a stride.

Where a processor has AVX2 and no AVX-512, torch 2.14.1 (its oneDNN) writes past a buffer in the kernel's gradient of a strided 1x1
convolution if fewer than eight channels are read, in channels_last and by one thread; later the process aborts. RepVGG and MobileOne begin
with such convolutions of the image. Supernets, which are not trained here, bring their own remedy (``spaces.darts.operations``).
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from kernels.stand_ins import replace_convolutions

SAFE_CHANNELS = 8


class ThinStridedConv2d(nn.Conv2d):
    """A strided pointwise convolution that reads only the pixels it needs, and those without a stride."""

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] -> [N, out_channels, ceil(H / stride), ceil(W / stride)]."""
        rows, columns = self.stride
        return functional.conv2d(x[:, :, ::rows, ::columns], self.weight, self.bias)


def avoid_thin_strides(network: nn.Module) -> None:
    """Put ``ThinStridedConv2d`` in the place of the strided pointwise convolutions of few channels in ``network``."""
    replace_convolutions(network, ThinStridedConv2d, _is_thin)


def _is_thin(layer: nn.Conv2d) -> bool:
    is_strided_pointwise = layer.kernel_size == (1, 1) and layer.stride != (1, 1) and layer.padding == (0, 0)
    return is_strided_pointwise and layer.groups == 1 and layer.in_channels < SAFE_CHANNELS
