"""Epochs that are left out so that a training ends in time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from bright_bars import HERE, SETTINGS, make_data, make_network

from evaluators.training.loop import Epoch, train
from evaluators.training.optimizers import learning_rate_factor
from evaluators.training.recipes import make_recipe
from evaluators.training.time_limit import TimeLimit

EPOCHS = 9
RECIPE = make_recipe({**SETTINGS, "schedule": "linear", "warmup_epochs": 0})


def train_with(seconds: float | None, checkpoint: Path, take: int | None = None) -> tuple[list[Epoch], torch.nn.Module]:
    """Train a network, or only ``take`` epochs of that, as if it were interrupted then."""
    data, network, epochs = make_data(), make_network(), []
    for epoch in train(network, data.train, data, epochs=EPOCHS, recipe=RECIPE, checkpoint=checkpoint, seconds=seconds, **HERE):
        epochs.append(epoch)
        if len(epochs) == take:
            break
    return epochs, network


def simulate(seconds: float, epochs: int, cost: Callable[[int], float]) -> tuple[list[int], float]:
    """Return which epochs are left out of a training whose epochs take ``cost``, and how long it takes."""
    limit, taken, number = TimeLimit(seconds, epochs, 32, 1.0), list[tuple[int, float]](), 0
    while number < epochs:
        number += limit.leave_out(taken)
        taken.append((number, cost(number)))
        number += 1
    made = {number for number, _ in taken}
    return [number for number in range(epochs) if number not in made], sum(each for _, each in taken)


@pytest.mark.parametrize(
    "cost",
    [
        lambda number: 70.0,
        lambda number: 120.0,
        lambda number: 180.0 if number > 28 else 60.0,  # other work begins
        lambda number: 180.0 if number < 20 else 60.0,  # or ends
    ],
    ids=["slower by a sixth", "twice as slow", "slow at the end", "slow at first"],
)
def test_it_ends_in_time(cost: Callable[[int], float]) -> None:
    left_out, taken = simulate(3600.0, 60, cost)
    assert taken <= 3600 + cost(59)
    assert 59 not in left_out, "the last one is made"


def test_gaps_are_spread() -> None:
    left_out, _ = simulate(3600.0, 60, lambda number: 120.0)
    assert len(left_out) == pytest.approx(30, abs=2)
    assert max(after - before for before, after in pairwise(left_out)) <= 4
    assert not any(last - first == 2 for first, last in zip(left_out, left_out[2:], strict=False)), "never three in a row"


@pytest.mark.parametrize("slow", [0, 1, 30])
def test_one_slow_epoch_leaves_next_to_nothing_out(slow: int) -> None:
    """The second one is all that is known then."""
    assert len(simulate(3660.0, 60, lambda number: 110.0 if number == slow else 60.0)[0]) <= (2 if slow == 1 else 0)


def test_of_a_hopeless_training_three_epochs_are_made() -> None:
    """The first tells nothing, the second how late it is, and the last one is always made."""
    assert simulate(1.0, 9, lambda number: 60.0) == ([2, 3, 4, 5, 6, 7], 180.0)


def test_that_larger_images_will_take_longer_is_known_from_the_start() -> None:
    """Ten epochs like the first three would be in time."""
    taken = [(0, 0.6), (1, 0.6), (2, 0.65)]
    assert TimeLimit(6.5, 10, 32, 1.0).leave_out(taken) == 0
    assert TimeLimit(6.5, 10, 32, 0.5).leave_out(taken) == 1


def test_enough_time_changes_nothing(tmp_path: Path) -> None:
    (plain, first), (timed, second) = train_with(None, tmp_path / "plain.ckpt"), train_with(1e6, tmp_path / "timed.ckpt")
    assert [(epoch.number, epoch.loss) for epoch in plain] == [(epoch.number, epoch.loss) for epoch in timed]
    assert all(torch.equal(*both) for both in zip(first.parameters(), second.parameters(), strict=True))


def test_the_last_epoch_is_made_and_has_its_learning_rate(tmp_path: Path) -> None:
    epochs, _ = train_with(1e-6, tmp_path / "a.ckpt")
    steps = len(make_data().train) // RECIPE.batch_size
    factor = learning_rate_factor(RECIPE, EPOCHS, steps)
    assert [epoch.number for epoch in epochs] == [1, 2, EPOCHS]
    assert epochs[-1].learning_rate == pytest.approx(RECIPE.initial_lr * factor((EPOCHS - 1) * steps))


def test_the_optimizer_takes_the_rate_of_the_epoch_that_comes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from evaluators.training import loop

    rates: list[float] = []

    def take_step(network: Any, optimizer: Any, *told: Any) -> torch.Tensor:
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        return torch.zeros(2)

    monkeypatch.setattr(loop, "take_step", take_step)
    epochs, _ = train_with(1e-6, tmp_path / "a.ckpt")
    steps = len(rates) // len(epochs)
    assert rates[::steps] == pytest.approx([epoch.learning_rate for epoch in epochs])


def test_a_resumed_one_leaves_out_the_same(tmp_path: Path) -> None:
    whole, first = train_with(1e-6, tmp_path / "whole.ckpt")
    train_with(1e-6, tmp_path / "cut.ckpt", take=2)
    resumed, second = train_with(1e-6, tmp_path / "cut.ckpt")
    told = [[{**asdict(epoch), "seconds": 0.0} for epoch in epochs] for epochs in (whole, resumed)]
    assert told[0] == told[1]
    assert all(torch.equal(*both) for both in zip(first.parameters(), second.parameters(), strict=True))
