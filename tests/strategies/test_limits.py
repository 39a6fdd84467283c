"""Limits on the size of networks: what is too large is never trained, costs no trial, and strategies learn to stay inside."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from nni.mutable import Categorical, Numerical
from nni.nas.evaluator import FunctionalEvaluator
from nni.nas.execution import ModelEventType
from nni.nas.nn.pytorch import ModelSpace
from nni.nas.space import ModelStatus, SimplifiedModelSpace, model_context
from paced_trainings import Trainings, submit
from small_spaces import MULTI_TRIAL, TinySpace, built, score
from torch import nn

from common.errors import SearchFailed, StrategyError
from common.trial import Trial
from evaluators.complexity import build_without_data, count_multiply_adds, count_parameters, measure_complexity
from spaces import SPACES, make_space
from spaces.adapter import find_space
from spaces.zoo.backbones import build_backbone
from strategies.engines.in_process import InProcessEngine
from strategies.engines.recording import MAX_REJECTIONS, RejectedEvent, Rejection
from strategies.limits import Limit, SizeLimits
from strategies.search_summary import summarize_search

QUICK = [name for name in MULTI_TRIAL if name not in ("gp", "bo")]  # a Gaussian process takes most of a minute for one such search


def explore(name: str, reject: Any, *, trials: int = 12, seed: int = 0, known: Any = (), evaluate: Any = score) -> InProcessEngine:
    numbers = {"lr": Numerical(1e-4, 1.0, log_distributed=True, label="lr"), "width": Categorical([4, 8, 16], label="width")}
    space = SimplifiedModelSpace.from_model(TinySpace(), FunctionalEvaluator(evaluate, **numbers))
    engine = InProcessEngine(max_trials=trials, reject=reject, known=known)
    built(name, seed=seed, trials=trials)(space, engine)
    return engine


def wide(sample: Any) -> Rejection | None:
    return Rejection(0.5, "16 is wide") if sample["width"] == 16 else None


def told(results: list[Trial]) -> list[str]:
    return [json.dumps([r.number, r.sample, r.score], sort_keys=True) for r in results]


@pytest.mark.parametrize("name", MULTI_TRIAL)
def test_rejected_samples_are_never_tried_and_cost_no_trial(name: str) -> None:
    tried: list[int] = []

    def evaluate(model: nn.Module, *, lr: float, width: int) -> float:
        tried.append(width)
        return lr + width

    engine = explore(name, wide, evaluate=evaluate)
    assert len(tried) == len(engine.results) == 12
    assert 16 not in tried
    if name != "local":  # whose 12 steps need not lead there
        assert engine.rejections
    assert {rejection.reason for rejection in engine.rejections} <= {"16 is wide"}
    invalid = engine.list_models(ModelStatus.Invalid)
    assert len(invalid) >= len(engine.rejections)
    assert all(model.metric is None and model.sample is not None and model.sample["width"] == 16 for model in invalid)


@pytest.mark.parametrize("name", MULTI_TRIAL)
def test_a_search_without_anything_allowed_ends(name: str) -> None:
    engine = explore(name, lambda sample: Rejection(sample["lr"], f"lr {sample['lr']}"))
    assert engine.results == []
    assert len(engine.rejections) == MAX_REJECTIONS
    assert engine.found_nothing_allowed
    lines, nearest = summarize_search(engine, None), min(engine.rejections, key=lambda rejection: rejection.excess)
    assert next(lines) == "200 networks were skipped as too large; skipped.jsonl lists them"
    with pytest.raises(
        StrategyError, match=f"all 200 proposed networks are too large; the closest to the limit has {nearest.reason}: raise the limit"
    ):
        next(lines)


@pytest.mark.parametrize("name", QUICK)
def test_a_search_that_finds_nothing_more_keeps_what_it_has(name: str) -> None:
    trials: list[Any] = []

    def after_three(sample: Any) -> Rejection | None:
        if len(trials) == 3:
            return Rejection(1.0, "too late")
        trials.append(sample)
        return None

    engine = explore(name, after_three)
    assert len(engine.results) == 3
    assert list(summarize_search(engine, None))[-1].startswith(
        "the search ended early, after many networks in a row that were too large; the closest to the limit has"
    )


@pytest.mark.parametrize("name", QUICK)
def test_a_resumed_search_rejects_the_same(name: str) -> None:
    whole = explore(name, wide)
    resumed = explore(name, wide, known=whole.results[:7])
    assert told(resumed.results) == told(whole.results)
    assert len(resumed.rejections) == len(whole.rejections)


def test_a_search_with_time_left_says_what_is_wrong_and_does_not_ask_for_more_time(tmp_path: Path) -> None:
    """Once it is closed, what waits takes the rest of the time: that is not why the search has ended."""
    engine = Trainings(tmp_path).engine(1000.0, reject=lambda sample: Rejection(1.0, "9 M parameters"))
    submit(engine, 1, 2)
    engine.finish()
    with pytest.raises(StrategyError, match=r"all 2 proposed networks are too large; .* 9 M parameters: raise the limit"):
        list(summarize_search(engine, None))
    engine = Trainings(tmp_path).engine(1000.0)
    engine.finish()
    with pytest.raises(SearchFailed, match="no sample meets the constraints of the space"):
        list(summarize_search(engine, None))
    engine = Trainings(tmp_path).engine(5.0)
    engine.finish()
    with pytest.raises(SearchFailed, match="raise `time_budget`"):
        list(summarize_search(engine, None))


@pytest.mark.parametrize(("most", "count"), [(20, "2 of 20 trials"), (None, "2 trials")])
def test_a_search_that_has_tried_all_within_its_time_says_so(tmp_path: Path, most: int | None, count: str) -> None:
    engine = Trainings(tmp_path).engine(1000.0, max_trials=most)
    submit(engine, 1, 2)
    engine.finish()
    assert list(summarize_search(engine, None))[-1] == f"the search ended after {count}: nothing else was left to try"
    engine = Trainings(tmp_path).engine(10.0, max_trials=most)
    submit(engine, 1, 2)
    engine.finish()
    assert not any("left to try" in line for line in summarize_search(engine, None)), "the time was up"


@pytest.mark.slow
def test_tpe_learns_to_stay_inside() -> None:
    def small_corner(sample: Any) -> Rejection | None:
        excess = (sample["width"] > 4) + (sample["first"] != "a") + (sample["second"] != "a")
        return Rejection(float(excess), "too large") if excess else None  # 1 of 27 networks is allowed

    rejections = {
        name: sum(len(explore(name, small_corner, trials=20, seed=seed).rejections) for seed in range(3)) for name in ("tpe", "random")
    }
    assert rejections["tpe"] < rejections["random"] / 5


def test_tpe_is_told_how_far_outside_a_rejected_sample_is() -> None:
    space = SimplifiedModelSpace.from_model(TinySpace(), FunctionalEvaluator(score, lr=0.1, width=Categorical([4, 8, 16], label="width")))
    engine = InProcessEngine(max_trials=12, reject=wide)
    search = built("tpe", seed=0, trials=12)
    search(space, engine)
    asked = [trial for trial in search.study.trials if trial.state.name != "FAIL"]  # those are repeats, which it moved away from
    told = [(trial.params["width"], trial.state.name, trial.constraints) for trial in asked]
    for width, state, constraints in told:
        assert (state, constraints) == (("PRUNED", {"allowed": 0.5}) if width == 2 else ("COMPLETE", {})), "width is a position in the list"
    assert {state for _, state, _ in told} == {"PRUNED", "COMPLETE"}


def test_repeats_of_what_was_tried_do_not_keep_a_search_alive() -> None:
    numbers = {"lr": Numerical(1e-4, 1.0, label="lr"), "width": Categorical([4, 16], label="width")}
    space = SimplifiedModelSpace.from_model(TinySpace(), FunctionalEvaluator(score, **numbers))
    engine, fixed = InProcessEngine(reject=wide), {"first": "a", "second": "b", "inputs": [0, 1]}
    for number in range(MAX_REJECTIONS):
        assert engine.budget_available()
        engine.submit_models(
            space.freeze({**fixed, "lr": 0.1, "width": 4}), space.freeze({**fixed, "lr": 0.1 + number / 1000, "width": 16})
        )
    assert len(engine.results) == 1
    assert not engine.budget_available()


def test_nnis_strategies_get_an_ordinary_end_and_others_the_excess() -> None:
    events: list[Any] = []
    space = SimplifiedModelSpace.from_model(TinySpace(), FunctionalEvaluator(lambda model: 1.0))
    engine = InProcessEngine(reject=lambda sample: Rejection(0.25, "no"))
    engine.register_model_event_callback(ModelEventType.TrainingEnd, events.append)
    engine.submit_models(space.freeze({"first": "a", "second": "b", "inputs": [0, 1]}))
    (event,) = events
    assert isinstance(event, RejectedEvent)
    assert (event.status, event.rejection.excess, event.event_type) == (ModelStatus.Invalid, 0.25, ModelEventType.TrainingEnd)
    assert event.model.status == ModelStatus.Invalid


def test_what_cannot_be_measured_is_tried_and_fails_in_the_record(caplog: pytest.LogCaptureFixture) -> None:
    def broken(sample: Any) -> Rejection | None:
        raise RuntimeError("no such network")

    with caplog.at_level(logging.WARNING, logger="retiarius.strategies"):
        engine = explore("random", broken, trials=2)
    assert len(engine.results) == 2
    assert "cannot be measured" in caplog.text


def test_limits_are_checked_in_order_and_each_network_once() -> None:
    built: list[Any] = []

    def build(architecture: Any) -> int:
        built.append(architecture)
        return int(architecture["width"])

    limits = SizeLimits(
        [
            Limit("max_parameters", 10, "parameters", lambda network: 2 * network),
            Limit("max_multiply_adds", 7, "multiply-adds", lambda network: network),
        ],
        ["width"],
        build,
    )
    assert limits({"width": 5, "lr": 0.1}) is None
    assert limits({"width": 5, "lr": 0.2}) is None
    assert limits({"width": 2000, "lr": 0.2}) == Rejection(pytest.approx(5.99, abs=0.01), "4,000 parameters, more than `max_parameters=10`")
    assert built == [{"width": 5}, {"width": 2000}]


def test_without_limits_nothing_is_built() -> None:
    limits = SizeLimits([Limit("max_parameters", None, "parameters", len)], ["width"], lambda architecture: pytest.fail("built"))
    assert limits({"width": 5}) is None


@pytest.mark.parametrize(
    ("name", "stem"),
    [("resnet18", "own"), pytest.param("vgg16", "small", marks=pytest.mark.slow), ("tinynet_e", "own"), ("shufflenet_v2_x1_0", "small")],
)
def test_networks_without_data_have_the_size_of_real_ones(name: str, stem: str) -> None:
    network = build_without_data(lambda: build_backbone(name, stem=stem))
    assert all(parameter.is_meta for parameter in network.parameters())
    real = measure_complexity(build_backbone(name, stem=stem), (3, 32, 32))
    assert (count_parameters(network), count_multiply_adds(network, (3, 32, 32))) == (real["parameters"], real["flops"])


@pytest.mark.parametrize("name", SPACES)
@pytest.mark.slow
def test_every_space_is_measured_without_data_and_without_random_numbers(name: str) -> None:
    space_class = SPACES[name].load()
    arguments = {**find_space(name).preset_arguments("quick", "search"), **({"num_cells": 3} if name == "darts" else {})}
    sample: dict[str, Any] = {}
    make_space(space_class, arguments).random(memo=sample, random_state=np.random.RandomState(0))
    before = torch.get_rng_state()
    with model_context(sample):
        network = build_without_data(lambda: make_space(space_class, arguments))
    assert all(parameter.is_meta for parameter in network.parameters())
    assert measure_complexity(network, (3, 32, 32))["flops"] > 0
    assert torch.equal(torch.get_rng_state(), before)


class ReadsItsWeights(ModelSpace):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 2)
        self.scales = torch.linspace(0, 0.1, 3).tolist()


def test_a_space_that_needs_its_weights_is_measured_too() -> None:
    assert count_parameters(build_without_data(lambda: make_space(ReadsItsWeights, {}))) == 8


def test_what_needs_its_weights_is_built_really() -> None:
    def build() -> nn.Module:
        network = nn.Linear(3, 2)
        network.scale = float(network.weight.abs().max())  # type: ignore[assignment]
        return network

    assert not next(build_without_data(build).parameters()).is_meta
