"""What the profile of a search step counts: calls, bytes and multiply-adds."""

from __future__ import annotations

import time

import pytest
import torch

from benchmarks.step_profile import Profile, normalised_bytes
from benchmarks.supernet_step import Search, make_batches
from kernels.build import kernels_for, why_not
from kernels.convolutions import Convolution, convolve, convolve_back
from kernels.sums import mix


def test_a_convolution_and_its_gradients() -> None:
    x = torch.randn(2, 8, 6, 6, requires_grad=True)
    kernel = torch.randn(8, 1, 3, 3, requires_grad=True)
    with Profile(time.perf_counter) as profile:
        y = torch.nn.functional.conv2d(x, kernel, padding=1, groups=8)
        y.backward(torch.ones_like(y))
    forward = profile.costs["depthwise 3x3, forward or input's gradient"]
    assert (forward.calls, forward.multiply_adds) == (1, x.numel() * 9)
    assert forward.bytes == 2 * x.nbytes + kernel.nbytes
    backward = profile.costs["depthwise 3x3, input's and kernel's gradient"]
    assert (backward.calls, backward.multiply_adds) == (1, 2 * x.numel() * 9)
    assert backward.bytes == 3 * x.nbytes + 2 * kernel.nbytes, "gradient, input and kernel are read, two gradients written"


def test_what_is_read_and_what_is_written() -> None:
    x, y, product = torch.ones(4, 5), torch.ones(4, 5), torch.ones(5, 3)
    with Profile(time.perf_counter) as profile:
        x.add_(y)
        x.copy_(y)
        torch.mm(x, product)
        x.view(20)
    assert profile.costs["sums and scales"].bytes == 3 * x.nbytes
    assert profile.costs["copies"].bytes == 2 * x.nbytes, "the target of a copy is not read"
    assert profile.costs["products"].multiply_adds == 4 * 5 * 3
    assert sum(cost.calls for cost in profile.costs.values()) == 3, "a view is free"


@pytest.mark.skipif(kernels_for(torch.float32) is None, reason=f"no compiled kernels here: {why_not()}")
def test_a_compiled_kernel() -> None:
    x = torch.randn(2, 6, 6, 1, 8)
    convolution = Convolution(torch.randn(3, 8, 5, 5), torch.randn(3, 4, 8))
    with Profile(time.perf_counter) as profile:
        y, _ = convolve(x.expand(-1, -1, -1, 3, -1), convolution)
        convolve_back(x.expand(-1, -1, -1, 3, -1), convolution, y, y, torch.randn(3, 3, 4), state_gradient=torch.zeros_like(x))
        mix([y, y], torch.ones(2, 3, 4), torch.zeros(2, 3, 4), None, torch.empty_like(y), adds=False)
    convolve(x, Convolution(None, torch.randn(1, 4, 8)))  # not counted: the profile is over
    forward, backward, mixed = (profile.costs[f"compiled: {name}"] for name in ("convolve", "convolve_back", "mix"))
    pixels = 3 * 2 * 6 * 6
    assert (forward.calls, forward.multiply_adds) == (1, pixels * (8 * 25 + 8 * 4))
    assert forward.bytes == x.nbytes + y.nbytes, "what all edges read is read once"
    assert backward.multiply_adds == pixels * (3 * 8 * 25 + 2 * 8 * 4)
    assert backward.bytes == 2 * x.nbytes + 2 * y.nbytes
    assert (mixed.bytes, mixed.multiply_adds) == (3 * y.nbytes, 0)


def test_a_pool_of_one_state_is_normalised_once() -> None:
    (images, _), _ = make_batches(2, torch.device("cpu"), torch.channels_last)
    search = Search("unfused", 4, 3, torch.float32, torch.device("cpu"))
    pools = [module for module in search.supernet.modules() if isinstance(module, torch.nn.MaxPool2d | torch.nn.AvgPool2d)]
    norms = [module for module in search.supernet.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    sizes: list[int] = []
    for norm in norms:
        norm.register_forward_pre_hook(lambda _, inputs: sizes.append(inputs[0].nbytes))
    counted = normalised_bytes(search, images)
    assert len(pools) == 3 * 14 * 2
    assert 0 < counted < sum(sizes)
