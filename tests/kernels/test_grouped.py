"""Grouped convolutions stay in float32 where a network on a CPU computes in bfloat16."""

from __future__ import annotations

import torch
from torch import nn

from kernels.grouped import Float32Conv2d, keep_grouped_in_float32


def make_network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 8, 1), nn.Conv2d(8, 8, 5, stride=2, padding=2, groups=8), nn.Conv2d(8, 4, 3, groups=2))


def test_only_grouped_convolutions_are_replaced_and_keep_their_parameters() -> None:
    network = make_network()
    before = dict(network.named_parameters())
    keep_grouped_in_float32(network)
    assert [type(layer) for layer in network] == [nn.Conv2d, Float32Conv2d, Float32Conv2d]
    after = dict(network.named_parameters())
    assert list(before) == list(after) and all(before[name] is after[name] for name in before)


def test_they_compute_in_float32_under_autocast_and_the_others_in_bfloat16() -> None:
    network, images = make_network(), torch.randn(2, 3, 8, 8)
    keep_grouped_in_float32(network)
    with torch.autocast("cpu", torch.bfloat16):
        dense = network[0](images)
        grouped = network[1](dense)
        assert (dense.dtype, grouped.dtype) == (torch.bfloat16, torch.float32)
    torch.testing.assert_close(grouped, nn.Conv2d.forward(network[1], dense.float()))
    grouped.sum().backward()
    assert all(layer.weight.grad is not None and layer.weight.grad.dtype == torch.float32 for layer in network[:2])
