"""Strided pointwise convolutions of few channels compute without a stride, and spoil no memory in training."""

from __future__ import annotations

import pytest
import torch
from program import run_code
from torch import nn

from kernels.thin_strides import StridedPointwise, avoid_thin_strides

# On a processor with AVX2 alone, a process that trains such a convolution as it is would abort within some 100 steps.
STEPS = """
import torch
from torch import nn
from evaluators.data.dataset import Dataset, Split
from evaluators.training.loop import train_and_validate
torch.set_num_threads(1)
generator = torch.Generator().manual_seed(0)
def split(count):
    images = torch.randint(0, 256, (count, 3, 8, 8), generator=generator, dtype=torch.uint8)
    return Split(images, torch.randint(0, 2, (count,), generator=generator))
data = Dataset("thin", ("a", "b"), split(2000), split(7), split(7), (0.5,) * 3, (0.25,) * 3, "0")
network = nn.Sequential(nn.Conv2d(3, 48, 1, stride=2, bias=False), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(48, 2))
train_and_validate(network, data=data, epochs=1, batch_size=8)
"""


@pytest.mark.slow
def test_training_them_leaves_the_memory_of_others_alone() -> None:
    # A process whose memory is spoilt may hang instead of ending.
    run_code(STEPS)


def test_only_strided_pointwise_convolutions_of_few_channels_are_replaced() -> None:
    plain = [
        nn.Conv2d(8, 8, 1, 2),
        nn.Conv2d(3, 8, 1),
        nn.Conv2d(3, 8, 3, 2),
        nn.Conv2d(3, 8, 1, 2, padding=1),
        nn.Conv2d(4, 4, 1, 2, groups=4),
    ]
    network = nn.Sequential(nn.Conv2d(3, 8, 1, (1, 2)), nn.Conv2d(7, 8, 1, 2), *plain)
    before = dict(network.named_parameters())
    avoid_thin_strides(network)
    assert [type(layer) for layer in network] == [StridedPointwise] * 2 + [nn.Conv2d] * len(plain)
    after = dict(network.named_parameters())
    assert list(before) == list(after) and all(before[name] is after[name] for name in before)


@pytest.mark.parametrize("stride", [2, 3, (1, 2)])
@pytest.mark.parametrize("side", [6, 7])
def test_they_are_the_same_function(side: int, stride: int | tuple[int, int]) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = nn.Sequential(nn.Conv2d(3, 5, 1, stride)).double()
        images = torch.randn(2, 3, side, side, dtype=torch.float64)
    expected = network(images)
    avoid_thin_strides(network)
    torch.testing.assert_close(network(images), expected)
