"""``--evaluator zero_cost``: trials that train nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command_line import in_a_folder_of_its_own_with_few_digits  # noqa: F401

import retiarius as rt
from records.trials import TrialLog
from run_experiment import main

SEARCH = ["--space", "zoo", "--strategy", "random", "--dataset", "digits", "--device", "cpu", "--precision", "float32"]
SEARCH += ["--evaluator", "zero_cost", "--trials", "2", "--out", "run"]


@pytest.mark.slow
def test_a_trial_is_the_score_that_was_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*SEARCH, "--set", "proxy=parameters"]) == 0
    trials = TrialLog(Path("run/trials.jsonl")).read()
    assert [trial.score for trial in trials] == [trial.parameters for trial in trials]
    assert all(trial.hyperparameters == {"proxy": "parameters"} for trial in trials), "no other has an effect"
    best = json.loads(Path("run/best.json").read_text())
    assert best["score"] == {"metric": "score", "value": max(trial.parameters or 0 for trial in trials)}, "no accuracy, and no epochs"
    assert "%" not in capsys.readouterr().out.partition("trials")[2]
    assert not rt.open_run("run").record.metric.percent
    assert main([*SEARCH, "--set", "proxy=flops", "--resume"]) == 2
    assert main(["--report", "run"]) == 0
    small = ["--dataset", "digits", "--epochs", "1", "--device", "cpu", "--precision", "float32", "--out", "anew"]
    assert main(["--retrain", "run/best.json", *small]) == 0
    assert "ignored, as retraining has no such hyperparameter: proxy" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--set", "proxy=synflo"], "--set proxy: unknown proxy 'synflo' (did you mean synflow?)"),
        (["--epochs", "3", "--pruner", "median"], "zero_cost trains nothing: leave out --epochs, --pruner"),
        (["--set", "initial_lr=0.1"], "--set initial_lr: the evaluator zero_cost has no parameter initial_lr; leave it out"),
        (["--evaluator", "train", "--set", "proxy=meco"], "unknown label 'proxy'"),
        (["--strategy", "darts", "--space", "darts"], "darts trains a supernet and takes no evaluator"),
    ],
)
def test_what_it_does_not_go_with(words: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*SEARCH, *words]) == 2
    error = capsys.readouterr().err
    assert told in error and error.count("\n") == 1
