"""The lab's table: what is there is kept, what is missing is run and goes on where it was, and the text says what the figures are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks import lab_table
from benchmarks.lab_rows import Row
from benchmarks.lab_table import as_markdown, fill_and_keep, is_done, summary

SEARCHED = Row("a cell", "--space darts", "BEST --epochs 3", searches=2)
TRAINED = Row("a backbone", None, "convnet32 --epochs 3", seeds=2)


class Runs:
    """In place of the program: writes what a run would leave, notes what was asked for, and dies before the run called ``dies_at``."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []
        self.dies_at: int | None = None

    def __call__(self, arguments: list[str], out: Path, log: Path) -> None:
        if len(self.asked) == self.dies_at:
            raise KeyboardInterrupt
        self.asked.append(arguments)
        out.mkdir(parents=True)
        if "--retrain" in arguments:
            seed = int(arguments[arguments.index("--seed") + 1])
            told = {
                "test_accuracy": 0.9 + seed / 100,
                "seconds": 60 + seed,
                "parameters": 1000,
                "flip_averaging": True,
                "precision": "float32",
            }
            (out / "retrained.json").write_text(json.dumps(told))
        else:
            (out / "best.json").write_text(json.dumps({"found in": str(out)}))


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Runs:
    """A program that takes no time, and a project whose table is empty."""
    stand_in = Runs()
    monkeypatch.setattr(lab_table, "run", stand_in)
    monkeypatch.setattr(lab_table, "ROOT", tmp_path)
    monkeypatch.setattr(lab_table, "TABLE", tmp_path / "docs" / "lab_table.json")
    monkeypatch.setattr(lab_table, "FOUND", tmp_path / "docs" / "found")
    monkeypatch.setattr(lab_table, "ROWS", {"cells": SEARCHED, "small": TRAINED})
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "results.md").write_text(f"Before.\n\n{lab_table.BEGIN}\n{lab_table.END}\n\nAfter.\n")
    return stand_in


def rows(tmp_path: Path) -> dict[str, Any]:
    return json.loads((tmp_path / "docs" / "lab_table.json").read_text())


def test_a_row_is_filled_and_written_between_its_marks(runs: Runs, tmp_path: Path) -> None:
    fill_and_keep("small", TRAINED, tmp_path / "runs", ["--data-dir", "x"], "a laptop")
    assert [arguments[-4:] for arguments in runs.asked] == [["--seed", seed, "--data-dir", "x"] for seed in "01"]
    row = rows(tmp_path)["small"]
    assert row["test_accuracies"] == [0.9, 0.91]
    assert is_done(row, TRAINED)
    text = (tmp_path / "docs" / "results.md").read_text()
    line = "| small | a backbone | 90.50% ± 0.71 (image and mirror image averaged) | 2 | 1.0 min | - | 1,000 | a laptop, float32 |"
    assert text.startswith("Before.")
    assert line in text
    assert text.endswith("After.\n")
    assert summary(row) == {"test_accuracy": 0.905, "flip_averaging": True, "seconds": 60}


def test_a_row_that_changed_or_lacks_a_seed_is_not_done(runs: Runs, tmp_path: Path) -> None:
    fill_and_keep("small", TRAINED, tmp_path / "runs", [], "a laptop")
    row = rows(tmp_path)["small"]
    assert not is_done(row, Row("a backbone", None, "convnet32 --epochs 4", seeds=2))
    assert not is_done(row, Row("a backbone", None, TRAINED.retrain, seeds=3))
    assert not is_done({}, TRAINED)


def test_it_goes_on_where_it_was(runs: Runs, tmp_path: Path) -> None:
    runs.dies_at = 3  # both searches and the first training are there
    with pytest.raises(KeyboardInterrupt):
        fill_and_keep("cells", SEARCHED, tmp_path / "runs", [], "a laptop")
    row = rows(tmp_path)["cells"]
    assert row["test_accuracies"] == []  # what was found is told before it is trained
    assert not is_done(row, SEARCHED)
    assert "searched, not trained yet" in as_markdown(rows(tmp_path))
    runs.dies_at = None
    fill_and_keep("cells", SEARCHED, tmp_path / "runs", [], "another laptop")
    assert len(runs.asked) == 4
    row = rows(tmp_path)["cells"]
    assert is_done(row, SEARCHED)
    assert row["machine"] == "another laptop; the search: a laptop"
    found = [json.loads((tmp_path / "docs" / "found" / name).read_text())["found in"] for name in ("cells.json", "cells-1.json")]
    assert len(set(found)) == 2


def test_a_search_made_before_is_told_where_a_row_has_none_of_its_own(runs: Runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    row = Row("a kept cell", None, "docs/found/cell.json", searched="an hour, for another row")
    monkeypatch.setattr(lab_table, "ROWS", {"kept": row})
    fill_and_keep("kept", row, tmp_path / "runs", [], "a laptop")
    assert "| an hour, for another row |" in as_markdown(rows(tmp_path))
