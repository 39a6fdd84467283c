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

from spaces.nasbench201 import EDGES, NasBench201Space, edge_label
from strategies.bayesian import BayesianSearch, log_expected_improvement, warp
from strategies.in_process_engine import InProcessEngine


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
