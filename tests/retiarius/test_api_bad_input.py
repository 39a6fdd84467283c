"""What is wrong in a call of the library is an exception of one line, as it is one line on the screen."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import nni.nas.nn.pytorch as nas
import pytest
import torch
from torch import nn
from two_layers import TwoLayers, count_weights

import retiarius as rt

pytestmark = pytest.mark.usefixtures("own_folder")
HERE: dict[str, Any] = {"device": "cpu", "precision": "float32"}


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
        ({"resume": True}, rt.RecordError, "`resume` needs the run's folder: set `out`"),
        ({"objectives": ["accuracy", "parameters"]}, rt.StrategyError, "nsga2"),
        ({"table": "table.csv", "evaluator": count_weights}, rt.EvaluatorError, "`table` and `table_columns` need"),
        ({"strategy": rt.NSGA2(), "objectives": ("accuracy", "speed")}, rt.RecordError, "'speed' is not one of accuracy"),
        ({"time_budget": "10m"}, rt.RecordError, "time_budget: '10m' is not a number of seconds"),
        ({"time_budget": -3}, rt.RecordError, "time_budget: -3"),
        ({"preset": []}, rt.RecordError, "unknown preset []"),
        ({"fixed": [1]}, rt.RecordError, "fixed: [1] is not a mapping of labels to values, such as {'initial_lr': 0.05}"),
        ({"out": 5}, rt.RecordError, "out: 5 is not a path"),
        ({"device": 3}, rt.EvaluatorError, "unknown device '3'"),
        ({"storage": 5}, rt.RecordError, "storage: 5 is not a string"),
        ({"recipe": 5}, rt.EvaluatorError, "recipe: 5 is not a name, a Recipe or a mapping of hyperparameters"),
        ({"recipe": rt.Recipe(batch_size=-3)}, rt.EvaluatorError, "batch_size"),
        ({"start_with": [3]}, rt.RecordError, "start_with: [3] is not a list of strings"),
        ({"start_with": [rt.load_architecture("DARTS_V2")]}, rt.RecordError, "save what was found with .save(PATH), and give the path"),
        ({"start_with": ["nothing.json"]}, rt.RecordError, "`start_with`: nothing.json: no such file"),
        ({"space": "nasbench201", "evaluator": lambda network, foo: 1.0}, rt.EvaluatorError, "needs 'foo'"),
    ],
)
def test_bad_input_is_an_exception_of_one_line(arguments: dict[str, Any], kind: type[Exception], words: str) -> None:
    with pytest.raises(kind) as error:
        rt.search(**{"space": "zoo", "strategy": "tpe", "data": "digits", **arguments})
    assert words in str(error.value)
    assert "\n" not in str(error.value)
    assert list(Path().iterdir()) == []


class Uneven(TwoLayers):
    """The candidates of its choice return images of different sizes, which no supernet can add up."""

    def __init__(self, num_classes: int = 3) -> None:
        super().__init__(num_classes=num_classes)
        self.convolution = nas.LayerChoice({"a": nn.Conv2d(3, 4, 3), "b": nn.Conv2d(3, 4, 5)}, label="convolution")


def test_a_supernet_whose_candidates_do_not_fit_is_told_in_one_line(data: Any) -> None:
    with pytest.raises(rt.SearchFailed, match=r"the supernet of .*:Uneven cannot be trained: .*return tensors of the same shape") as error:
        rt.search(Uneven, "darts", data=data, recipe={"batch_size": 16}, epochs=1, out="run", **HERE)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: rt.search(TwoLayers, reporter=print), r"is not a Reporter; expected retiarius.Screen\(\) or the like"),
        (lambda: rt.retrain("resnet81"), "did you mean resnet18"),
        (lambda: rt.retrain(5), "5 is not an architecture; give found.best, the path of a best.json, or a name such as 'DARTS_V2'"),
        (lambda: rt.search("zoo", device="gpu"), "did you mean cuda"),
        (lambda: rt.search("two_layers.TwoLayers"), "your own is package.module:Class"),
    ],
)
def test_what_a_newcomer_types(call: Any, words: str) -> None:
    with pytest.raises(rt.InputError, match=words):
        call()


def test_images_of_ones_own_are_asked_for_where_a_file_cannot_name_them(data: Any) -> None:
    rt.search(TwoLayers, "random", evaluator=count_weights, trials=1, out="run", data=data, **HERE)
    found = rt.open_run("run", space=TwoLayers)
    with pytest.raises(rt.DataError, match=r"best\.json was found on images that it does not hold, '.*': set `data`"):
        rt.retrain(found.best, epochs=1)
    assert found.best.record.score is not None and "epochs" not in found.best.record.score, "the function has trained nothing"


def test_a_score_of_ones_own_is_no_accuracy(data: Any) -> None:
    found = rt.search(TwoLayers, "random", evaluator=lambda network: 42.5, trials=1, out="run", data=data, **HERE)
    assert (found.best.metric, found.best.score) == ("score", 42.5)
    assert "42.5" in repr(found.best) and "tensor" not in repr(found.best) and len(repr(data)) < 200
    page = found.report().read_text()
    assert "4250" not in page


def test_a_network_that_takes_other_images_is_still_scored_by_a_function(data: Any) -> None:
    class OfNumbers(nas.ModelSpace):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nas.LayerChoice({"a": nn.Linear(7, 2), "b": nn.Linear(7, 3)}, label="layer")

        def forward(self, numbers: torch.Tensor) -> torch.Tensor:
            return self.layer(numbers)

    found = rt.search(OfNumbers, "random", evaluator=count_weights, trials=2, out="run", data=data, **HERE)
    assert {trial.state for trial in found.trials} == {"complete"} and found.best.parameters == 24


@pytest.mark.parametrize("told", [{"recipe": {"drop_path": 0.1}}, {"fixed": {"drop_path": 0.1}}])
def test_what_a_supernet_does_not_use_is_refused_wherever_it_is_said(told: dict[str, Any], data: Any) -> None:
    with pytest.raises(rt.EvaluatorError, match=f"supernet training does not use drop_path: leave it out of `{next(iter(told))}`"):
        rt.search(TwoLayers, "darts", data=data, epochs=1, out="run", **told, **HERE)
    assert not Path("run").exists()


def test_a_whole_recipe_is_taken_as_it_is(data: Any) -> None:
    recipe = asdict(rt.Recipe.named("cells", drop_path=0.1))
    found = rt.search(TwoLayers, "darts", data=data, epochs=1, recipe=recipe, out="run", **HERE)
    assert found.best.record.strategy["supernet"]["drop_path"] == 0.0
