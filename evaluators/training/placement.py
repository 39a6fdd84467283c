"""Where and how a network lies in memory while it is trained."""

from __future__ import annotations

import torch
from torch import nn

from kernels.grouped import keep_grouped_in_float32
from kernels.small_maps import speed_up_small_maps
from kernels.thin_strides import avoid_thin_strides


def place(network: nn.Module, device: torch.device) -> None:
    """Move ``network`` to ``device``, channels last; on a CPU its convolutions take the faster ways that we know."""
    network.to(device=device).to(memory_format=torch.channels_last)
    if device.type == "cpu":
        avoid_thin_strides(network)
        speed_up_small_maps(network)
        keep_grouped_in_float32(network)
