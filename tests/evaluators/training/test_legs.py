"""A training that pauses and goes on from its checkpoint is the training in one go, bit for bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from bright_bars import HERE, SETTINGS, make_data, make_network

from evaluators.training.loop import train_and_validate

EPOCHS = 6


def run(dropout: float, **options: Any) -> list[float]:
    """Return the curve of a training, or of a leg of it; torch's generator, from which dropout draws, is seeded as for a trial."""
    curve: list[float] = []
    with torch.random.fork_rng():
        torch.manual_seed(0)
        told = {"data": make_data(), "epochs": EPOCHS, "report": curve.append, **HERE, **SETTINGS, "initial_lr": 0.02, **options}
        assert train_and_validate(make_network(dropout), **told) == curve[-1]
    return curve


def losses(path: Path) -> list[tuple[float, float]]:
    return [(epoch["loss"], epoch["accuracy"]) for epoch in torch.load(path, weights_only=True)["history"]]


@pytest.mark.parametrize("options", [{}, {"ema_decay": 0.9}, {"dropout": 0.5}, {"dropout": 0.5, "ema_decay": 0.9}], ids=str)
def test_legs_give_the_same_curve(tmp_path: Path, options: dict[str, Any]) -> None:
    options = {"dropout": 0.0, **options}
    whole = run(**options, checkpoint=tmp_path / "whole.ckpt")
    legs = []
    for since, until in [(0, 1), (1, 3), (3, EPOCHS)]:
        torch.rand(5)  # what else is drawn in between does not matter
        leg = run(**options, checkpoint=tmp_path / "legs.ckpt", since=since, until=until)
        assert len(leg) == until - since, "what was reported is not reported again"
        legs += leg
    assert legs == whole == run(**options)
    assert losses(tmp_path / "legs.ckpt") == losses(tmp_path / "whole.ckpt")
    assert len(set(losses(tmp_path / "whole.ckpt"))) == EPOCHS, "it learns, so that a training begun anew would differ"


def test_the_learning_rate_is_that_of_all_epochs(tmp_path: Path) -> None:
    run(0.0, checkpoint=tmp_path / "leg.ckpt", until=2)
    run(0.0, checkpoint=tmp_path / "whole.ckpt")
    rates = [
        [epoch["learning_rate"] for epoch in torch.load(tmp_path / f"{name}.ckpt", weights_only=True)["history"]]
        for name in ("leg", "whole")
    ]
    assert rates[0] == rates[1][:2]


def test_without_its_checkpoint_it_begins_anew_and_reports_nothing_twice(tmp_path: Path) -> None:
    whole = run(0.0)
    assert run(0.0, checkpoint=tmp_path / "lost.ckpt", since=3) == whole[3:]


@pytest.mark.parametrize("decay", [0.0, 0.9])
def test_a_leg_that_was_killed_before_it_was_noted_scores_the_same(tmp_path: Path, decay: float) -> None:
    """Its file is an epoch ahead of the record: the score is that of the weights in the file, averaged where they are averaged."""
    path = tmp_path / "trial.ckpt"
    run(0.0, ema_decay=decay, checkpoint=path, until=1)
    before = run(0.0, ema_decay=decay, checkpoint=path, since=1, until=2)
    assert run(0.0, ema_decay=decay, checkpoint=path, since=1, until=2) == before
