"""The in-process engine: canonical samples, time, interruption, and what it leaves untouched."""

from __future__ import annotations

import statistics
import time
from typing import Any

import nni
import pytest
import torch
from nni.mutable import Categorical
from nni.nas.evaluator import FunctionalEvaluator
from nni.nas.execution import ModelEventType
from nni.nas.space import ModelStatus, SimplifiedModelSpace
from small_spaces import TinySpace

from common.trial import Trial, sample_key
from strategies.engines.in_process import InProcessEngine

SAMPLE = {"first": "a", "second": "b", "inputs": [0, 1], "n": 1}


def frozen(evaluate: Any, **changes: Any) -> Any:
    evaluator = FunctionalEvaluator(evaluate, n=Categorical([1, 2, 3], label="n"))
    return SimplifiedModelSpace.from_model(TinySpace(), evaluator).freeze({**SAMPLE, **changes})


def test_samples_that_mean_the_same_are_one_trial() -> None:
    calls: list[int] = []

    def evaluate(model: Any, n: int) -> float:
        calls.append(n)
        return float(n)

    engine = InProcessEngine(canonical=lambda sample: {**sample, "inputs": sorted(sample["inputs"])})
    first, second = frozen(evaluate), frozen(evaluate, inputs=[1, 0])
    engine.submit_models(first, second)
    assert calls == [1]
    assert second.metric == first.metric == 1.0
    assert second.status == ModelStatus.Trained
    assert second.sample == SAMPLE
    assert len(engine.results) == 1


def test_events_reach_the_strategy_in_order() -> None:
    def evaluate(model: Any, n: int) -> float:
        nni.report_intermediate_result(0.25)
        nni.report_intermediate_result(0.5)
        return 0.75

    seen: list[tuple[str, Any]] = []
    heard: list[tuple[int, float]] = []
    engine = InProcessEngine(on_epoch=lambda number, score: heard.append((number, score)))
    for kind in ModelEventType:
        engine.register_model_event_callback(
            kind, lambda event: seen.append((event.event_type.value, getattr(event, "metric", event.model.metric)))
        )
    engine.submit_models(frozen(evaluate))
    assert seen == [("intermediate_metric", 0.25), ("intermediate_metric", 0.5), ("final_metric", 0.75), ("training_end", 0.75)]
    assert heard == [(1, 0.25), (2, 0.5)]


def test_each_trial_starts_from_the_same_random_state_and_leaves_none() -> None:
    draws: list[float] = []

    def evaluate(model: Any, n: int) -> float:
        draws.append(torch.rand(1).item())
        return 0.0

    before = torch.get_rng_state()
    engine = InProcessEngine(seed=7)
    engine.submit_models(frozen(evaluate), frozen(evaluate, n=2))
    assert draws[0] == draws[1]
    assert torch.equal(torch.get_rng_state(), before)


def test_generators_of_other_gpus_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    original = torch.random.fork_rng
    monkeypatch.setattr(torch.random, "fork_rng", lambda devices=None: asked.append(devices) or original(devices=[]))
    InProcessEngine(gpus=[2]).submit_models(frozen(lambda model, n: 0.0))
    assert asked == [[2]]


def test_an_interrupted_trial_is_not_recorded_and_those_before_it_are() -> None:
    def evaluate(model: Any, n: int) -> float:
        if n == 2:
            raise KeyboardInterrupt
        return 1.0

    noted: list[Trial] = []
    engine = InProcessEngine(on_result=noted.append)
    engine.submit_models(frozen(evaluate))
    with pytest.raises(KeyboardInterrupt):
        engine.submit_models(frozen(evaluate, n=2))
    assert [result.sample["n"] for result in noted] == [1]


def test_a_time_budget_ends_the_search() -> None:
    engine = InProcessEngine(time_budget=1e-9)
    assert not engine.budget_available()
    assert InProcessEngine(time_budget=1000).budget_available()


def test_what_describes_a_network_stands_in_the_result() -> None:
    engine = InProcessEngine(describe=lambda network: {"parameters": sum(p.numel() for p in network.parameters())})
    engine.submit_models(frozen(lambda model, n: 1.0))
    assert engine.results[0].facts == {"parameters": 0}
    assert engine.results[0].seconds > 0


def test_only_frozen_models_are_taken() -> None:
    space = SimplifiedModelSpace.from_model(TinySpace(), FunctionalEvaluator(lambda model: 1.0))
    with pytest.raises(RuntimeError, match="only a frozen model"):
        InProcessEngine().submit_models(space)


def test_overhead_of_a_trial_is_under_50_ms() -> None:
    engine, seconds = InProcessEngine(), []
    for n in (1, 2, 3):
        for first in "abc":
            model, start = frozen(lambda model, n: 1.0, n=n, first=first), time.process_time()  # others may use the machine
            engine.submit_models(model)
            seconds.append(time.process_time() - start)
    assert statistics.median(seconds) < 0.05


def test_keys_do_not_depend_on_the_order_of_labels() -> None:
    assert sample_key({"a": 1, "b": [0]}) == sample_key({"b": [0], "a": 1}) != sample_key({"a": 1, "b": [1]})


def test_the_trial_of_a_line_that_was_taken_out_is_run_again_under_its_number() -> None:
    def evaluate(model: Any, n: int) -> float:
        return n / 10

    whole = InProcessEngine()
    for n in (1, 2, 3):
        whole.submit_models(frozen(evaluate, n=n))
    resumed = InProcessEngine(known=[result for result in whole.results if result.number != 1])
    for n in (1, 2, 3):
        resumed.submit_models(frozen(evaluate, n=n))
    assert [(result.number, result.score) for result in resumed.results] == [(0, 0.1), (1, 0.2), (2, 0.3)]
