"""Choices of numbers that have an order, and numbers near their usual values, as parameters of Optuna's."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import optuna
import pytest
from nni.mutable import Categorical, Mutable, Numerical
from optuna.distributions import CategoricalDistribution, FloatDistribution

from common.errors import StrategyError
from spaces.ordered_choices import as_looked_up
from strategies.bayesian import RANGE, _place
from strategies.optuna.encoders import FACTOR, SampleEncoder, draw_value, make_encoder


def test_ordered_numbers_are_places_in_their_order() -> None:
    ordered = as_looked_up({"n": Categorical([64, 1, 8, 2.5], label="n")}, lambda label: [])["n"]
    encoder = make_encoder("n", ordered)
    assert encoder.distributions == {"n": FloatDistribution(0.0, 3.0, step=1.0)}
    assert [encoder.decode(encoder.encode(value)) for value in (64, 1, 8, 2.5)] == [64, 1, 8, 2.5]
    assert [encoder.encode(value)["n"] for value in (1, 2.5, 8, 64)] == [0.0, 1.0, 2.0, 3.0]
    assert isinstance(make_encoder("n", Categorical([64, 1, 8], label="n")).distributions["n"], CategoricalDistribution), "not elsewhere"


def test_every_place_is_drawn_as_often() -> None:
    random = np.random.RandomState(0)
    drawn = Counter(draw_value(FloatDistribution(0.0, 3.0, step=1.0), random) for _ in range(4000))
    assert sorted(drawn) == [0.0, 1.0, 2.0, 3.0]
    assert min(drawn.values()) > 900


GOOD = {"sgd": 0.1, "adam": 0.001}


def usual(sample: Any) -> dict[str, float]:
    return {"lr": GOOD[sample["optimizer"]], "depth": 3.0, "offset": 0.5}


def mutables() -> dict[str, Mutable]:
    return {
        "lr": Numerical(1e-4, 0.5, log_distributed=True, label="lr"),
        "depth": Categorical([2, 3], label="depth"),
        "offset": Numerical(0.0, 1.0, label="offset"),
        "optimizer": Categorical(list(GOOD), label="optimizer"),
    }


def test_a_number_is_its_distance_from_what_is_usual_for_its_sample() -> None:
    encoder = SampleEncoder(mutables(), usual)
    assert list(encoder.distributions) == ["lr", "depth", "offset", "optimizer"], "whose order is that of the draws"
    assert encoder.distributions["lr"] == FloatDistribution(-1.0, 1.0)
    assert isinstance(encoder.distributions["depth"], CategoricalDistribution), "a choice is none of a range"
    assert encoder.distributions["offset"] == FloatDistribution(0.0, 1.0), "0 has no logarithm"
    others = {"depth": 0, "offset": 0.25}
    found = {
        (name, distance): encoder.decode({**others, "optimizer": place, "lr": distance})["lr"]
        for place, name in enumerate(GOOD)
        for distance in (-1.0, -0.5, 0.0, 0.5, 1.0)
    }
    assert found["sgd", 0.0] == 0.1 and found["adam", 0.0] == 0.001
    assert [found["adam", distance] for distance in (-1.0, -0.5, 0.5, 1.0)] == pytest.approx([1e-4, 0.001 / 10**0.5, 0.001 * 10**0.5, 0.01])
    assert [found["sgd", distance] for distance in (-1.0, 1.0)] == pytest.approx([0.01, 0.5]), "not beyond the range"
    assert found["sgd", 0.5] == pytest.approx((0.1 * 0.5) ** 0.5, rel=1e-5), "on a log scale"


def test_numbers_near_what_is_usual_come_back_the_same() -> None:
    encoder, random = SampleEncoder(mutables(), usual), np.random.RandomState(0)
    for value in (1e-4, 0.00025, 0.001, 0.0099, 0.01):
        sample = {"lr": value, "depth": 3, "offset": 0.5, "optimizer": "adam"}
        assert encoder.decode(encoder.encode(sample)) == sample
    for _ in range(200):
        drawn = encoder.decode({name: draw_value(distribution, random) for name, distribution in encoder.distributions.items()})
        assert encoder.decode(encoder.encode(drawn)) == drawn
        assert list(drawn) == list(mutables())
    far = encoder.encode({"lr": 0.4, "depth": 2, "offset": 0.0, "optimizer": "adam"})
    assert far == {"lr": 1.0, "depth": 0, "offset": 0.0, "optimizer": 1}, "what is far away counts as at the end"
    assert encoder.encode(drawn, skip=["lr", "depth"]).keys() == {"offset", "optimizer"}


@pytest.mark.parametrize(("told", "lowest", "highest"), [(1e-9, 1e-4, 1e-3), (7.0, 0.05, 0.5)])
def test_a_usual_value_outside_of_the_range_is_brought_to_its_end(told: float, lowest: float, highest: float) -> None:
    encoder = SampleEncoder({"lr": mutables()["lr"]}, lambda sample: {"lr": told})
    found = [encoder.decode({"lr": distance})["lr"] for distance in np.linspace(-1, 1, 9).tolist()]
    assert (min(found), max(found)) == pytest.approx((lowest, highest))
    assert [encoder.decode(encoder.encode({"lr": value}))["lr"] for value in found] == found


def test_what_is_no_usual_value_is_told_in_one_line() -> None:
    for told in (None, float("nan"), "0.1"):
        encoder = SampleEncoder({"lr": mutables()["lr"]}, lambda sample, told=told: {"lr": told})
        with pytest.raises(StrategyError, match=r"^`usual` of the space tells .* as the usual value of lr; expected a number$"):
            encoder.decode({"lr": 0.0})


@pytest.mark.parametrize("told", [None, usual])
def test_a_sampler_that_is_told_draws_rates_within_the_factor(told: Any) -> None:
    encoder = SampleEncoder(mutables(), told)
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=0, n_startup_trials=10))
    near = []
    for _ in range(40):
        trial = study.ask(dict(encoder.distributions))
        sample = encoder.decode(trial.params)
        good = GOOD[sample["optimizer"]]
        near.append(good / FACTOR * 0.999 <= sample["lr"] <= min(0.5, good * FACTOR) * 1.001)
        study.tell(trial, -abs(np.log(sample["lr"] / good)))
    assert all(near) == (told is not None)


def test_the_process_sees_neighbours_side_by_side() -> None:
    distribution = FloatDistribution(0.0, 4.0, step=1.0)
    places = [_place("n", value, distribution)["n"] for value in (0.0, 1.0, 4.0)]
    assert places == pytest.approx([0.0, RANGE / 4, RANGE])
