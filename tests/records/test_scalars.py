"""``--tensorboard``: what TensorBoard reads back is what the run's record says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from recorded_trials import make_trial
from report_runs import read_scalars
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from evaluators import EVALUATORS, EvaluatorEntry
from records.metric import result_metric
from records.scalars import Scalars
from records.trials import TrialLog
from run_experiment import main

SMALL = ["--dataset", "digits", "--device", "cpu", "--precision", "float32"]


def score_by_rate(network: Any, *, epochs: int, report: Any, initial_lr: float, **others: Any) -> float:
    """An evaluator without a training."""
    for epoch in range(epochs):
        report(initial_lr * (epoch + 1) / epochs)
    return initial_lr


def read_hyperparameters(folder: Path) -> dict[str, Any]:
    """What the tab HPARAMS shows of a trial: its numbers."""
    events = EventAccumulator(str(folder)).Reload()
    content = events.summary_metadata["_hparams_/session_start_info"].plugin_data.content
    chosen = HParamsPluginData.FromString(content).session_start_info.hparams
    return {name: value.number_value for name, value in chosen.items()}


def test_every_trial_has_its_curve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(EVALUATORS, "train", EvaluatorEntry("test_scalars:score_by_rate", "none"))
    folder = tmp_path / "run"
    flags = ["--space", "zoo", "--strategy", "random", "--trials", "2", "--model", "convnet32", *SMALL, "--tensorboard"]
    assert main([*flags, "--out", str(folder)]) == 0
    trials = TrialLog(folder / "trials.jsonl").read()
    assert len(trials) == 2
    for trial in trials:
        written = read_scalars(folder / "tensorboard" / f"trial-{trial.number}")
        assert written["validation accuracy"] == pytest.approx(dict(enumerate(trial.curve, start=1)))
        assert list(written["score"].values()) == [pytest.approx(trial.score)]
        assert read_hyperparameters(folder / "tensorboard" / f"trial-{trial.number}")["initial_lr"] == trial.hyperparameters["initial_lr"]


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
