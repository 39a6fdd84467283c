"""The lab's table: what is there is kept, and what is missing is run and goes on where it was."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import lab_table, record
from benchmarks.lab_rows import Row
from benchmarks.lab_table import fill_and_keep, is_done, rows_done, summary

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
                "plain_test_accuracy": 0.9 + seed / 100,
                "mirrored_test_accuracy": 0.91 + seed / 100,
                "seconds": 60 + seed,
                "parameters": 1000,
                "precision": "float32",
            }
            (out / "retrained.json").write_text(json.dumps(told))
        else:
            (out / "best.json").write_text(json.dumps({"found in": str(out)}))


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Runs:
    """A program that takes no time, and a project whose table is empty."""
    stand_in = Runs()
    units = record.read_record("lab-table")["units"]
    monkeypatch.setattr(lab_table, "run", stand_in)
    monkeypatch.setattr(lab_table, "ROOT", tmp_path)
    for module in (lab_table, record):
        monkeypatch.setattr(module, "RECORDS", tmp_path / "records")
    monkeypatch.setattr(lab_table, "FOUND", tmp_path / "docs" / "found")
    monkeypatch.setattr(lab_table, "ROWS", {"cells": SEARCHED, "small": TRAINED})
    (tmp_path / "docs").mkdir()
    (tmp_path / "records").mkdir()
    empty = {"title": "rows", "units": units, "runs": []}
    (tmp_path / "records" / "lab-table.json").write_text(json.dumps(empty))
    return stand_in


def test_a_row_is_filled_and_kept_with_both_accuracies(runs: Runs, tmp_path: Path) -> None:
    fill_and_keep("small", TRAINED, tmp_path / "runs", ["--data-dir", "x"], "a laptop")
    assert [arguments[-4:] for arguments in runs.asked] == [["--seed", seed, "--data-dir", "x"] for seed in "01"]
    run = rows_done()["small"]
    assert (run["seeds"], run["note"], run["source"]) == ([0, 1], "a laptop", "measured")
    assert run["values"]["test_accuracy"] == [0.9, 0.91]
    assert run["values"]["test_accuracy_mirrored"] == [0.91, 0.92]
    assert is_done(run, TRAINED)
    assert summary(run["values"]) == {"test_accuracy": 0.905, "test_accuracy_mirrored": 0.915, "seconds": 60.5}


def test_a_row_that_changed_or_lacks_a_seed_is_not_done(runs: Runs, tmp_path: Path) -> None:
    fill_and_keep("small", TRAINED, tmp_path / "runs", [], "a laptop")
    row = rows_done()["small"]
    assert not is_done(row, Row("a backbone", None, "convnet32 --epochs 4", seeds=2))
    assert not is_done(row, Row("a backbone", None, TRAINED.retrain, seeds=3))
    assert not is_done({}, TRAINED)


def test_it_goes_on_where_it_was(runs: Runs, tmp_path: Path) -> None:
    runs.dies_at = 3  # both searches and the first training are there
    with pytest.raises(KeyboardInterrupt):
        fill_and_keep("cells", SEARCHED, tmp_path / "runs", [], "a laptop")
    row = rows_done()["cells"]
    assert "test_accuracy" not in row["values"]  # what was found is told before it is trained
    assert not is_done(row, SEARCHED)
    runs.dies_at = None
    fill_and_keep("cells", SEARCHED, tmp_path / "runs", [], "another laptop")
    assert len(runs.asked) == 4
    row = rows_done()["cells"]
    assert is_done(row, SEARCHED)
    assert row["note"].startswith("another laptop; the search: ") and row["note"].endswith(", a laptop")
    found = [json.loads((tmp_path / "docs" / "found" / name).read_text())["found in"] for name in ("cells.json", "cells-1.json")]
    assert len(set(found)) == 2
