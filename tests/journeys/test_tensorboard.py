"""``--tensorboard``: what TensorBoard reads back is what the run's record says."""

from __future__ import annotations

from pathlib import Path

import pytest
from report_runs import read_hyperparameters, read_scalars

from evaluators import EVALUATORS, EvaluatorEntry
from records.trials import TrialLog
from run_experiment import main

SMALL = ["--dataset", "digits", "--device", "cpu", "--precision", "float32"]


def test_every_trial_has_its_curve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(EVALUATORS, "train", EvaluatorEntry("fake_evaluators:score_by_rate", "none"))
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
