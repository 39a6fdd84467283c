"""Values in a message: one short line, whatever they are, at a cost that does not grow with them."""

from __future__ import annotations

import time
from typing import Any

import pytest

from common.text import printable, show, show_text


def laughs(levels: int = 60) -> list[Any]:
    """Lists in which each stands ten times in the next: their whole text has 10 to the power of ``levels`` characters."""
    value: list[Any] = ["ha"] * 10
    for _ in range(levels):
        value = [value] * 10
    return value


@pytest.mark.parametrize(
    "value",
    [None, True, 3, 2.5, "text", 'it\'s "both"', [], (), {}, (1,), [1, "a", None], {"a": [1, (2, 3)], 4: {"b": {}}}, {1, 2}, b"x"],
)
def test_a_short_value_is_shown_as_python_writes_it(value: object) -> None:
    assert show(value) == repr(value)


def test_a_long_value_is_cut_at_the_limit() -> None:
    for value in ("x" * 500, list(range(500)), dict.fromkeys(range(500), "v"), laughs(3), 10**300):
        for limit in (80, 200):
            shown = show(value, limit)
            assert shown == repr(value)[: limit - 3] + "..."
    assert show(laughs(), 40) == "[" * 37 + "..."


def test_what_is_shown_costs_no_more_than_what_is_seen() -> None:
    itself: list[Any] = []
    itself.append(itself)
    deep: Any = []
    for _ in range(100_000):
        deep = [deep]
    wide = {str(number): laughs() for number in range(1000)}
    start = time.process_time()
    for value in (laughs(), {"a": laughs()}, itself, deep, wide, "x" * 50_000_000):
        assert len(show(value)) == 80
    assert time.process_time() - start < 0.5
    while deep:  # Python takes such depth apart by recursion
        deep = deep.pop()


def test_a_foreign_object_that_cannot_be_written_is_named() -> None:
    class Broken:
        def __repr__(self) -> str:
            raise RuntimeError("no")

    assert show(Broken()) == "a Broken"
    assert show([Broken(), 10**5000]) == "[a Broken, a huge int]"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("nul\0", "nul\\x00"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("two\nlines\r\t", "two\\nlines\\r\\t"),
        ("half \ud800 of a pair", "half \\ud800 of a pair"),
        ("turned \u202e round", "turned \\u202e round"),
        ("中文 é → ✓", "中文 é → ✓"),
        ("C:\\new", "C:\\new"),
    ],
)
def test_what_has_no_ink_is_escaped(text: str, shown: str) -> None:
    assert printable(text) == shown
    assert printable(shown) == shown, "what is escaped stays as it is"
    assert show(text).isprintable() and show([text]).isprintable() and show_text(text).isprintable()


def test_a_text_that_reads_well_is_shown_without_quotes() -> None:
    assert show_text("backbone") == "backbone"
    assert show_text("two\nlines") == r"'two\nlines'"
    assert show_text(["a"]) == "['a']"
    assert show_text("x" * 100) == "x" * 77 + "..."
