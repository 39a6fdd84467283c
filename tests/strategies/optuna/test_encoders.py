"""Choices of numbers that have an order, as parameters of Optuna's."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from nni.mutable import Categorical
from optuna.distributions import CategoricalDistribution, FloatDistribution

from spaces.ordered_choices import as_looked_up
from strategies.bayesian import RANGE, _place
from strategies.optuna.encoders import draw_value, make_encoder


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


def test_the_process_sees_neighbours_side_by_side() -> None:
    distribution = FloatDistribution(0.0, 4.0, step=1.0)
    places = [_place("n", value, distribution)["n"] for value in (0.0, 1.0, 4.0)]
    assert places == pytest.approx([0.0, RANGE / 4, RANGE])
