"""Pruners that cannot end any trial of a search: that is said before it begins, and it is true."""

from __future__ import annotations

import pytest

from strategies import PRUNERS, Halving, Median, make_pruner
from strategies.optuna.pruning import make_pruning, why_idle


@pytest.mark.parametrize(
    ("pruner", "epochs", "trials", "idle"),
    [
        ("none", 1, 1, False),
        ("median", 1, 20, True),
        ("median", 2, 4, True),
        ("median", 2, 5, False),
        ("median", None, 4, True),
        ("halving", 2, 2, False),
    ],
)
def test_a_pruner_that_cannot_act_is_said(pruner: str, epochs: int | None, trials: int, idle: bool) -> None:
    reason = why_idle(make_pruner(pruner), scores=epochs, trials=trials)
    assert (reason is not None) == idle
    if reason is not None:
        assert f"the pruner {pruner} has no effect: it needs more than 4 trials (`trials`) of at least 2 scores each" in reason


def test_a_pruner_that_begins_after_the_last_score_but_one_is_said_and_cannot_act() -> None:
    assert why_idle(Median(start_step=7), scores=8, trials=20) is None
    reason = why_idle(Median(start_step=8), scores=8, trials=20)
    assert reason is not None
    assert "of at least 9 scores each" in reason
    assert why_idle(Halving(), scores=8, trials=20) is None, "the start step is Medianstop's alone"
    for start_step, can_act in ((7, True), (8, False)):
        pruning = make_pruning(Median(start_step=start_step), epochs=8)
        assert pruning is not None
        stopped = []
        for trial in range(6):
            judged = pruning.begin()
            stopped.append(any(judged.stops(0.5 - trial / 100) for _ in range(8)))
            judged.end("pruned" if stopped[-1] else "complete", None if stopped[-1] else 0.5)
        assert any(stopped) == can_act


@pytest.mark.parametrize("pruner", PRUNERS)
def test_one_trial_fewer_than_said_cannot_be_pruned_and_one_more_can(pruner: str) -> None:
    after = PRUNERS[pruner].after
    pruning = make_pruning(make_pruner(pruner), epochs=2)
    assert pruning is not None
    stopped = []
    for trial in range(after + 1):
        judged = pruning.begin()
        stopped.append(judged.stops(0.5 - trial / 100))
        judged.end("pruned" if stopped[-1] else "complete", None if stopped[-1] else 0.5)
    assert stopped == [False] * after + [True]
