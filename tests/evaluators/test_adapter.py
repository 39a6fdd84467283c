"""Any function as an evaluator: what it is given, what it may answer, what is refused before anything runs."""

from __future__ import annotations

import math
import pickle
from collections.abc import Callable
from functools import partial
from typing import Any

import nni
import numpy as np
import pytest
import torch

from common.errors import EvaluatorError
from evaluators.adapter import Evaluate, adapt, check_takes

GIVEN: dict[str, Any] = {
    "data": "images",
    "epochs": 3,
    "seed": 5,
    "device": "cpu",
    "precision": "float32",
    "initial_lr": 0.1,
    "optimizer": "sgd",
}


def score(function: Callable[..., Any], **arguments: Any) -> float:
    return adapt(function)("network", **arguments)


class Scorer:
    def __call__(self, network: Any, *, seed: int) -> float:
        return float(seed)

    def method(self, network: Any, seed: int = 0) -> int:
        return seed


def with_keywords(network: Any, **everything: Any) -> float:
    assert network == "network"
    return float(len(everything))


# What it is given


def test_a_function_gets_what_its_signature_takes_and_nothing_else() -> None:
    seen: list[Any] = []

    def evaluate(model: Any, data: Any, *, epochs: int, initial_lr: float = 1.0, decay: float = 2.0) -> float:
        seen.append((model, data, epochs, initial_lr, decay))
        return 0.5

    assert score(evaluate, **GIVEN) == 0.5
    assert seen == [("network", "images", 3, 0.1, 2.0)]
    assert score(lambda model: 1, **GIVEN) == 1.0
    assert score(with_keywords, **GIVEN) == len(GIVEN) + 1, "and report"
    assert score(lambda *both, seed: len(both), **GIVEN) == 1.0


def test_the_network_is_the_first_argument_whatever_its_name() -> None:
    assert score(lambda data, seed: seed if data == "network" else -1, **GIVEN) == 5.0


@pytest.mark.parametrize("function", [Scorer(), Scorer().method, partial(lambda add, model, seed: seed + add, 0)])
def test_whatever_can_be_called_is_a_function(function: Callable[..., Any]) -> None:
    assert score(function, **GIVEN) == 5.0
    assert adapt(adapt(function)) == adapt(function)


def test_one_that_is_found_by_its_name_is_pickled() -> None:
    evaluate = pickle.loads(pickle.dumps(adapt(with_keywords)))
    assert isinstance(evaluate, Evaluate) and evaluate("network", seed=1) == 2.0


def test_reports_become_numbers() -> None:
    reported: list[float] = []

    def evaluate(model: Any, report: Any) -> float:
        for value in (1, np.float32(0.5), torch.tensor([0.25]), {"default": 2, "loss": 7}, math.nan):
            report(value)
        return 3.0

    assert score(evaluate, report=reported.append) == 3.0
    assert all(type(value) is float for value in reported)
    assert reported[:-1] == [1.0, 0.5, 0.25, 2.0] and math.isnan(reported[-1])
    assert score(evaluate) == 3.0, "nobody has to listen"


def test_what_a_report_raises_ends_the_evaluation() -> None:
    class Pruned(BaseException):
        pass

    def stop(value: float) -> None:
        raise Pruned

    for evaluate in (lambda model, report: report(0.5), lambda model: nni.report_intermediate_result(0.5)):
        with pytest.raises(Pruned):
            score(evaluate, report=stop)


# NNI's form


def test_nnis_reports_count() -> None:
    reported: list[float] = []

    def evaluate(model: Any) -> None:
        rate = nni.get_next_parameter()["initial_lr"]
        nni.report_intermediate_result(0.5)
        nni.report_intermediate_result({"default": 0.6, "loss": 1.0})
        nni.report_final_result({"default": rate})

    assert score(evaluate, report=reported.append, **GIVEN) == 0.1
    assert reported == [0.5, 0.6]


def test_what_is_returned_counts_before_what_is_told_to_nni() -> None:
    def evaluate(model: Any) -> float:
        nni.report_final_result(0.1)
        return 0.9

    assert score(evaluate) == 0.9


# What it answers


@pytest.mark.parametrize(
    ("value", "number"),
    [(1, 1.0), (np.float64(0.5), 0.5), (np.array([0.5]), 0.5), (torch.tensor(0.5, requires_grad=True), 0.5), ({"default": 0.5}, 0.5)],
)
def test_a_number_of_any_kind_is_a_score(value: Any, number: float) -> None:
    result = score(lambda model: value)
    assert (type(result), result) == (float, number)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "returned nothing; expected a finite number, higher is better, returned or given to nni.report_final_result"),
        ("good", "returned 'good', of type str; expected a finite number, higher is better"),
        (True, "returned True, of type bool; expected"),
        (np.bool_(True), "returned True, of type bool; expected"),
        (torch.zeros(3), r"returned a Tensor of shape \(3,\); expected"),
        (np.zeros((2, 1)), r"returned a ndarray of shape \(2, 1\); expected"),
        (1j, "returned 1j, of type complex; expected"),
        ({"accuracy": 0.5}, "returned {'accuracy': 0.5}, of type dict; expected"),
        ({"default": "x"}, "returned 'x', of type str; expected"),
        ("x" * 1_000_000, "of type str; expected"),
    ],
)
def test_what_is_no_number_is_refused_in_one_line(value: Any, words: str) -> None:
    with pytest.raises(EvaluatorError, match=f"the evaluator .*{words}") as caught:
        score(lambda model: value)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 200
    if value is not None:
        with pytest.raises(EvaluatorError, match="the evaluator reported "):
            score(lambda model, report: report(value))


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 10**400])
def test_a_score_that_is_not_finite_is_refused_by_its_value(value: float) -> None:
    with pytest.raises(ValueError, match=r"^the evaluator's score is (nan|inf|-inf)$"):
        score(lambda model: value)


# What is refused before anything runs


def test_a_hyperparameter_that_is_searched_must_be_taken() -> None:
    def evaluate(model: Any, data: Any, initial_lr: float, decay: float = 0.0) -> float:
        raise AssertionError("nothing runs")

    check_takes(evaluate, ["initial_lr", "decay"], given=[])
    check_takes(with_keywords, ["anything"], given=[])
    check_takes(adapt(evaluate), ["decay"])
    name = r"test_adapter:test_a_hyperparameter_that_is_searched_must_be_taken.<locals>.evaluate"
    with pytest.raises(EvaluatorError, match=rf"the evaluator .*{name}.* has no parameter 'dropout', .*; it has initial_lr, decay"):
        check_takes(evaluate, ["initial_lr", "dropout"])
    with pytest.raises(EvaluatorError, match="needs 'initial_lr', which is neither searched nor fixed"):
        check_takes(evaluate, [], given=["decay"])


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("train", "the evaluator is 'train'"),
        (lambda: 1.0, "must take the network as its first argument"),
        (lambda *, network: 1.0, "must take the network as its first argument"),
    ],
)
def test_what_is_no_evaluator_is_refused(what: Any, words: str) -> None:
    for call in (adapt, lambda function: check_takes(function, [])):
        with pytest.raises(EvaluatorError, match=words):
            call(what)
