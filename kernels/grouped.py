"""Grouped convolutions in float32 within a network that computes in bfloat16, on a CPU.

oneDNN's bfloat16 gradients of depthwise convolutions fall back to slow loops where the kernel is strided, dilated or wider than three
columns: forward and backward, a 5x5 one takes 1.5 times, a dilated one twice as long as in float32 on a Xeon with AMX (torch 2.14), and
much longer on processors without. Dense convolutions of the same network go on in bfloat16.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from kernels.stand_ins import replace_convolutions


class Float32Conv2d(nn.Conv2d):
    """A convolution in float32 with the parameters of another, also under autocast."""

    def forward(self, x: Tensor) -> Tensor:
        """Map [N, C, H, W] to [N, out_channels, H', W'], in float32."""
        with torch.autocast(x.device.type, enabled=False):
            return super().forward(x.float())


def keep_grouped_in_float32(network: nn.Module) -> None:
    """Put ``Float32Conv2d`` in the place of the grouped convolutions in ``network``."""
    replace_convolutions(network, Float32Conv2d, lambda layer: layer.groups > 1)
