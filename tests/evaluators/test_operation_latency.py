"""Latencies of operations, by a clock that the operations move, and by the real one where the order is certain."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from nni.nas.nn.pytorch import LayerChoice, ModelSpace
from torch import Tensor, nn

from common.errors import StrategyError
from evaluators import operation_latency
from evaluators.operation_latency import measure_operations
from spaces.darts.space import DartsSpace

CLOCK = SimpleNamespace(now=0.0)


class Takes(nn.Module):
    """An operation that takes so many seconds."""

    def __init__(self, seconds: float, within: nn.Module | None = None) -> None:
        super().__init__()
        self.seconds, self.within = seconds, within

    def forward(self, x: Tensor) -> Tensor:
        CLOCK.now += self.seconds
        return x if self.within is None else self.within(x)


class Timed(ModelSpace):
    def __init__(self) -> None:
        super().__init__()
        self.first = LayerChoice({"fast": Takes(1.0), "slow": Takes(3.0)}, label="first")
        self.second = LayerChoice({"fast": Takes(2.0), "slow": Takes(5.0)}, label="second")
        self.plain = LayerChoice([Takes(100.0), Takes(200.0)], label="plain")
        self.classifier = nn.Linear(3, 2)

    def forward(self, images: Tensor) -> Tensor:
        return self.classifier(self.plain(self.second(self.first(images))).mean(dim=(2, 3)))


class Nested(ModelSpace):
    def __init__(self) -> None:
        super().__init__()
        inner = LayerChoice({"short": Takes(1.0), "long": Takes(4.0)}, label="inner")
        self.outer = LayerChoice({"plain": Takes(2.0), "deep": Takes(7.0, inner)}, label="outer")

    def forward(self, images: Tensor) -> Tensor:
        return self.outer(images)


class Unreached(Timed):
    def forward(self, images: Tensor) -> Tensor:
        return self.classifier(images.mean(dim=(2, 3)))


class Nameless(ModelSpace):
    def __init__(self) -> None:
        super().__init__()
        self.layer = LayerChoice([Takes(1.0), Takes(2.0)], label="layer")

    def forward(self, images: Tensor) -> Tensor:
        return self.layer(images)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operation_latency, "time", SimpleNamespace(perf_counter=lambda: CLOCK.now))


@pytest.mark.usefixtures("clock")
def test_the_mean_over_all_places_counts_and_the_slowest_is_one() -> None:
    assert measure_operations(Timed(), (3, 8, 8)) == {"fast": round(1.5 / 4, 4), "slow": 1.0}


@pytest.mark.usefixtures("clock")
def test_choices_within_operations_are_measured_too() -> None:
    assert measure_operations(Nested(), (3, 8, 8)) == {"plain": 0.25, "deep": 1.0, "short": 0.125, "long": 0.5}


def test_a_convolution_takes_longer_than_a_skip_connection() -> None:
    space: Any = DartsSpace(width=8, num_cells=3, num_nodes=2)
    state = torch.get_rng_state()
    costs = measure_operations(space, (3, 16, 16))
    assert costs.keys() == space.operation_costs().keys() - {"none"} and max(costs.values()) == 1.0
    assert 0 < costs["skip_connect"] < costs["sep_conv_3x3"] and costs["skip_connect"] < costs["sep_conv_5x5"]
    assert torch.equal(state, torch.get_rng_state())
    assert not any(choice._forward_pre_hooks for choice in space.modules())


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (Unreached, "`cost='latency'`: fast cannot be measured, as nothing reaches it"),
        (Nameless, "`cost='latency'` needs choices among operations with names, and this space has none"),
    ],
)
def test_what_cannot_be_measured(kind: Any, message: str) -> None:
    with pytest.raises(StrategyError, match=message):
        measure_operations(kind(), (3, 8, 8))
