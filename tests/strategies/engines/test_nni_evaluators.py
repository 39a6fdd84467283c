"""NNI's own evaluators, in the forms that it documents, on the engine that runs them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nni
import pytest
import torch
from nni.mutable import Categorical
from nni.nas.evaluator import FunctionalEvaluator
from nni.nas.evaluator.pytorch import Classification, ClassificationModule, DataLoader, Lightning, Regression, Trainer
from nni.nas.nn.pytorch import LayerChoice, ModelSpace
from nni.nas.space import BaseModelSpace, RawFormatModelSpace, SimplifiedModelSpace, current_model
from pytorch_lightning import Callback
from torch import nn
from torch.utils.data import TensorDataset

from strategies.engines.in_process import InProcessEngine

QUIET = {"enable_progress_bar": False, "enable_model_summary": False, "logger": False, "enable_checkpointing": False, "accelerator": "cpu"}


class TwoLines(ModelSpace):
    """A linear layer, with or without a bias."""

    def __init__(self) -> None:
        super().__init__()
        self.line = LayerChoice({"with": nn.Linear(2, 2), "without": nn.Linear(2, 2, bias=False)}, label="line")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.line(x)


@nni.trace
class Numbers(BaseModelSpace):
    """No torch module: a number, as in NNI's tests."""

    def __init__(self) -> None:
        self.a = nni.choice("a", [1, 2]) if current_model() is None else current_model()["a"]

    def leaf_mutables(self, is_leaf: Any) -> Any:
        yield self.a


class CountEpochs(Callback):
    """Notes how many epochs were trained with it."""

    seen: list[int] = []  # noqa: RUF012 - of all

    def __init__(self) -> None:
        self.epochs = 0

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        self.epochs += 1
        self.seen.append(self.epochs)


def images(kind: str = "class") -> Any:
    x = torch.tensor([[0.0, 1.0], [1.0, 0.0]] * 4)
    return DataLoader(TensorDataset(x, x.argmax(1) if kind == "class" else x), batch_size=8)


def run_twice(evaluator: Any) -> list[Any]:
    """The trials of the same network twice over, which is told to the engine as two."""
    space = SimplifiedModelSpace.from_model(TwoLines(), evaluator)
    sample = {label: mutable.default() for label, mutable in space.simplify().items()}
    engine = InProcessEngine()
    engine.submit_models(space.freeze({**sample, "line": "with"}), space.freeze({**sample, "line": "without"}))
    return engine.results


@pytest.mark.parametrize("form", ["nothing", "a rate", "a batch size", "its own parts", "a rate of its own parts"])
@pytest.mark.slow
def test_each_trial_has_a_lightning_evaluator_of_its_own(form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(CountEpochs, "seen", [])
    data: dict[str, Any] = {"train_dataloaders": images(), "val_dataloaders": images()}
    rate: Any = Categorical([0.01, 0.1], label="rate") if "rate" in form else 0.01
    trained: dict[str, Any] = {"max_epochs": 2, "callbacks": [CountEpochs()], **QUIET}
    if form == "a batch size":
        data["train_dataloaders"] = DataLoader(images().dataset, batch_size=Categorical([8, 4], label="batch"))
    if "parts" in form:
        evaluator = Lightning(ClassificationModule(learning_rate=rate, num_classes=2), Trainer(**trained), **data)
    else:
        evaluator = Classification(learning_rate=rate, num_classes=2, **data, **trained)
    trials = run_twice(evaluator)
    assert [(trial.state, len(trial.curve), trial.error) for trial in trials] == [("complete", 2, None)] * 2
    assert [trial.score == trial.curve[-1] for trial in trials] == [True, True]
    assert CountEpochs.seen == [1, 2, 1, 2]


@pytest.mark.slow
def test_a_lightning_evaluator_that_only_validates_reports_its_score() -> None:
    trials = run_twice(Classification(num_classes=2, val_dataloaders=images(), **QUIET))
    assert [(trial.state, trial.score == trial.curve[-1]) for trial in trials] == [("complete", True)] * 2, "it returns a list"
    trials = run_twice(Regression(train_dataloaders=images("number"), val_dataloaders=images("number"), max_epochs=1, **QUIET))
    assert [trial.state for trial in trials] == ["complete"] * 2


@pytest.mark.parametrize("form", [SimplifiedModelSpace, RawFormatModelSpace])
def test_a_space_need_be_no_module(form: Any) -> None:
    def reports(model: Any, b: int) -> str:
        nni.report_final_result({"default": model.a + b})
        return "for tests"

    space = SimplifiedModelSpace.from_model(Numbers(), FunctionalEvaluator(reports, b=nni.choice("b", [10, 20])))
    if form is RawFormatModelSpace:
        space = RawFormatModelSpace.from_model(TwoLines(), FunctionalEvaluator(lambda model: nni.report_final_result(1.0)))
    engine = InProcessEngine()
    engine.submit_models(space.freeze({"a": 2, "b": 20, "line": "with"}))
    assert [(trial.state, trial.score) for trial in engine.results] == [("complete", 22.0 if form is SimplifiedModelSpace else 1.0)]
