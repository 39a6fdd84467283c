"""The epochs of a training anew, kept as they end, and gone on with."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from records.scalars import Scalars
from records.training_keeper import TrainingKeeper
from retiarius.cli.screen import Screen


@dataclass
class Epoch:
    number: int
    loss: float
    accuracy: float = 0.5
    learning_rate: float = 0.1


def keep(path: Path, numbers: range, loss: float, *, goes_on: bool) -> None:
    out = io.StringIO()
    keeper = TrainingKeeper(path, Screen(out, out), Scalars(None), 3, goes_on=goes_on)
    with keeper.shown():
        for number in numbers:
            keeper.note(Epoch(number, loss))


@pytest.mark.parametrize(("goes_on", "losses"), [(True, [1.0, 1.0, 2.0]), (False, [2.0, 2.0, 2.0])])
def test_epochs_of_a_state_that_is_gone_are_noted_anew(tmp_path: Path, goes_on: bool, losses: list[float]) -> None:
    path = tmp_path / "epochs.jsonl"
    keep(path, range(1, 3), 1.0, goes_on=False)
    keep(path, range(1, 4), 2.0, goes_on=goes_on)
    assert [json.loads(line)["loss"] for line in path.read_text().splitlines()] == losses
