"""What an epoch costs, measured by a few steps."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from bright_bars import HERE, SETTINGS, make_data, make_network

from evaluators.training import cost
from evaluators.training.cost import FORWARD, MOST_EPOCHS, epochs_within, measure_epoch
from evaluators.training.loop import train
from evaluators.training.recipes import make_recipe

RECIPE = make_recipe(SETTINGS)  # 90 images in batches of 16
SCORED = 30 * (2 if RECIPE.flip_averaging else 1)  # images to validate, and their mirror images


class Clock:
    """A clock that steps of training move on, by what each image takes and what other work on the machine adds."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *added: float, per_image: float = 0.01) -> None:
        self.now, self.steps = 0.0, 0
        self._added: Iterator[float] = iter(added)
        self._per_image = per_image
        monkeypatch.setattr(cost, "time", self)
        monkeypatch.setattr(cost, "take_step", self._take_step)

    def perf_counter(self) -> float:
        return self.now

    def _take_step(self, network: Any, optimizer: Any, inputs: torch.Tensor, *others: Any) -> torch.Tensor:
        self.steps += 1
        self.now += self._per_image * len(inputs) + next(self._added, 0.0)
        return torch.zeros(2)


def test_an_epoch_is_its_steps_and_the_scoring(monkeypatch: pytest.MonkeyPatch) -> None:
    Clock(monkeypatch)
    seconds = measure_epoch(make_network(), make_data(), RECIPE, **HERE)
    assert seconds == pytest.approx(0.01 * (90 + SCORED * FORWARD))


def test_the_shortest_step_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first sets things up, and whatever else the machine does only adds."""
    clock = Clock(monkeypatch, 5.0, 0.4, 0.0, 0.3)
    seconds = measure_epoch(make_network(), make_data(), RECIPE, **HERE, seconds=1.0)
    assert seconds == pytest.approx(0.01 * (90 + SCORED * FORWARD))
    assert clock.steps >= 4


def test_of_a_network_that_is_too_heavy_for_certain_only_a_small_step_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch, per_image=10.0)
    assert measure_epoch(make_network(), make_data(), RECIPE, **HERE, enough=100.0) > 100.0
    assert (clock.steps, clock.now) == (1, 20.0), "of two images"


@pytest.mark.slow
def test_a_real_epoch_takes_about_so_long() -> None:
    """Wide enough for its steps to take most of the time. The shortest of some epochs is compared: other work on the machine only adds."""

    def network() -> torch.nn.Module:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            body = [torch.nn.Conv2d(3, 64, 3, padding=1), torch.nn.ReLU(), torch.nn.Conv2d(64, 64, 3, padding=1), torch.nn.ReLU()]
            return torch.nn.Sequential(*body, torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(64, 3))

    data = make_data()
    measured = measure_epoch(network(), data, RECIPE, **HERE)
    real = min(epoch.seconds for epoch in train(network(), data.train, data, epochs=8, recipe=RECIPE, **HERE))
    assert real / 5 < measured < real * 5


def test_no_random_draw_of_others_changes() -> None:
    torch.manual_seed(3)
    before = torch.get_rng_state()
    measure_epoch(make_network(dropout=0.5), make_data(), RECIPE, **HERE, seconds=0.0)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(("seconds", "epochs"), [(0.1, 1), (2.3, 1), (2.5, 1), (2.8, 2), (12.0, 9), (12.4, 10), (1e6, MOST_EPOCHS)])
def test_how_many_epochs_fit(monkeypatch: pytest.MonkeyPatch, seconds: float, epochs: int) -> None:
    """Of a retraining, which has the validation images, too, and scores none: 120 images of 10 ms, where an epoch of a trial has 90."""
    Clock(monkeypatch)
    assert epochs_within(seconds, make_network(), make_data(), RECIPE, **HERE) == epochs


def test_a_long_training_is_measured_for_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch, *[1.0] * 5)
    epochs_within(1_000.0, make_network(), make_data(), RECIPE, **HERE)
    few = Clock(monkeypatch, *[1.0] * 5)
    epochs_within(1.0, make_network(), make_data(), RECIPE, **HERE)
    assert clock.steps > few.steps == 4, "a small one, and three"
