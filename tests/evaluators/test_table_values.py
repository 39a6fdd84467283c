"""Which value of a sample and which text of a table are the same."""

from __future__ import annotations

from typing import Any

import pytest

from evaluators.table_values import key_of, number_in


@pytest.mark.parametrize(
    ("values", "key"),
    [
        ([0.1, "0.1", "0.10", "1e-1", " 0.1 "], "0.1"),
        ([16, 16.0, "16", "16.0", "1.6e1"], "16"),
        ([0, -0.0, "0", "-0.0"], "0"),
        ([3 * 0.1, "0.3"], "0.3"),
        ([None, "None", "null", ""], "null"),
        ([True, "True", "true"], "true"),
        ([[0, 1], "[0, 1]", "[0,1]"], "[0, 1]"),
        (["none"], "none"),
        (["007"], "007"),
        (["1_000"], "1_000"),
        (["nan"], "nan"),
        (["1e999"], "1e999"),
        (["[x"], "[x"),
    ],
)
def test_what_is_the_same(values: list[Any], key: str) -> None:
    assert {key_of(value) for value in values} == {key}


def test_numbers_are_told_from_names() -> None:
    assert [number_in(text) for text in ("2", "-.5", "1e3", "0110", "1_0", "inf", "")] == [2.0, -0.5, 1000.0, None, None, None, None]
