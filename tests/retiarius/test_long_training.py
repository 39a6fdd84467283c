"""What a search reckons with where a long training follows: what is tried last, and what is chosen."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from two_layers import TwoLayers

from common.reporter import Reporter
from common.trial import FIRST, LAST, Trial
from retiarius import long_training
from retiarius.long_training import (
    LATE_SHARE,
    LateTrial,
    best_for_training,
    choose_late_trial,
    expected_error,
    let_first_go,
    save_best_for_training,
    try_last,
)
from retiarius.settings import SearchSettings
from retiarius.warm_start import DEFAULT
from strategies import TPE

COSTS = {"default": 6.5, "light": 1.0, "usual": 2.0, "heavy": 6.0, "slow": 40.0, "broken": 0.0}  # seconds of an epoch
ERRORS = [[2, 0.2], [4, 0.1], [16, 0.05]]


@pytest.fixture(autouse=True)
def usual_errors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "errors.json"
    path.write_text(json.dumps({"errors": ERRORS}))
    monkeypatch.setattr(long_training, "ERRORS", path)


def late_of(*starts: str, out: str = "", unfinished: Sequence[Trial] = (), **told: Any) -> Any:
    """Return what is tried last in a search of 100 s, with shares of 12.5 s, which a training of 100 s follows; not the one that is out."""
    settings = SearchSettings(**{"space": TwoLayers, "strategy": TPE(), "time_budget": 100.0, "then_retrain": 100.0, **told})
    plan = SimpleNamespace(share=12.5, starts={DEFAULT if name == "default" else name: {"network": name} for name in starts})
    pace = SimpleNamespace(share=12.5, known_cost=lambda sample: COSTS[sample["network"]])
    return choose_late_trial(settings, plan, pace, unfinished, lambda sample: sample["network"] == out)  # type: ignore[arg-type]


def test_the_first_that_a_share_cannot_tell_of_is_tried_last() -> None:
    late = late_of("light", "usual", "broken", "slow", "heavy", "default")
    assert late.sample == {"network": "heavy"}, "a share holds six epochs of the usual one; for the slow one there is no time at all"
    assert (late.name, late.cost, late.seconds) == ("heavy", 6.0, 100 * LATE_SHARE)
    assert [late.epochs_within(seconds) for seconds in (60.0, 25.0, 18.1, 17.9)] == [9, 3, 3, 0], (
        "a tenth is left free, but for three epochs"
    )


def test_three_epochs_may_take_a_third_of_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(COSTS, "heavy", 10.0)
    assert late_of("light", "usual", "heavy").seconds == pytest.approx(33.0)
    monkeypatch.setitem(COSTS, "heavy", 10.2)
    assert late_of("light", "usual", "heavy") is None


def test_what_was_tried_or_is_too_large_is_not_tried_last() -> None:
    assert late_of("light", "heavy", "usual", out="heavy") is None


def test_nothing_else_is_tried_last_while_such_a_trial_goes_on() -> None:
    cut_off = replace(trial(3, 0.5, 2, 6.0, "pruned"), facts={"planned_epochs": 3})
    assert late_of("light", "heavy", unfinished=[cut_off]).name == "heavy", "a usual one"
    assert late_of("light", "heavy", unfinished=[replace(cut_off, facts={"planned_epochs": 3, "at_one_go": FIRST})]).name == "heavy"
    assert late_of("light", "heavy", unfinished=[replace(cut_off, facts={"planned_epochs": 3, "at_one_go": LAST})]) is None


def test_the_first_that_has_its_few_epochs_is_a_trial_like_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(COSTS, "usual", 4.0)  # three epochs in a share
    assert late_of("default", "usual", "light", "heavy").name == "heavy"
    assert late_of("default", "slow", "usual").name != "usual"
    assert late_of("heavy", "slow").name == "heavy", "where none has"


def first_of(*starts: str, known: Sequence[Trial] = (), too_large: str = "", screened: Sequence[str] = (), **told: Any) -> list[Any]:
    """Return what does not wait in a search with shares of 12.5 s."""
    gone: list[Any] = []
    settings = SearchSettings(**{"space": TwoLayers, "strategy": TPE(), "time_budget": 100.0, **told})
    plan = SimpleNamespace(starts={DEFAULT if name == "default" else name: {"network": name} for name in starts}, screened=screened)
    pace = SimpleNamespace(share=12.5, known_cost=lambda sample: COSTS[sample["network"]], let_go=lambda *told: gone.append(told))
    let_first_go(settings, plan, pace, known, lambda sample: sample["network"] == too_large)  # type: ignore[arg-type]
    return gone


def test_the_first_start_that_is_not_too_slow_does_not_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(COSTS, "default", 1.0)
    assert first_of("default", "heavy", "usual", "light") == [({"network": "usual"}, FIRST)]
    assert first_of("heavy", "usual", "light", too_large="usual") == [({"network": "light"}, FIRST)]
    assert first_of("default", "light", screened=["light"]) == [], "nothing is known of it but a score of an untrained network"
    assert first_of("default", "light", epochs=3) == first_of("light", evaluator=lambda network, *, checkpoint, since, until: 0.5) == []
    before = replace(trial(1, 0.5, 3, 1.0), facts={"at_one_go": FIRST})
    assert first_of("usual", "light", known=[before]) == [], "once in a run, whatever an epoch costs now"


def test_the_default_comes_after_the_portfolio(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(COSTS, "default", 6.0)
    assert late_of("default", "light", "heavy").name == "heavy"
    assert late_of("default", "light").name == DEFAULT


@pytest.mark.parametrize(
    "told",
    [
        {"then_retrain": None},
        {"then_retrain": 40.0},  # 6 epochs
        {"epochs": 3},
        {"trials": 5},
        {"start_with": ("runs/before",)},
        {"evaluator": lambda network, *, checkpoint, since, until: 0.5},
    ],
    ids=[
        "nothing follows",
        "what follows is short",
        "epochs are given",
        "trials are counted",
        "a person says what comes first",
        "another evaluator",
    ],
)
def test_where_nothing_is_tried_last(told: dict[str, Any]) -> None:
    assert late_of("light", "heavy", **told) is None


@pytest.mark.parametrize(
    ("epochs", "later", "factor"),
    [(2, 4, 0.5), (2, 16, 0.25), (4, 16, 0.5), (16, 16, 1.0), (4, 8, 0.5**0.5), (16, 64, 0.5), (1, 2, 0.5)],
)
def test_an_error_falls_as_the_usual_one_does(epochs: float, later: float, factor: float) -> None:
    assert expected_error(0.4, epochs, later) == pytest.approx(0.4 * factor)


def trial(number: int, accuracy: float, epochs: int, seconds_each: float, state: str = "complete", **sample: Any) -> Trial:
    """Return one of a network of its own, unless ``sample`` says which: ``n`` is the architecture, the rest are hyperparameters."""
    told: dict[str, Any] = {"curve": [accuracy] * epochs, "seconds": epochs * seconds_each, "facts": {"flops": int(1000 * seconds_each)}}
    return Trial(number, sample or {"n": number}, state, accuracy, architecture_labels=frozenset({"n"}), **told)


def test_a_larger_network_is_chosen_where_it_will_be_the_best() -> None:
    """The small one has reached where its error falls no more; the large one has fewer epochs before it, and yet more to gain."""
    small, large, waits = trial(0, 0.90, 16, 1.0), trial(1, 0.85, 4, 4.0), trial(2, 0.99, 1, 1.0, "pruned")
    chosen, error = best_for_training([small, large, waits], 64.0, 10**6) or (None, 0.0)
    assert chosen is not None and chosen.number == 0
    assert error == pytest.approx(0.1 * 0.5), "64 epochs, a power of which 4 to 16 tell"
    chosen, error = best_for_training([trial(0, 0.90, 16, 1.0), trial(1, 0.91, 4, 4.0)], 64.0, 10**6) or (None, 0.0)
    assert chosen is not None and chosen.number == 1 and error == pytest.approx(0.09 * 0.5)
    assert best_for_training([waits], 64.0, 10**6) is None


@pytest.mark.parametrize(("images", "chosen"), [(10**6, 0), (1000, 1), (4, 1)])
def test_of_those_that_few_images_cannot_tell_apart_the_largest_is_chosen(images: int, chosen: int) -> None:
    """Errors of 0.05 and 0.0505 are expected; a third, with an accuracy of 0.2, is out even where a standard error is 0.1."""
    trials = [trial(0, 0.90, 16, 1.0), trial(1, 0.899, 4, 4.0), trial(2, 0.2, 4, 4.0)]
    found = best_for_training(trials, 64.0, images)
    assert found is not None and found[0].number == chosen


def save(trials: list[Trial], best: Trial) -> tuple[list[tuple[int, float]], list[str]]:
    """Return what is saved of a search before a training of 160 s, and what is said."""
    said: list[str] = []
    reporter = Reporter()
    reporter.say = said.append  # type: ignore[method-assign]
    keeper: Any = SimpleNamespace(trials=trials, best=best)
    saved: list[tuple[int, float]] = []
    settings = SearchSettings(space=TwoLayers, strategy=TPE(), time_budget=100.0, then_retrain=160.0)
    take = lambda trial, expected_accuracy: saved.append((trial.number, expected_accuracy))  # noqa: E731
    save_best_for_training(settings, keeper, 10**6, take, reporter)
    return saved, said


@pytest.mark.parametrize(("accuracy", "saved", "expected"), [(0.89, 1, 0.945), (0.5, 0, 0.9)])
def test_the_choice_is_saved_and_said_where_it_is_not_the_best_score(accuracy: float, saved: int, expected: float) -> None:
    trials = [trial(0, 0.90, 16, 10.0), trial(1, accuracy, 4, 10.0)]
    told = "trial 1 is chosen for the training that follows: 89.00% after 4 epochs, and then about 94.50%"
    assert save(trials, trials[0]) == ([(saved, expected)], [told] if saved else [])


def test_none_is_chosen_that_is_to_become_worse_than_one_is_now() -> None:
    waits = trial(0, 0.85, 1, 10.0, "pruned")
    assert save([waits, trial(1, 0.1, 4, 10.0)], waits) == ([], [])


@pytest.mark.parametrize("images", [600, 5000])
def test_of_trials_of_the_largest_network_the_best_is_chosen(images: int) -> None:
    trials = [trial(number, accuracy, 8, 1.0, n=0) for number, accuracy in enumerate((0.906, 0.9098, 0.9094, 0.90))]
    smaller = trial(4, 0.91, 8, 0.9, n=1)
    found = best_for_training([*trials, smaller], 64.0, images)
    assert found is not None and found[0].number == 1


def test_a_training_has_three_hundred_epochs_at_most() -> None:
    _, error = best_for_training([trial(0, 0.9, 75, 1.0)], 1e6, 10**6) or (None, 0.0)
    assert error == pytest.approx(0.1 * 4**-0.5)


@pytest.mark.parametrize(("left", "epochs"), [(5.0, 3), (20.0, 6), (-15.0, 0)])
def test_it_is_tried_for_as_long_as_there_is_time(left: float, epochs: int) -> None:
    submitted: list[Any] = []
    engine = SimpleNamespace(seconds_left=left, submit_models=submitted.append)
    engine.give_time = lambda seconds: setattr(engine, "seconds_left", engine.seconds_left + seconds)
    lengths: list[Any] = []
    pace: Any = SimpleNamespace(let_go=lambda *told: lengths.append(told))
    space: Any = SimpleNamespace(freeze=lambda sample: sample)
    try_last(LateTrial("heavy", {"n": 1}, 6.0, 20.0, pace), space, engine, Reporter())  # type: ignore[arg-type]
    assert submitted == ([{"n": 1}] if epochs else [])
    assert lengths == ([({"n": 1}, LAST, epochs)] if epochs else [])
