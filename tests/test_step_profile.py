"""What the profile of a search step counts: calls, bytes and multiply-adds."""

from __future__ import annotations

import time

import torch

from benchmarks.step_profile import Profile, normalised_bytes
from benchmarks.supernet_step import Search, make_batches


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


def test_a_pool_of_one_state_is_normalised_once() -> None:
    (images, _), _ = make_batches(2, torch.device("cpu"))
    search = Search("unfused", 4, 3, torch.float32, torch.device("cpu"))
    pools = [module for module in search.supernet.modules() if isinstance(module, torch.nn.MaxPool2d | torch.nn.AvgPool2d)]
    norms = [module for module in search.supernet.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    sizes: list[int] = []
    for norm in norms:
        norm.register_forward_pre_hook(lambda _, inputs: sizes.append(inputs[0].nbytes))
    counted = normalised_bytes(search, images)
    assert len(pools) == 3 * 14 * 2
    assert 0 < counted < sum(sizes)
