"""What is wrong in a call of the library is an exception of one line, as it is one line on the screen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from bright_bars import make_data
from two_layers import TwoLayers, count_weights

import retiarius as rt

HERE: dict[str, Any] = {"device": "cpu", "precision": "float32"}


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def data() -> Any:
    return make_data()


def fails_with(value: Any) -> Any:
    return lambda network: value


@pytest.mark.parametrize(
    ("value", "words"),
    [(None, "nothing"), ("good", "'good'"), (float("nan"), "nan"), (torch.zeros(2), "2"), ([1.0], "list"), (True, "True")],
)
def test_an_evaluator_that_returns_no_number_fails_its_trials_in_one_line(value: Any, words: str, data: Any) -> None:
    with pytest.raises(rt.SearchFailed) as error:
        rt.search(TwoLayers, "random", evaluator=fails_with(value), trials=1, out="run", data=data, **HERE)
    (trial,) = rt.open_run("run").trials  # type: ignore[union-attr]
    assert trial.state == "failed" and words in str(trial.error)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("arguments", "kind", "words"),
    [
        ({"space": 3}, rt.SpaceError, "3"),
        ({"space": "zo"}, rt.SpaceError, "did you mean zoo"),
        ({"space": "no.such.module:Class"}, rt.SpaceError, "no.such.module"),
        ({"strategy": 7}, rt.StrategyError, "7"),
        ({"strategy": "dart"}, rt.StrategyError, "did you mean darts"),
        ({"strategy": rt.Median()}, rt.StrategyError, "Median"),
        ({"evaluator": 0.5}, rt.EvaluatorError, "0.5"),
        ({"trials": 0}, rt.RecordError, "trials"),
        ({"epochs": -1}, rt.RecordError, "epochs"),
        ({"seed": -1}, rt.RecordError, "seed"),
        ({"preset": "huge"}, rt.RecordError, "quick, lab, paper"),
        ({"fixed": {"backbone": "resnt18"}}, rt.RecordError, "resnt18"),
        ({"fixed": {"bakcbone": "resnet18"}}, rt.SpaceError, "backbone"),
        ({"recipe": {"initial_lr": -1}}, rt.EvaluatorError, "initial_lr"),
        ({"recipe": "slow"}, rt.EvaluatorError, "slow"),
        ({"data": "nowhere"}, rt.DataError, "nowhere"),
        ({"resume": True}, rt.RecordError, "--out"),
        ({"objectives": ["accuracy", "parameters"]}, rt.StrategyError, "nsga2"),
        ({"table": "table.csv", "evaluator": count_weights}, rt.EvaluatorError, "--table"),
        ({"strategy": rt.NSGA2(), "objectives": ("accuracy", "speed")}, rt.RecordError, "'speed' is not one of accuracy"),
        ({"time_budget": "10m"}, rt.RecordError, "time_budget: '10m' is not a number of seconds"),
        ({"time_budget": -3}, rt.RecordError, "time_budget: -3"),
        ({"preset": []}, rt.RecordError, "unknown preset []"),
        ({"fixed": [1]}, rt.RecordError, "fixed: [1] is no mapping"),
        ({"out": 5}, rt.RecordError, "out: 5 is no path"),
        ({"device": 3}, rt.EvaluatorError, "unknown device '3'"),
        ({"storage": 5}, rt.RecordError, "storage: 5 is no text"),
        ({"recipe": 5}, rt.EvaluatorError, "recipe: 5 is no name"),
        ({"recipe": rt.Recipe(batch_size=-3)}, rt.EvaluatorError, "batch_size"),
        ({"start_with": [3]}, rt.RecordError, "start_with: [3] is no list of texts"),
        ({"start_with": ["nothing.json"]}, rt.RecordError, "--start-with nothing.json: no such file"),
        ({"space": "nasbench201", "evaluator": lambda network, foo: 1.0}, rt.EvaluatorError, "needs 'foo'"),
    ],
)
def test_bad_input_is_an_exception_of_one_line(arguments: dict[str, Any], kind: type[Exception], words: str) -> None:
    with pytest.raises(kind) as error:
        rt.search(**{"space": "zoo", "strategy": "tpe", "data": "digits", **arguments})
    assert words in str(error.value)
    assert "\n" not in str(error.value)
    assert list(Path().iterdir()) == []
