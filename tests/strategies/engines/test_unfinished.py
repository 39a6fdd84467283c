"""The trial that runs, in a file from which an interrupted search takes it up."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from common.trial import Trial
from strategies.engines.unfinished import drop_unfinished, keep_unfinished, read_unfinished


def unfinished(number: int, *curve: float) -> Trial:
    facts = {"planned_epochs": 9, "at_one_go": "last"}
    return Trial(number, {"x": 0.1, "inputs": [0, 1]}, "pruned", curve[-1], curve=list(curve), seconds=1.5, facts=facts)


def test_the_last_epoch_counts(tmp_path: Path) -> None:
    assert read_unfinished(tmp_path) == []
    for trial in (unfinished(10, 0.5), unfinished(2, 0.25), unfinished(10, 0.5, 0.4)):
        keep_unfinished(tmp_path, trial)
    found = read_unfinished(tmp_path)
    assert [(trial.number, trial.sample, trial.state, trial.score, trial.curve, trial.seconds, trial.facts) for trial in found] == [
        (trial.number, trial.sample, "pruned", trial.score, trial.curve, 1.5, trial.facts)
        for trial in (unfinished(2, 0.25), unfinished(10, 0.5, 0.4))
    ]
    drop_unfinished(tmp_path, 2)
    drop_unfinished(tmp_path, 3)
    assert [trial.number for trial in read_unfinished(tmp_path)] == [10]


@pytest.mark.parametrize("damage", ["", "{", "[]", {"curve": []}, {"curve": ["a"]}, {"number": 4}, {"seconds": None}, {"sample": None}])
def test_a_damaged_file_is_left_out(tmp_path: Path, damage: str | dict[str, object]) -> None:
    keep_unfinished(tmp_path, unfinished(3, 0.5))
    path = tmp_path / "trial-3.json"
    path.write_text(damage if isinstance(damage, str) else json.dumps(json.loads(path.read_text()) | damage))
    assert read_unfinished(tmp_path) == []
