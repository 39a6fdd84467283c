"""Strided pointwise convolutions of few channels, without a stride.

Where a processor has AVX2 and no AVX-512, torch 2.14.1 (its oneDNN) writes past a buffer in the kernel's gradient of a strided 1x1
convolution if fewer than eight channels are read, in channels_last and by one thread; later the process aborts. RepVGG and MobileOne begin
with such convolutions of the image, and cells of DARTS halve their inputs by them.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from kernels.stand_ins import replace_convolutions

SAFE_CHANNELS = 8


class StridedPointwise(nn.Conv2d):
    """A 1x1 convolution with a stride; of few channels it reads only the pixels it needs, and those without a stride.

    Parameters
    ----------
    c_in, c_out
        Channels read and written.
    """

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__(c_in, c_out, 1, stride=2, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map [N, c_in, H, W] to [N, c_out, ceil(H / stride), ceil(W / stride)]."""
        if self.in_channels >= SAFE_CHANNELS:
            return super().forward(x)
        rows, columns = self.stride
        return functional.conv2d(x[:, :, ::rows, ::columns], self.weight, self.bias)


def avoid_thin_strides(network: nn.Module) -> None:
    """Put ``StridedPointwise`` in the place of the strided pointwise convolutions of few channels in ``network``."""
    replace_convolutions(network, StridedPointwise, _is_thin)


def _is_thin(layer: nn.Conv2d) -> bool:
    is_strided_pointwise = layer.kernel_size == (1, 1) and layer.stride != (1, 1) and layer.padding == (0, 0)
    return is_strided_pointwise and layer.groups == 1 and layer.in_channels < SAFE_CHANNELS
