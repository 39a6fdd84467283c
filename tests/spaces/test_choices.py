"""Mutables as plain data: what is fixed, what is counted, and what is none of it."""

from __future__ import annotations

import numpy as np
import pytest
from nni.mutable import Categorical, CategoricalMultiple, ExpressionConstraint, Numerical

from common.mutables import list_values
from spaces.choices import count_configurations, count_exactly, is_fixed, legal_choices


def test_one_value_that_may_be_chosen_or_not_is_no_fixed_one() -> None:
    either = CategoricalMultiple(["a"], label="m")
    assert not is_fixed(either) and count_configurations({"m": either}) == 2
    assert is_fixed(CategoricalMultiple(["a"], n_chosen=1, label="m"))


@pytest.mark.parametrize(
    ("number", "values"),
    [
        (Numerical(1, 3, quantize=0.75, label="n"), [1, 1.5, 2.25, 3]),
        (Numerical(0.5, 3.5, quantize=1, label="n"), [1, 2, 3]),  # the bounds are drawn with a probability of 0
        (Numerical(4, 6, quantize=10, label="n"), [4, 6]),
        (Numerical(1, 2, quantize=10, label="n"), [1]),
        (Numerical(1e-3, 1e-1, log_distributed=True, quantize=0.05, label="n"), [1e-3, 0.05, 0.1]),
    ],
    ids=repr,
)
def test_the_steps_of_a_number_are_counted(number: Numerical, values: list[float]) -> None:
    assert list_values(number) == pytest.approx(values)
    assert count_exactly({"n": number, "c": Categorical([0, 1], label="c")}) == 2 * len(values)
    draws = {round(number.random(random_state=np.random.RandomState(seed)), 9) for seed in range(200)}
    assert draws == {round(value, 9) for value in values}
    assert count_exactly({"n": Numerical(mu=0, sigma=1, quantize=1, label="n")}) is None, "no bounds"


def test_a_constraint_is_nothing_that_is_chosen() -> None:
    number = Categorical([1, 2, 3], label="n")
    mutables = {"n": number, "odd": ExpressionConstraint(number % 2 == 1, label="odd")}
    assert count_exactly(mutables) == 3
    assert legal_choices(mutables).keys() == {"n"}
