"""One trial, run: what counts as a score, the forms that an evaluator may have, and facts and reports on the way."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any

import nni
import numpy as np
import pytest
import torch
from nni.mutable import Categorical
from nni.nas.evaluator import Evaluator, FunctionalEvaluator
from nni.nas.execution import ModelEventType
from nni.nas.space import ModelStatus, SimplifiedModelSpace
from small_spaces import TinySpace
from torch import nn

from common.scores import EXPECTED
from strategies import Halving
from strategies.engines.in_process import InProcessEngine
from strategies.engines.trial_runner import TrialEnd, TrialPruned, run_trial
from strategies.optuna.pruning import make_pruning

SAMPLE = {"first": "a", "second": "b", "inputs": [0, 1]}
SPACE = TinySpace()


def ended(result: Any, reported: Any = 0.5) -> tuple[TrialEnd, list[float]]:
    """The end of a trial that returns ``result``, and what was heard of its report."""
    heard: list[float] = []

    def run(sample: Mapping[str, Any], report: Callable[[Any], None], note: Any) -> Any:
        report(reported)
        return result

    return run_trial(run, {}, heard.append, lambda facts: None), heard


def frozen(evaluator: Any, **more: Any) -> Any:
    return SimplifiedModelSpace.from_model(SPACE, evaluator).freeze({**SAMPLE, **more})


@pytest.mark.parametrize(
    "score",
    [
        0.5,
        np.float32(0.5),
        np.array([0.5]),
        torch.tensor(0.5, requires_grad=True),
        torch.tensor([0.5], dtype=torch.bfloat16),
        Fraction(1, 2),
    ],
)
def test_whatever_holds_one_number_is_a_score(score: Any) -> None:
    end, heard = ended(score, reported=score)
    assert (end.state, end.score, end.error) == ("complete", 0.5, None)
    assert type(end.score) is float and heard == [end.score]


@pytest.mark.parametrize(
    ("score", "error"),
    [
        (math.nan, "ValueError: the evaluator's score is nan"),
        (-math.inf, "ValueError: the evaluator's score is -inf"),
        (torch.tensor(math.nan), "ValueError: the evaluator's score is nan"),
        (None, "EvaluatorError: the evaluator returned nothing; expected a finite number, higher is better, returned or given to "),
        ("0.93", "EvaluatorError: the evaluator returned '0.93', of type str; " + EXPECTED),
        (True, "EvaluatorError: the evaluator returned True, of type bool; " + EXPECTED),
        (np.bool_(True), "EvaluatorError: the evaluator returned True, of type bool; " + EXPECTED),
        ((0.5, 0.4), "EvaluatorError: the evaluator returned (0.5, 0.4)"),
        ({"accuracy": 0.5}, "EvaluatorError: the evaluator returned {'accuracy': 0.5}"),
        (torch.zeros(2, 3), "EvaluatorError: the evaluator returned a Tensor of shape (2, 3); " + EXPECTED),
        (np.zeros(2), "EvaluatorError: the evaluator returned a ndarray of shape (2,); " + EXPECTED),
        (1j, "EvaluatorError: the evaluator returned 1j"),
        (10**400, "ValueError: the evaluator's score is inf"),
        (
            nn.Linear(1, 1),
            "EvaluatorError: the evaluator returned Linear(in_features=1, out_features=1, bias=True)",
        ),
        (nn.Sequential(nn.ReLU()), "EvaluatorError: the evaluator returned Sequential( (0): ReLU() )"),
    ],
)
def test_what_is_no_finite_number_fails_the_trial_in_one_line(score: Any, error: str) -> None:
    end, _ = ended(score)
    assert (end.state, end.score) == ("failed", None)
    assert end.error is not None and end.error.startswith(error)
    assert "\n" not in end.error and len(end.error) < 200


def test_a_report_may_be_no_finite_number_but_is_a_number() -> None:
    end, heard = ended(0.5, reported=math.inf)
    assert (end.state, heard) == ("complete", [math.inf])
    end, heard = ended(0.5, reported="high")
    assert (end.state, heard) == ("failed", [])
    assert end.error == "EvaluatorError: the evaluator reported 'high', of type str; expected a finite number, higher is better"


def test_what_a_run_raises_is_its_end_but_not_an_interruption() -> None:
    def raises(error: BaseException) -> Any:
        def run(*_: Any) -> float:
            raise error

        return run

    end = run_trial(raises(MemoryError("all\nof it")), {}, print, print)
    assert (end.state, end.error) == ("failed", "MemoryError: all")
    assert end.traceback is not None and "of it" in end.traceback
    assert run_trial(raises(TrialPruned()), {}, print, print) == TrialEnd("pruned")
    with pytest.raises(KeyboardInterrupt):
        run_trial(raises(KeyboardInterrupt()), {}, print, print)


def test_an_engine_runs_a_function_of_the_sample() -> None:
    told: list[dict[str, Any]] = []

    def run(sample: Mapping[str, Any], report: Callable[[float], None], note: Callable[[dict[str, Any]], None]) -> float:
        told.append(dict(sample))
        note({"parameters": 7})
        note({"latency": 0.5})
        for step in (1, 2, 3):
            report(sample["n"] * step)
        return sample["n"] * 3

    space = SimplifiedModelSpace(TinySpace(), {"n": Categorical([1, 2, 3], label="n")}, None)
    pruning = make_pruning(Halving(), epochs=3)
    engine = InProcessEngine(run, canonical=lambda sample: {"n": max(2, sample["n"])}, architecture_labels=["n"], pruning=pruning)
    seen: list[float] = []
    engine.register_model_event_callback(ModelEventType.IntermediateMetric, lambda event: seen.append(event.metric))
    models = [space.freeze({"n": n}) for n in (3, 1, 2)]
    engine.submit_models(*models)
    assert told == [{"n": 3}, {"n": 2}], "the sample that stands for all, once"
    assert [(trial.state, trial.score, trial.curve) for trial in engine.results] == [("complete", 9.0, [3, 6, 9]), ("pruned", None, [2])]
    assert [trial.facts for trial in engine.results] == [{"parameters": 7, "latency": 0.5}] * 2
    assert engine.results[0].architecture == {"n": 3} and engine.results[0].hyperparameters == {}
    assert [model.status for model in models] == [ModelStatus.Trained, ModelStatus.Interrupted, ModelStatus.Interrupted]
    assert seen == [3, 6, 9, 2, 2], "a repeat is answered from the record"


def test_an_evaluator_may_report_its_score_as_nni_documents() -> None:
    def reports(model: nn.Module, n: int) -> None:
        nni.report_intermediate_result({"default": n / 4, "loss": 3})
        nni.report_final_result(n / 2)

    class Own(Evaluator):
        def evaluate(self, model: nn.Module) -> None:
            nni.report_final_result({"default": 0.75})

    engine = InProcessEngine()
    models = [frozen(FunctionalEvaluator(reports, n=1)), frozen(FunctionalEvaluator(reports, n=Categorical([1, 2], label="n")), n=2)]
    models.append(SimplifiedModelSpace.from_model(SPACE, Own()).freeze({**SAMPLE, "first": "b"}))
    engine.submit_models(*models)
    assert [(trial.score, trial.curve) for trial in engine.results] == [(0.5, [0.25]), (1.0, [0.5]), (0.75, [])]
    assert [model.metric for model in models] == [0.5, 1.0, 0.75]


def test_an_evaluator_that_says_nothing_or_is_not_there_fails_its_trial() -> None:
    engine = InProcessEngine()
    engine.submit_models(frozen(FunctionalEvaluator(lambda model: None)), frozen(None, first="b"))
    assert [(trial.state, trial.error) for trial in engine.results] == [
        ("failed", f"EvaluatorError: the evaluator returned nothing; {EXPECTED}, returned or given to nni.report_final_result"),
        ("failed", "EvaluatorError: the model has no evaluator: give the space one, or the engine a run"),
    ]
