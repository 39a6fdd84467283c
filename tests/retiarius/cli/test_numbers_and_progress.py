"""Numbers as a person reads them, and the lines of progress in a file."""

from __future__ import annotations

import re

import pytest

from records.formats import format_accuracy, format_count, format_seconds
from retiarius.cli.progress import PlainProgress

# --- numbers ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fraction", "text"),
    [(0.9123, "91.23%"), (1, "100.00%"), (0.0, "0.00%"), (0.76949, "76.95%"), (None, "-"), (float("nan"), "-")],
)
def test_accuracies_are_percent_with_two_decimals(fraction: float | None, text: str) -> None:
    assert format_accuracy(fraction) == text


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (3_349_342, "3.35 M"),
        (199_762, "200 k"),
        (950, "950"),
        (0, "0"),
        (1000, "1.00 k"),
        (12_345, "12.3 k"),
        (99_960, "100 k"),
        (999_499, "999 k"),
        (999_500, "1.00 M"),
        (5.28e8, "528 M"),
        (4.1e9, "4.10 G"),
        (2e12, "2.00 T"),
        (1.2e16, "12000 T"),
        (None, "-"),
    ],
)
def test_counts_have_three_digits(number: float | None, text: str) -> None:
    assert format_count(number) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.04, "0.0 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (59.4, "59 s"),
        (59.6, "1 min 00 s"),
        (83, "1 min 23 s"),
        (3599.7, "1 h 00 min"),
        (7500, "2 h 05 min"),
        (100_000, "27 h 47 min"),
        (-1, "0.0 s"),
        (None, "-"),
        (float("inf"), "-"),
    ],
)
def test_durations_read_well(seconds: float | None, text: str) -> None:
    assert format_seconds(seconds) == text


# --- progress in a file -----------------------------------------------------------------------------------------------


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_plain_progress_says_a_line_a_tenth() -> None:
    lines: list[str] = []
    clock = Clock()
    progress = PlainProgress(lines.append, 200, "trials", "search", clock=clock)
    for number in range(200):
        clock.now += 0.01
        progress.update(best=number / 1000)
    assert len(lines) == 10
    assert lines[0] == "search: 20/200 trials, best 1.90%, 1.8 s left"
    assert lines[-1] == "search: 200/200 trials, best 19.90%, 2.0 s so far"


def test_plain_progress_of_a_long_run_is_quiet() -> None:
    lines: list[str] = []
    clock = Clock()
    progress = PlainProgress(lines.append, None, "steps", "search", clock=clock)
    for _ in range(3600 * 10):
        clock.now += 1
        progress.update()
    assert lines[0] == "search: 10 steps, 10 s so far" and lines[1] == "search: 20 steps, 20 s so far"
    assert 50 < len(lines) < 150


def test_the_best_never_falls_and_nan_is_passed_over() -> None:
    lines: list[str] = []
    progress = PlainProgress(lines.append, 4, "trials", "search", clock=Clock())
    for score in (0.5, 0.9, float("nan"), 0.7):
        progress.update(best=score)
    assert [re.findall(r"best (\S+),", line) for line in lines] == [["50.00%"], ["90.00%"], ["90.00%"], ["90.00%"]]


def test_the_time_left_of_a_resumed_run_counts_its_own_pace() -> None:
    lines: list[str] = []
    clock = Clock()
    progress = PlainProgress(lines.append, 100, "trials", "search", completed=80, clock=clock)
    clock.now += 10
    progress.update(10)
    assert lines == ["search: 90/100 trials, 10 s left"]
    progress.update(0, detail="waiting")
    assert len(lines) == 1


def test_progress_without_a_total_or_of_nothing() -> None:
    lines: list[str] = []
    for total in (None, 0):
        PlainProgress(lines.append, total, "trials", "search", clock=Clock()).update()
    assert lines == []
