"""The epochs of a training anew, kept as they end, and gone on with."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from common.reporter import Reporter
from records.lines import EpochLog
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


def test_an_epoch_that_was_left_out_counts_as_done(tmp_path: Path) -> None:
    class Bar(Reporter):
        def __init__(self) -> None:
            self.done: list[float] = []

        @contextmanager
        def progress(self, total: int, unit: str, name: str, *, completed: float = 0) -> Iterator[Bar]:
            self.done.append(completed)
            yield self

        def update(self, advance: float = 1, best: float | None = None, detail: str | None = None) -> None:
            self.done.append(self.done[-1] + advance)

    path, bar = tmp_path / "epochs.jsonl", Bar()
    keep(path, range(1, 3), 1.0, goes_on=False)
    keeper = TrainingKeeper(path, bar, Scalars(None), 5, goes_on=True)
    with keeper.shown():
        for number in (1, 2, 5):
            keeper.note(Epoch(number, 2.0))
    assert bar.done == [2, 2, 2, 5]
    assert [epoch["number"] for epoch in EpochLog(path).read()] == [1, 2, 5]
