"""Accuracy by inherited weights: batch statistics are computed anew, and nothing else changes."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from bright_bars import HERE, make_data
from torch import Tensor, nn

from evaluators.training.accuracy import measure_accuracy
from evaluators.training.inherited import compute_statistics, inherited_accuracy, supernet_halves


def network_of(momentum: float | None = 0.1) -> Any:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        layers = [nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4, momentum=momentum), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
        return nn.Sequential(*layers, nn.Dropout(0.5), nn.Linear(4, 3))


def state_of(network: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in network.state_dict().items()}


@pytest.mark.parametrize("momentum", [0.1, None])
def test_statistics_are_the_mean_of_those_of_the_batches(momentum: float | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("evaluators.training.inherited.STATISTICS_BATCH", 30)
    data, network = make_data(), network_of(momentum)
    seen: list[Tensor] = []
    network[1].register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0].transpose(0, 1).flatten(1)))
    compute_statistics(network, data.train, data, seed=0, **HERE)
    assert len(seen) == 3
    assert torch.allclose(network[1].running_mean, torch.stack([values.mean(1) for values in seen]).mean(0), atol=1e-5)
    assert torch.allclose(network[1].running_var, torch.stack([values.var(1) for values in seen]).mean(0), atol=1e-4)


def test_a_score_is_the_accuracy_with_these_statistics_and_leaves_everything_as_it_was() -> None:
    data = supernet_halves(make_data(), seed=0)
    network = network_of().train()
    network[1].running_mean.fill_(100.0)  # of all paths together
    before, random = state_of(network), torch.get_rng_state()
    score = inherited_accuracy(network, data=data, validation_images=30, **HERE)
    assert all(torch.equal(value, before[name]) for name, value in state_of(network).items())
    assert network.training and torch.equal(torch.get_rng_state(), random)
    assert score == inherited_accuracy(network, data=data, validation_images=30, **HERE), "as often as one likes"

    compute_statistics(network, data.train, data, seed=0, **HERE)
    assert inherited_accuracy(network, data=data, **HERE) == measure_accuracy(network, data.validation, data)
    assert inherited_accuracy(network, data=data, statistics_images=5, **HERE) >= 0


def test_the_halves_are_disjoint_and_of_one_size() -> None:
    data = make_data()
    halves = supernet_halves(data, seed=3)
    assert len(halves.train) == len(halves.validation) == 60
    rows = {tuple(image.flatten().tolist()) for part in (halves.train, halves.validation) for image in part.images}
    assert len(rows) == 120
    assert torch.bincount(halves.train.labels).tolist() == [20, 20, 20]
    assert not torch.equal(supernet_halves(data, seed=4).train.images, halves.train.images)
