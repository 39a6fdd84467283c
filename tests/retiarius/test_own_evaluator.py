"""An evaluator of one's own, with hyperparameters that a space brings for it: searched, fixed, found, and left out of a training anew."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from nni.mutable import Categorical, Numerical

from evaluators import EVALUATORS, EvaluatorEntry
from records.trials import TrialLog
from run_experiment import main
from spaces.zoo.space import ZooSpace

SEARCH = ["--space", "zoo", "--strategy", "random", "--trials", "2", "--model", "squeezenet1_1", "--dataset", "digits", "--device", "cpu"]
SEARCH += ["--precision", "float32", "--epochs", "1", "--evaluator", "mine"]


@pytest.fixture(autouse=True)
def one_that_knows_dropout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(EVALUATORS, "mine", EvaluatorEntry("fake_evaluators:score_by_dropout", "of dropout"))
    monkeypatch.setattr(ZooSpace, "hyperparameters", staticmethod(lambda: {"dropout": Categorical([0.1, 0.2], label="dropout")}))


@pytest.mark.slow
def test_it_is_searched_and_left_out_of_a_training_anew(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*SEARCH, "--out", "run"]) == 0
    assert {trial.hyperparameters["dropout"] for trial in TrialLog(Path("run/trials.jsonl")).read()} == {0.1, 0.2}
    best = json.loads(Path("run/best.json").read_text())
    assert best["hyperparameters"]["dropout"] == 0.2
    capsys.readouterr()
    small = ["--dataset", "digits", "--epochs", "1", "--device", "cpu", "--precision", "float32", "--out", "anew"]
    assert main(["--retrain", "run/best.json", *small]) == 0
    assert (
        "ignored, as retraining has no such hyperparameter: dropout, which run/best.json has for its own evaluator"
        in capsys.readouterr().err
    )
    anew = json.loads(Path("anew/retrained.json").read_text())["hyperparameters"]
    assert anew == {name: value for name, value in best["hyperparameters"].items() if name != "dropout"}


def test_it_can_be_fixed_to_what_the_space_has(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*SEARCH, "--set", "dropout=0.1", "--out", "run"]) == 0
    (trial,) = TrialLog(Path("run/trials.jsonl")).read()
    assert (trial.hyperparameters["dropout"], trial.score) == (0.1, 0.9)
    assert main([*SEARCH, "--set", "dropout=0.7", "--out", "other"]) == 2
    assert "--set dropout: 0.7 is not a value that zoo allows:" in capsys.readouterr().err
    assert main([*(word if word != "mine" else "train" for word in SEARCH), "--set", "dropout=0.1"]) == 2
    assert "unknown label 'dropout'" in capsys.readouterr().err, "no training of ours has it"
    assert main([*SEARCH, "--out", "free"]) == 0
    capsys.readouterr()
    assert main([*SEARCH, "--set", "dropout=0.1", "--out", "free", "--resume"]) == 2
    assert "cannot resume this run" in capsys.readouterr().err


@pytest.mark.parametrize("value", ["abc", "true", "NaN", "0.9"])
def test_a_number_of_ones_own_is_fixed_to_a_number(value: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ZooSpace, "hyperparameters", staticmethod(lambda: {"dropout": Numerical(0.0, 0.5, label="dropout")}))
    assert main([*SEARCH, "--set", f"dropout={value}"]) == 2
    assert "--set dropout: " in capsys.readouterr().err
