"""NNI's evaluators as functions of a network."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import cloudpickle
import nni
import pytest
import torch
from nni.nas.evaluator import FunctionalEvaluator
from nni.nas.evaluator.pytorch import ClassificationModule, Lightning, Trainer
from nni_parts import Widths, classification, loader, reports
from torch import nn

from common.errors import EvaluatorError
from common.nni_evaluators import fresh, is_lightning, is_nni_evaluator
from evaluators import find_evaluator
from evaluators.adapter import adapt, check_takes, takes
from evaluators.nni_evaluator import NniEvaluation


def network() -> nn.Module:
    return Widths().freeze({"conv": 0, "width": 4})


def test_what_is_one() -> None:
    assert is_nni_evaluator(FunctionalEvaluator(reports)) and not is_lightning(FunctionalEvaluator(reports))
    assert is_nni_evaluator(classification()) and is_lightning(classification())
    assert not any(is_nni_evaluator(what) for what in (reports, print, 3, "train", None, Lightning))


def test_a_function_with_arguments_left_open() -> None:
    name, entry = find_evaluator(FunctionalEvaluator(reports, rate=nni.choice("speed", [0.1, 0.2])))
    assert name == "nni_parts:reports" and "FunctionalEvaluator" in entry.summary
    curve: list[float] = []
    assert adapt(entry.load())(network(), report=curve.append, speed=0.2, data=None, epochs=3) == 0.2
    assert curve == [0.1]
    assert takes(entry.load(), "speed") and not takes(entry.load(), "data") and not takes(entry.load(), "rate")
    with pytest.raises(EvaluatorError, match="has no parameter 'depth', which is searched; it has speed"):
        check_takes(entry.load(), ["depth"])


def test_a_function_that_returns_its_score_and_one_that_tells_none() -> None:
    assert adapt(NniEvaluation(FunctionalEvaluator(lambda model: 0.25)))(network()) == 0.25
    with pytest.raises(EvaluatorError, match="the evaluator returned nothing"):
        adapt(NniEvaluation(FunctionalEvaluator(lambda model: None)))(network())


def test_a_training_is_fresh_for_each_network_writes_nothing_and_prints_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    given = classification()
    evaluate = adapt(NniEvaluation(given))
    capfd.readouterr()
    for _ in range(2):
        curve: list[float] = []
        before = network()
        weights = before.conv.weight.detach().clone()
        score = evaluate(before, report=curve.append)
        assert len(curve) == 2 and curve[-1] == score, "a trainer that was used before would train no second time"
        assert not torch.equal(before.conv.weight, weights)
    assert os.listdir(tmp_path) == [] and capfd.readouterr().out == ""
    assert given.trainer.current_epoch == 0, "what a person handed over is as it was"


def test_a_learning_rate_left_open_is_a_hyperparameter_also_in_another_process() -> None:
    evaluation = NniEvaluation(classification(learning_rate=nni.choice("lr", [0.1, 0.01])))
    assert list(evaluation.hyperparameters) == ["lr"]
    again = pickle.loads(cloudpickle.dumps(evaluation))
    made = fresh(again.evaluator.freeze({"lr": 0.01}))
    assert made.module.hparams["learning_rate"] == 0.01
    assert made.trainer.logger is None and not made.trainer.checkpoint_callbacks


def test_a_trainer_of_ones_own_is_made_again_with_what_was_said() -> None:
    own = Lightning(ClassificationModule(num_classes=10), Trainer(max_epochs=3, enable_model_summary=True, accelerator="cpu"), loader())
    made = fresh(own)
    assert made is not own and made.trainer is not own.trainer and made.module is not own.module
    assert made.trainer.max_epochs == 3 and made.trainer.logger is None
    assert any("Summary" in type(callback).__name__ for callback in made.trainer.callbacks), "as it was said"
    assert made.train_dataloaders is own.train_dataloaders
