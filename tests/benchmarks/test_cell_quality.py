"""The benchmark of found cells: one protocol for all, nothing done twice, and trials of the same time."""

from __future__ import annotations

from dataclasses import replace
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
    with pytest.raises(rt.StrategyError, match="none was searched with seed 1: name such a method"):
        longest_search(1, tmp_path)
    cells = [rt.open_run(path) for path in tmp_path.glob("trained-*")]
    assert len(cells) == 3 and len({str(run.record.architecture) for run in cells}) == 3, "another seed draws another cell"
    identities = [{**run.record.identity, "architecture": None, "hyperparameters": None} for run in cells]
    assert all(identity == identities[0] for identity in identities), "one protocol"

    def again(*_: Any, **__: Any) -> Any:
        raise AssertionError("trained again")

    monkeypatch.setattr(rt, "retrain", again)
    assert measure(ASKED, 1, 2, QUICK, tmp_path / "data", tmp_path) == told
    with pytest.raises(AssertionError, match="trained again"):
        measure(["random"], 1, 1, replace(QUICK, epochs=2), tmp_path / "data", tmp_path)
