"""Trials that are looked up: the simulated clock, the budget, what a pruned one costs."""

from __future__ import annotations

from typing import Any

from nni.mutable import Categorical
from nni.nas.evaluator import FunctionalEvaluator
from nni.nas.space import SimplifiedModelSpace
from small_spaces import TinySpace

from common.errors import EvaluatorError
from strategies import Halving
from strategies.engines.table import TableEngine
from strategies.optuna.pruning import make_pruning


def look_up(sample: Any) -> list[tuple[float, float]]:
    return [(sample["n"] / 10, 10.0 * sample["n"])]


def submit(engine: TableEngine, *numbers: int) -> list[Any]:
    space = SimplifiedModelSpace.from_model(TinySpace(), FunctionalEvaluator(look_up, n=Categorical([1, 2, 3], label="n")))
    models = [space.freeze({"first": "a", "second": "b", "inputs": [0, 1], "n": n}) for n in numbers]
    engine.submit_models(*models)
    return models


def test_trials_cost_what_the_table_says_and_repeats_nothing() -> None:
    engine = TableEngine(look_up=look_up, facts=lambda sample: {"parameters": 7})
    first, second, again = submit(engine, 3, 1, 3)
    assert (first.metric, second.metric, again.metric) == (0.3, 0.1, 0.3)
    assert [(result.score, result.curve, result.seconds, result.facts) for result in engine.results] == [
        (0.3, [0.3], 30.0, {"parameters": 7}),
        (0.1, [0.1], 10.0, {"parameters": 7}),
    ]
    assert engine.clock == 40.0


def test_a_trial_that_does_not_fit_into_the_budget_ends_the_search_and_is_not_recorded() -> None:
    engine = TableEngine(look_up=look_up, simulated_seconds=45)
    submit(engine, 3)
    assert engine.budget_available()
    assert submit(engine, 2)[0].metric is None
    assert not engine.budget_available()
    assert [result.sample["n"] for result in engine.results] == [3]
    exact = TableEngine(look_up=look_up, simulated_seconds=50)
    submit(exact, 3, 2)
    assert len(exact.results) == 2, "the budget may be spent to the last second"


def test_the_clock_of_a_resumed_search_goes_on() -> None:
    engine = TableEngine(look_up=look_up, simulated_seconds=45)
    submit(engine, 3)
    resumed = TableEngine(look_up=look_up, simulated_seconds=45, known=engine.results)
    assert resumed.clock == 30.0
    submit(resumed, 3, 2)
    assert resumed.clock == 30.0
    assert not resumed.budget_available()


def test_a_pruned_trial_costs_what_it_took_until_then() -> None:
    steps = {1: [(0.1, 6.0), (0.15, 100.0)], 2: [(0.2, 6.0), (0.25, 100.0)], 3: [(0.3, 6.0), (0.35, 100.0)]}
    pruning = make_pruning(Halving(), epochs=2)
    engine = TableEngine(look_up=lambda sample: steps[sample["n"]], pruning=pruning)
    models = submit(engine, 2, 1, 3)
    assert [(result.state, result.score, result.curve, result.seconds) for result in engine.results] == [
        ("complete", 0.25, [0.2, 0.25], 106.0),
        ("pruned", None, [0.1], 6.0),
        ("complete", 0.35, [0.3, 0.35], 106.0),
    ]
    assert [model.metric for model in models] == [0.25, None, 0.35]
    assert engine.clock == 218.0


def test_a_sample_without_a_row_is_a_failed_trial_that_costs_nothing() -> None:
    def look_up_two(sample: Any) -> list[tuple[float, float]]:
        if sample["n"] == 2:
            raise EvaluatorError("no row for n=2")
        return look_up(sample)

    engine = TableEngine(look_up=look_up_two, max_trials=3)
    models = submit(engine, 1, 2, 3)
    assert [(result.number, result.state, result.error) for result in engine.results] == [
        (0, "complete", None),
        (1, "failed", "no row for n=2"),
        (2, "complete", None),
    ]
    assert (models[1].metric, engine.clock) == (None, 40.0)
    assert not engine.budget_available(), "a failed trial is one of those that were asked for"
