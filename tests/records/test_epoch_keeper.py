"""The epochs of a one-shot search, kept as they end, and gone on with."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from records.epoch_keeper import EpochKeeper
from records.scalars import Scalars
from retiarius.cli.screen import Screen

STEPS = 4


@dataclass
class Epoch:
    number: int
    sample: dict[str, Any]
    train_loss: float = 1.5
    train_accuracy: float = 0.25
    validation_loss: float = 1.25
    validation_accuracy: float = 0.5
    entropy: float = 1.9
    temperature: float | None = None
    paths: dict[str, dict[str, int]] | None = None

    @property
    def skip_share(self) -> float:
        return 0.125


def keep(path: Path, first: int, last: int, **drawn: Any) -> tuple[str, list[int]]:
    """Keep the epochs from ``first`` to ``last`` of 3; what was said, and the numbers of the epochs in the file."""
    out = io.StringIO()
    where: dict[str, Any] = {
        "epochs": 3,
        "steps": STEPS,
        "finished": first - 1,
        "describe": lambda sample: {"normal": f"{sample['edge']}(0)"},
    }
    keeper = EpochKeeper(path, Screen(out, out), Scalars(None), **where)
    with keeper.shown():
        for number in range(first, last + 1):
            for step in range(1, STEPS + 1):
                keeper.note_step((number - 1) * STEPS + step)
            keeper.note(Epoch(number, {"edge": "skip"}, **drawn), "skips take over" if number == 3 else None)
    return out.getvalue(), [json.loads(line)["number"] for line in path.read_text().splitlines()]


def test_epochs_are_shown_and_recorded(tmp_path: Path) -> None:
    said, numbers = keep(tmp_path / "epochs.jsonl", 1, 3)
    assert numbers == [1, 2, 3]
    assert "epoch 1: entropy 1.900, skip connections 12%; normal: skip(0)" in said
    assert "supernet: 12/12 steps" in said
    assert "WARNING: epoch 3: skips take over" in said and "WARNING: epoch 2" not in said


def test_draws_are_told_where_there_are_some(tmp_path: Path) -> None:
    keep(tmp_path / "plain.jsonl", 1, 1)
    assert not {"temperature", "paths"} & json.loads((tmp_path / "plain.jsonl").read_text()).keys(), "as in earlier versions"
    said, _ = keep(tmp_path / "epochs.jsonl", 1, 1, temperature=5.05, paths={"edge": {"skip": 3, "conv": 1}})
    assert "skip connections 12%, temperature 5.05; normal: skip(0)" in said
    noted = json.loads((tmp_path / "epochs.jsonl").read_text())
    assert (noted["temperature"], noted["paths"]) == (5.05, {"edge": {"skip": 3, "conv": 1}})


def test_a_space_without_skip_connections_has_no_share_of_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Epoch, "skip_share", None)
    said, _ = keep(tmp_path / "epochs.jsonl", 1, 1)
    assert "epoch 1: entropy 1.900; normal: skip(0)" in said and "skip connections" not in said


def test_an_epoch_has_its_seconds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    moments = iter([10.0, 12.5, 16.0])
    monkeypatch.setattr("records.epoch_keeper.time", SimpleNamespace(monotonic=lambda: next(moments)))
    keep(tmp_path / "epochs.jsonl", 1, 2)
    assert [json.loads(line)["seconds"] for line in (tmp_path / "epochs.jsonl").read_text().splitlines()] == [2.5, 3.5]


def test_an_epoch_that_is_done_again_is_noted_as_it_ends_then(tmp_path: Path) -> None:
    """The run was killed between the line of the second epoch and its checkpoint, or its time was over in the middle of that epoch."""
    path = tmp_path / "epochs.jsonl"
    keep(path, 1, 2)
    lines = path.read_text().splitlines()
    path.write_text(lines[0] + "\n" + lines[1].replace('"train_loss": 1.5', '"train_loss": 9.0') + "\n")
    said, numbers = keep(path, 2, 3)
    assert numbers == [1, 2, 3]
    assert [{**json.loads(line), "seconds": 0} for line in path.read_text().splitlines()[:2]] == [
        {**json.loads(line), "seconds": 0} for line in lines
    ]
    counts = [int(line.split(": ")[1].split("/")[0]) for line in said.splitlines() if line.startswith("supernet: ")]
    assert counts == sorted(counts) and counts[0] > STEPS and counts[-1] == 12, said
