"""Bayesian optimisation over what networks compute: its arithmetic, and that it uses the features that a space offers."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from nni.mutable import Categorical
from nni.nas.evaluator import FunctionalEvaluator
from nni.nas.nn.pytorch import ModelSpace
from nni.nas.space import SimplifiedModelSpace
from scipy.integrate import quad
from scipy.stats import norm

from spaces import make_space
from spaces.darts.space import DartsSpace
from spaces.nasbench201.space import NasBench201Space
from spaces.nasbench201.vocabulary import EDGES, edge_label
from strategies.bayesian import BayesianSearch
from strategies.engines.in_process import InProcessEngine
from strategies.engines.table import TableEngine
from strategies.expected_improvement import log_expected_improvement, warp


def test_below_the_median_the_rank_alone_counts() -> None:
    scores = np.array([0.1, 0.9, 0.5, 0.92, 0.2, 0.91, 0.89])
    warped = warp(scores)
    assert warped.mean() == pytest.approx(0) and warped.std() == pytest.approx(1)
    assert (np.argsort(warped) == np.argsort(scores)).all()
    assert warp(np.where(scores < 0.3, scores / 10, scores)) == pytest.approx(warped), "how bad the bad ones are does not matter"
    best = warped[scores >= 0.9] - warped[scores == 0.9]
    assert best == pytest.approx((scores[scores >= 0.9] - 0.9) / (0.92 - 0.9) * best.max()), "among the good ones it does"
    assert (warp(np.full(4, 0.5)) == 0).all()


@pytest.mark.parametrize("mean", [1.5, 0.0, -2.0, -4.9])
def test_expected_improvement_is_the_integral(mean: float) -> None:
    deviation, best = 0.7, 0.3
    integral, _ = quad(lambda y: (y - best) * norm.pdf(y, mean, deviation), best, best + 20, epsabs=0, epsrel=1e-10)
    assert log_expected_improvement(np.array([mean]), np.array([deviation]), best) == pytest.approx([math.log(integral)], rel=1e-6)


def test_expected_improvement_falls_on_where_it_is_nearly_nothing() -> None:
    values = log_expected_improvement(np.linspace(-60, 2, 500), np.ones(500), 0.0)
    assert np.isfinite(values).all() and (np.diff(values) > 0).all()
    assert np.abs(np.diff(values)).max() < 8, "without a jump where the asymptote takes over"


def cell(**operations: str) -> dict[str, str]:
    return {edge_label(source, node): "none" for source, node in EDGES} | operations


def test_features_of_a_cell_are_its_paths() -> None:
    features = NasBench201Space.surrogate_features
    assert features(cell()) == {}
    assert features(cell(edge_0_3="nor_conv_3x3")) == {"nor_conv_3x3": 1}
    chain = cell(edge_0_1="nor_conv_1x1", edge_1_2="avg_pool_3x3", edge_2_3="nor_conv_3x3", edge_0_3="skip_connect")
    assert features(chain) == {"nor_conv_1x1 avg_pool_3x3 nor_conv_3x3": 1, "skip_connect": 1}
    first, second = (cell(**{f"edge_0_{node}": "nor_conv_3x3", f"edge_{node}_3": "skip_connect"}) for node in (1, 2))
    assert features(first) == features(second) == {"nor_conv_3x3": 1}, "the same function by way of another node"
    everything = {edge_label(source, node): "skip_connect" for source, node in EDGES}
    assert features(everything) == {"skip_connect": 4}


class Cell(ModelSpace):
    """Nothing: all that is chosen here stands in the evaluator."""


def explore(features: Any, seed: int) -> int:
    """The number of trials until the one architecture of 5^4 is found whose features alone say how good it is."""
    labels = [f"op_{index}" for index in range(4)]
    found: list[float] = []

    def evaluate(model: Any, **operations: int) -> float:
        found.append(float(sum(operations.values()) % 7))
        return found[-1]

    choices = {label: Categorical(list(range(5)), label=label) for label in labels}
    space = SimplifiedModelSpace(Cell(), {}, FunctionalEvaluator(evaluate, **choices))
    BayesianSearch(seed=seed, startup=5, features=features, described=labels)(space, InProcessEngine(max_trials=60))
    return found.index(6.0)


@pytest.mark.slow
def test_the_features_of_a_space_are_what_is_learned_from() -> None:
    def remainder(architecture: Mapping[str, Any]) -> dict[str, float]:
        return {"remainder": sum(architecture.values()) % 7}

    assert all(explore(remainder, seed) < 10 for seed in range(3)), "one number says it all"


def test_all_samples_of_a_small_space_are_tried_and_then_the_search_ends() -> None:
    tried = []

    def evaluate(model: Any, **operations: int) -> float:
        tried.append(tuple(operations.values()))
        return float(operations["a"])

    choices = {label: Categorical([0, 1, 2], label=label) for label in "ab"}
    space = SimplifiedModelSpace(Cell(), {}, FunctionalEvaluator(evaluate, **choices))
    BayesianSearch(startup=2)(space, InProcessEngine())
    assert sorted(tried) == list(itertools.product(range(3), repeat=2))


def test_no_two_proposals_mean_the_same() -> None:
    """Here only "a" reads the second choice: 3 + 1 + 1 samples mean something of their own, of 9."""
    choices = {label: Categorical(["a", "b", "c"], label=label) for label in ("first", "second")}

    def canonical(sample: dict[str, Any]) -> dict[str, Any]:
        return sample if sample["first"] == "a" else {**sample, "second": "a"}

    proposed: list[dict[str, Any]] = []

    class Engine(InProcessEngine):
        def submit_models(self, *models: Any) -> None:
            proposed.extend(dict(model.sample) for model in models)
            super().submit_models(*models)

    space = SimplifiedModelSpace(Cell(), {}, FunctionalEvaluator(lambda model, first, second: float(first == "a"), **choices))
    BayesianSearch(seed=0, startup=3, canonical=canonical)(space, Engine(canonical=canonical))
    assert len(proposed) == 5
    assert all(canonical(sample) == sample for sample in proposed)


@pytest.mark.slow
def test_no_two_proposals_of_cells_mean_the_same() -> None:
    """Cells of a size that cannot be listed, most edges of which are not read."""
    looked_up: list[Mapping[str, Any]] = []

    def look_up(sample: Mapping[str, Any]) -> list[tuple[float, float]]:
        looked_up.append(sample)
        return [(sum(len(str(value)) for value in sample.values()) / 1000, 1.0)]

    space = SimplifiedModelSpace.from_model(make_space(DartsSpace, {"width": 2, "num_cells": 3}), FunctionalEvaluator(look_up))
    engine = TableEngine(look_up=look_up, canonical=DartsSpace.canonical, max_trials=14)
    BayesianSearch(seed=0, startup=5, canonical=DartsSpace.canonical)(space, engine)
    assert len(engine.list_models()) == len(looked_up) == 14
