"""Epochs that are left out so that a training ends in time."""

from __future__ import annotations

from dataclasses import asdict
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


@pytest.mark.parametrize(
    ("taken", "left_out"),
    [
        ([], 0),
        ([50.0], 0),  # the first one tells nothing
        ([3.0, 1.0], 2),  # but what it took is gone
        ([1.0, 1.05], 0),  # 10.45 s in all, less than half an epoch more than 10
        ([1.0, 1.1], 1),  # 10.9 s
        ([2.0, 1.0, 1.6], 3),
        ([1.0, 100.0], 7),  # all but the last
        ([1.0] * 9 + [5.0], 0),  # there is none to leave out
    ],
)
def test_so_many_are_left_out_as_there_is_no_time_for(taken: list[float], left_out: int) -> None:
    assert TimeLimit(10.0, 10, 32, 1.0).leave_out(list(enumerate(taken))) == left_out


def test_epochs_of_smaller_images_cost_less() -> None:
    """Of the sides 16, 20, 24, 28, 32 the first has a quarter of the pixels of the last."""
    limit = TimeLimit(10.0, 10, 32, 0.5)
    whole = sum((side / 32) ** 2 for side in (16, 20, 24, 28, 32)) * 2
    assert limit.leave_out([(0, 0.25 * 10 / whole), (1, 0.25 * 10 / whole)]) == 0
    assert limit.leave_out([(0, 0.25 * 10 / whole), (1, 0.25 * 13 / whole)]) > 0
    assert TimeLimit(10.0, 10, 32, 1.0).leave_out([(0, 0.25 * 10 / whole), (1, 0.25 * 10 / whole)]) == 0, "else it is well in time"


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
