"""Size of a network: parameters and multiply-adds."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import TypedDict

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

AUXILIARY = "auxiliary_head."


class Complexity(TypedDict):
    """``parameters``: trainable ones; ``flops``: multiply-adds for one image, as papers of the field count them."""

    parameters: int
    flops: int


def measure_complexity(network: nn.Module, image_shape: Sequence[int]) -> Complexity:
    """Parameters and multiply-adds of ``network`` in inference, for one image of ``image_shape`` (C, H, W).

    A module named ``auxiliary_head`` serves training alone and is left out, as in the papers. Multiply-adds are those of convolutions
    and matrix products: half of what torch's ``FlopCounterMode`` counts, which takes a multiply-add for two operations.
    """
    parameters = sum(p.numel() for name, p in network.named_parameters() if p.requires_grad and not name.startswith(AUXILIARY))
    # On a copy without data: neither the network's mode nor its buffers change, and nothing is computed.
    shadow = copy.deepcopy(network).to("meta").eval()
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        shadow(torch.zeros(1, *image_shape, device="meta"))
    return {"parameters": parameters, "flops": counter.get_total_flops() // 2}
