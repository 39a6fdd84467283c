"""Convolutions of small maps as matrix products: the same function, the same gradients, the same names."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import nn

from kernels.small_maps import LARGEST_MAP, SmallMapConv2d, speed_up_small_maps


@pytest.mark.parametrize("size", [(1, 1), (2, 2), (1, 3), (4, 1), (1, 2)])
@pytest.mark.parametrize(
    "options",
    [
        {"kernel_size": 3, "padding": 1},
        {"kernel_size": 3, "padding": 1, "stride": 2, "bias": False},
        {"kernel_size": 5, "padding": 2, "stride": (1, 2)},
        {"kernel_size": 3, "padding": 2, "dilation": 2},
        {"kernel_size": (3, 1), "padding": (1, 0)},
        {"kernel_size": 7, "padding": 3, "stride": 2},
    ],
)
def test_outputs_and_gradients_are_those_of_the_convolution(size: tuple[int, int], options: dict[str, Any]) -> None:
    generator = torch.Generator().manual_seed(0)
    plain = nn.Conv2d(3, 5, **options).double()
    network = nn.Sequential(copy.deepcopy(plain))
    speed_up_small_maps(network)
    assert type(network[0]) is SmallMapConv2d
    x = torch.randn(4, 3, *size, dtype=torch.float64, generator=generator)
    results = []
    for layer in (plain, network):
        inputs = x.clone().requires_grad_()
        y = layer(inputs)
        weights = torch.arange(y.numel(), dtype=torch.float64).reshape(y.shape).cos()
        (y * weights).sum().backward()
        results.append([y.detach(), inputs.grad, *(p.grad for p in layer.parameters())])
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)


def test_larger_maps_go_to_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    original = nn.Conv2d.forward
    monkeypatch.setattr(nn.Conv2d, "forward", lambda layer, x: sizes.append(x.shape[2]) or original(layer, x))
    network = nn.Sequential(nn.Conv2d(3, 5, 3, padding=1))
    speed_up_small_maps(network)
    for side in (1, 2, 3, 8):
        network(torch.zeros(1, 3, side, side))
    assert sizes == [3, 8] and LARGEST_MAP == 4


def test_what_is_not_dense_and_zero_padded_stays_and_names_stay() -> None:
    layers = [
        nn.Conv2d(4, 4, 3, padding=1, groups=4),
        nn.Conv2d(4, 4, 3, padding=1, padding_mode="reflect"),
        nn.Conv2d(4, 4, 3, padding="same"),
        nn.Conv2d(4, 4, 1),
        nn.Sequential(nn.Conv2d(4, 4, 3, padding=1)),
    ]
    network = nn.Sequential(*layers)
    before = dict(network.named_parameters())
    speed_up_small_maps(network)
    speed_up_small_maps(network)
    assert [type(layer) for layer in network] == [nn.Conv2d] * 4 + [nn.Sequential]
    assert type(network[4][0]) is SmallMapConv2d
    after = dict(network.named_parameters())
    assert list(before) == list(after) and all(before[name] is after[name] for name in before)


def test_hooks_and_copies_of_the_replaced_layer_work() -> None:
    network = nn.Sequential(nn.Conv2d(2, 2, 3, padding=1))
    speed_up_small_maps(network)
    seen: list[torch.Size] = []
    network[0].register_forward_hook(lambda layer, inputs, y: seen.append(y.shape))
    other = copy.deepcopy(network)
    other[0].weight.data.zero_()
    assert network(torch.ones(1, 2, 1, 1)).abs().sum() > 0
    assert seen == [(1, 2, 1, 1)]
