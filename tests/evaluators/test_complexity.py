"""Size and speed of a network."""

from __future__ import annotations

import copy
import time
from typing import Any, ClassVar

import torch
from bright_bars import make_network
from torch import nn

from evaluators.complexity import measure_complexity, measure_latency


class Slow(nn.Sequential):
    """A network whose answer takes a known time, in inference; it notes what it was asked."""

    asked: ClassVar[list[tuple[Any, ...]]] = []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        time.sleep(0.004)
        self.asked.append((tuple(x.shape), self.training, torch.is_grad_enabled()))
        return super().forward(x)


def test_latency_is_that_of_one_image_in_inference() -> None:
    network = Slow(*make_network())
    before = copy.deepcopy(network.state_dict())
    Slow.asked.clear()
    assert 4.0 <= measure_latency(network, (3, 8, 8)) < 400.0, "milliseconds"
    assert set(Slow.asked) == {((1, 3, 8, 8), False, False)}
    assert 13 <= len(Slow.asked) <= 128, "a few to warm up, then at least ten, for half a second"
    assert network.training and all(torch.equal(a, b) for a, b in zip(before.values(), network.state_dict().values(), strict=True))


def test_complexity_counts_multiply_adds() -> None:
    # 8 * 3 * 9 weights at 64 places, and 8 * 3 of the linear layer
    assert measure_complexity(make_network(), (3, 8, 8)) == {"parameters": 216 + 8 + 16 + 27, "flops": 216 * 64 + 24}
