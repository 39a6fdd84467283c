"""Which trial that waits goes on next."""

from __future__ import annotations

import pytest

from strategies.rungs import Length, Rungs


@pytest.mark.parametrize(
    ("epochs", "rungs"),
    [(27, {3: 0, 9: 1}), (9, {1: 0, 3: 1}), (5, {1: 0, 2: 1}), (4, {1: 1}), (3, {1: 1}), (2, {1: 1}), (1, {}), (0, {})],
)
def test_a_trial_waits_at_a_ninth_and_a_third(epochs: int, rungs: dict[int, int]) -> None:
    length = Length(epochs)
    assert length.rungs == rungs
    stops, since = [], 0
    while since < epochs:
        since = length.next_stop(since)
        stops.append(since)
    assert stops == [*rungs, *([epochs] if epochs else [])]


def test_of_three_the_best_goes_on_and_of_six_two() -> None:
    rungs = Rungs()
    for number, score in enumerate([0.3, 0.5]):
        rungs.wait(str(number), 0, score)
    assert rungs.promoted() is None
    rungs.wait("2", 0, 0.4)
    assert rungs.promoted() == "1"
    rungs.take("1")
    assert rungs.promoted() is None, "the second of three is not of the best third, though the first has gone"
    for number, score in enumerate([0.1, 0.2, 0.35], start=3):
        rungs.wait(str(number), 0, score)
    assert rungs.promoted() == "2"
    assert rungs.waiting == ["2", "5", "0", "4", "3"]


def test_who_came_farther_goes_first() -> None:
    rungs = Rungs()
    for key, rung, score in [("a", 1, 0.5), ("b", 1, 0.6), ("c", 1, 0.4), ("d", 0, 0.55), ("e", 0, 0.1), ("f", 0, 0.2)]:
        rungs.note(key, 0, min(score, 0.55))
        rungs.wait(key, rung, score)
    assert rungs.promoted() == "b"
    rungs.take("b")
    assert rungs.promoted() == "d"
    assert rungs.waiting == ["d", "a", "c", "f", "e"]


def test_a_trial_that_needed_less_for_more_goes_first() -> None:
    rungs = Rungs()
    for key, rung, score in [("slow", 1, 0.2), ("slower", 1, 0.1), ("slowest", 1, 0.15), ("fast", 0, 0.5)]:
        rungs.wait(key, rung, score)
    assert rungs.promoted() == "fast", "three came to the higher rung with less"
    rungs.take("fast")
    assert rungs.promoted() == "slow"


def test_equal_scores_are_equally_good() -> None:
    rungs = Rungs()
    for key in "abc":
        rungs.wait(key, 0, 0.5)
    assert rungs.promoted() is not None
