"""What TensorBoard reads back is what was noted."""

from __future__ import annotations

from pathlib import Path

from recorded_trials import make_trial
from report_runs import read_scalars

from records.metric import result_metric
from records.scalars import Scalars


def test_trials_without_a_score(tmp_path: Path) -> None:
    scalars = Scalars(tmp_path)
    scalars.note_trial(make_trial(0, "failed", {"inputs": [0, 1]}, {"lr": None}, None, [0.5, float("nan")], error="<b>"))
    assert read_scalars(tmp_path / "trial-0") == {"validation accuracy": {1: 0.5}}


def test_results_to_minimize_are_written_as_reported(tmp_path: Path) -> None:
    Scalars(tmp_path, result_metric("minimize")).note_trial(make_trial(0, "complete", {}, {"lr": 0.1}, -2.5, [-4.0, -2.5]))
    assert read_scalars(tmp_path / "trial-0") == {"result": {1: 4.0, 2: 2.5}, "final result": {2: 2.5}}


def test_what_was_written_for_later_epochs_is_replaced(tmp_path: Path) -> None:
    for value, steps in ((1.0, (1, 2, 3)), (2.0, (2, 3))):
        with Scalars(tmp_path) as scalars:
            for step in steps:
                scalars.note(step, {"loss": value, "learning rate": None})
    assert read_scalars(tmp_path) == {"loss": {1: 1.0, 2: 2.0, 3: 2.0}}


def test_nothing_is_written_unasked(tmp_path: Path) -> None:
    with Scalars(None) as scalars:
        scalars.note(1, {"loss": 1.0})
        scalars.note_trial(make_trial(0, "complete", {}, {}, 0.5, [0.5]))
    assert not list(tmp_path.iterdir())
