"""Size and speed of a network: parameters, multiply-adds, latency."""

from __future__ import annotations

import copy
import statistics
import time
from collections.abc import Callable, Sequence
from typing import TypedDict

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from evaluators.devices import autocast

AUXILIARY = "auxiliary_head."
WARM_UP_PASSES = 3
MOST_PASSES, LEAST_PASSES, LATENCY_SECONDS = 200, 10, 0.5


class Complexity(TypedDict):
    """Size of a network.

    Attributes
    ----------
    parameters
        Trainable ones.
    flops
        Multiply-adds for one image, as papers of the field count them.
    """

    parameters: int
    flops: int


def build_without_data(build: Callable[[], nn.Module]) -> nn.Module:
    """Return what ``build`` makes, on torch's meta device, where nothing is allocated; on the CPU where the code needs weights."""
    try:
        with torch.device("meta"):
            return build()
    except Exception:  # a meta tensor's values were asked for; what fails for another reason does so again
        return build()


def count_parameters(network: nn.Module) -> int:
    """Count the trainable parameters; a module named ``auxiliary_head`` serves training alone and is left out, as in the papers."""
    return sum(p.numel() for name, p in network.named_parameters() if p.requires_grad and not name.startswith(AUXILIARY))


def count_multiply_adds(network: nn.Module, image_shape: Sequence[int]) -> int:
    """Count the multiply-adds of ``network`` in inference, for one image of ``image_shape`` (C, H, W).

    They are those of convolutions and matrix products: half of what torch's ``FlopCounterMode`` counts, which takes a multiply-add for two
    operations. The network may be on the meta device.
    """
    # On a copy without data: neither the network's mode nor its buffers change, and nothing is computed.
    shadow = copy.deepcopy(network).to("meta").eval()
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        shadow(torch.zeros(1, *image_shape, device="meta"))
    return counter.get_total_flops() // 2


def measure_complexity(network: nn.Module, image_shape: Sequence[int]) -> Complexity:
    """Return parameters and multiply-adds of ``network``, as ``count_parameters`` and ``count_multiply_adds`` count them."""
    return {"parameters": count_parameters(network), "flops": count_multiply_adds(network, image_shape)}


@torch.no_grad()
def measure_latency(
    network: nn.Module, image_shape: Sequence[int], *, device: torch.device | str = "cpu", precision: torch.dtype = torch.float32
) -> float:
    """Return the milliseconds that ``network`` takes to answer one image in inference, alone in its batch.

    It is the median of half a second of passes, at least 10 and at most 200, after a few to warm up, with as many threads as torch now
    uses; it depends on what else the machine does. The network is left as it was.

    Parameters
    ----------
    network
        Images [1, C, H, W] -> logits.
    image_shape
        C, H and W.
    device, precision
        Where and how exactly it computes.
    """
    device = torch.device(device)
    shadow = copy.deepcopy(network).to(device).to(memory_format=torch.channels_last).eval()
    image = torch.zeros(1, *image_shape, device=device).contiguous(memory_format=torch.channels_last)

    def seconds_of_a_pass() -> float:
        start = time.perf_counter()
        with autocast(device, precision):
            shadow(image).float().sum().item()  # the value is waited for, on a GPU too
        return time.perf_counter() - start

    for _ in range(WARM_UP_PASSES):
        seconds_of_a_pass()
    seconds: list[float] = []
    while len(seconds) < LEAST_PASSES or (sum(seconds) < LATENCY_SECONDS and len(seconds) < MOST_PASSES):
        seconds.append(seconds_of_a_pass())
    return round(1000 * statistics.median(seconds), 3)
