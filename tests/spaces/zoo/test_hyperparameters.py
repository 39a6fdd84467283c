"""The lab's hyperparameters: ranges, defaults, and values that NNI alone would let through."""

from __future__ import annotations

import json
import math

import pytest
from nni.mutable import MutableDict, Numerical, SampleValidationError
from numpy.random import RandomState

from spaces.zoo.hyperparameters import search_hyperparameters

LAB_DEFAULTS = {
    "initial_lr": 0.1,
    "weight_decay": 5e-4,
    "optimizer": "sgd",
    "momentum": 0.9,
    "batch_size": 128,
    "cutout": 0,
    "grad_clip": 0.0,
    "label_smoothing": 0.0,
}
RANGES = {
    "initial_lr": (1e-4, 0.5),
    "weight_decay": (1e-6, 1e-3),
    "momentum": (0.8, 0.99),
    "grad_clip": (0.0, 5.0),
    "label_smoothing": (0.0, 0.2),
}
CHOICES = {"optimizer": ["sgd", "adam", "rmsprop", "muon"], "batch_size": [64, 128, 256], "cutout": [0, 8, 16]}


def test_the_defaults_are_the_labs() -> None:
    mutables = search_hyperparameters()
    assert {label: mutable.label for label, mutable in mutables.items()} == {label: label for label in LAB_DEFAULTS}
    assert MutableDict(mutables).default() == LAB_DEFAULTS


@pytest.mark.parametrize("label", RANGES)
def test_ranges_are_closed_and_refuse_what_is_no_number_in_them(label: str) -> None:
    mutable = search_hyperparameters()[label]
    low, high = RANGES[label]
    assert mutable.contains({label: low})
    assert mutable.contains({label: high})
    for value in (math.nextafter(low, -1), math.nextafter(high, 9), math.nan, math.inf, True, "0.1", None, [low]):
        error = mutable.check_contains({label: value})
        assert isinstance(error, SampleValidationError), f"{label} takes {value!r}"
        with pytest.raises(SampleValidationError):
            mutable.freeze({label: value})
    with pytest.raises(SampleValidationError, match=label):
        mutable.freeze({})


def test_nni_alone_lets_nan_through() -> None:
    """The reason for ``FiniteNumerical``: remove it once this fails."""
    assert Numerical(0.0, 1.0, label="x").contains({"x": math.nan})


@pytest.mark.parametrize(("label", "values"), CHOICES.items())
def test_choices(label: str, values: list[object]) -> None:
    mutable = search_hyperparameters()[label]
    assert list(mutable.grid()) == values
    assert not mutable.contains({label: "adagrad"})
    assert not mutable.contains({label: 65})


def test_samples_are_legal_reproducible_and_plain_data() -> None:
    space = MutableDict(search_hyperparameters())
    samples = [space.random(random_state=RandomState(seed)) for seed in range(50)]
    for sample in samples:
        space.validate(sample)
        space.validate(json.loads(json.dumps(sample)))
    assert samples == [space.random(random_state=RandomState(seed)) for seed in range(50)]
    for label in LAB_DEFAULTS:
        assert len({sample[label] for sample in samples}) >= 3


def test_learning_rate_and_weight_decay_are_sampled_by_order_of_magnitude() -> None:
    mutables = search_hyperparameters()
    for label in ("initial_lr", "weight_decay"):
        low, high = RANGES[label]
        state = RandomState(0)
        logarithms = [math.log(mutables[label].random(random_state=state)) for _ in range(400)]
        middle = (math.log(low) + math.log(high)) / 2
        below = sum(value < middle for value in logarithms)
        assert 160 <= below <= 240  # 200 expected, standard deviation 10
