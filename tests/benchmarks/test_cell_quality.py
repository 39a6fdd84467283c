"""The benchmark of found cells: one protocol for all, nothing done twice, and trials of the same time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from bright_bars import make_data

import retiarius as rt
from benchmarks import cell_quality
from benchmarks.cell_quality import QUICK, longest_search, measure

ASKED = ("random", "spos")


@pytest.mark.slow
def test_every_cell_is_trained_alike_and_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rt, "load_data", lambda *_, **__: make_data())
    told = measure(ASKED, 1, 2, QUICK, tmp_path / "data", tmp_path)
    assert list(told) == list(ASKED)
    assert [len(row["test_accuracy"]) for row in told.values()] == [2, 1]
    assert told["random"]["search_seconds"] == [0.0, 0.0] and told["spos"]["search_seconds"][0] > 0
    assert longest_search(0, tmp_path) == cell_quality.LEAST_BUDGET, "the supernet took less"
    monkeypatch.setattr(cell_quality, "LEAST_BUDGET", 0.01)
    assert longest_search(0, tmp_path) == pytest.approx(told["spos"]["search_seconds"][0], abs=0.1)
    assert longest_search(1, tmp_path) == 0.01, "no supernet has this seed"
    cells = [rt.open_run(tmp_path / f"{name}-trained") for name in ("random-0", "random-1", "spos-0")]
    assert len({str(run.record.architecture) for run in cells[:2]}) == 2, "another seed draws another cell"
    identities = [{**run.record.identity, "architecture": None, "hyperparameters": None} for run in cells]
    assert all(identity == identities[0] for identity in identities), "one protocol"

    def again(*_: Any, **__: Any) -> Any:
        raise AssertionError("trained again")

    monkeypatch.setattr(rt, "retrain", again)
    assert measure(ASKED, 1, 2, QUICK, tmp_path / "data", tmp_path) == told
