"""What counts as a number."""

from __future__ import annotations

import math

import pytest

from common.numbers import is_real


@pytest.mark.parametrize("value", [0, -3, 2.5, 1e308])
def test_finite_numbers_are(value: object) -> None:
    assert is_real(value)


@pytest.mark.parametrize("value", [True, False, None, "1", math.nan, math.inf, -math.inf, [1], 1j, pytest.param(10**400, id="huge")])
def test_all_else_is_not(value: object) -> None:
    assert not is_real(value)
