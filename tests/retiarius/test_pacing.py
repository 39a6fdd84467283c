"""When the trials of a search are paced, how long each then is, and which networks are too slow for it."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from two_layers import TwoLayers, count_weights

from common.trial import FIRST, LAST
from evaluators.training import cost
from records.run_config import SECONDS_PER_TRIAL
from retiarius.pacing import MOST_EPOCHS, SHARES, Pace, share_of
from retiarius.settings import SearchSettings
from strategies import NSGA2, TPE, Darts, LocalSearch, Median, Random


def trains_in_legs(network: Any, *, checkpoint: Any, since: int, until: int) -> float:
    return 0.5


def takes_all(network: Any, **others: Any) -> float:
    return 0.5


def takes_no_end(network: Any, *, checkpoint: Any, since: int) -> float:
    return 0.5


def settings_of(**told: Any) -> SearchSettings:
    return SearchSettings(**{"space": TwoLayers, "strategy": TPE(), "time_budget": 80.0, **told})


@pytest.mark.parametrize("told", [{}, {"strategy": Random()}, {"evaluator": trains_in_legs}, {"epochs": 4}, {"trials": 3}], ids=" ".join)
def test_a_time_budget_gives_each_trial_an_eighth(told: dict[str, Any]) -> None:
    assert share_of(settings_of(**told), {"initial_lr": None}) == 80.0 / SHARES


@pytest.mark.parametrize(
    "told",
    [
        {"time_budget": None},
        {"strategy": TPE(pruner=Median())},
        {"strategy": NSGA2()},
        {"strategy": LocalSearch()},
        {"strategy": Darts()},
        {"workers": 2},
        {"storage": "sqlite:///s.db"},
        {"table": "t.csv"},
        {"evaluator": takes_all},
        {"evaluator": takes_no_end},
        {"evaluator": count_weights},
        {"evaluator": "zero_cost"},
    ],
    ids=" ".join,
)
def test_what_switches_it_off(told: dict[str, Any]) -> None:
    assert share_of(settings_of(**told), {}) is None


def test_trials_of_searched_epochs_have_their_own_length() -> None:
    assert share_of(settings_of(), {"epochs": None}) is None


def test_a_strategy_of_nnis_is_not_told_of_a_trial_twice() -> None:
    from nni.nas.strategy import Random as NniRandom

    assert share_of(settings_of(strategy=NniRandom()), {}) is None


@pytest.mark.parametrize(("budget", "share", "expected"), [(40.0, 3.5, 3.5), (40.0, None, None), (None, None, 10.0)])
def test_a_search_that_is_resumed_paces_its_trials_as_it_did(
    budget: float | None, share: float | None, expected: float | None, tmp_path: Path
) -> None:
    """One that began by a version whose trials did not wait with a time budget goes on so; one that began by trials is refused later."""
    identity = {} if share is None else {SECONDS_PER_TRIAL: share}
    config = {"format": "retiarius-run", "version": 1, "identity": identity, "settings": {"time_budget": budget}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert share_of(settings_of(out=tmp_path, resume=True), {}) == expected
    assert share_of(settings_of(out=tmp_path), {}) == 10.0
    local = settings_of(out=tmp_path, resume=True, strategy=LocalSearch())
    assert share_of(local, {}) == (expected if budget else None)


COSTS = {"light": 0.01, "usual": 1.0, "heavy": 5.5, "slow": 30.0}  # seconds of an epoch


def make_pace(monkeypatch: pytest.MonkeyPatch, *starts: str, stored: dict[str, Any] | None = None, **told: Any) -> tuple[Pace, list[str]]:
    """Return the pace of a search of 80 s, and a list that hears of each measurement."""
    measured: list[str] = []

    def measure(network: str, *others: Any, **where: Any) -> float:
        measured.append(network)
        return COSTS[network]

    monkeypatch.setattr(cost, "measure_epoch", measure)
    settings = settings_of(**told)
    context = SimpleNamespace(recipe={}, epochs=told.get("epochs", 2), data=None, device=None, precision=None, stored=stored or {})
    context.build = lambda architecture: architecture["network"]
    samples = {name: {"network": name} for name in starts}
    plan = SimpleNamespace(share=10.0, starts=samples, searched=SimpleNamespace(architecture={"network": None}, canonical=dict))
    return Pace(context, settings, plan), measured  # type: ignore[arg-type]


def test_each_trial_has_the_epochs_that_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    pace, _ = make_pace(monkeypatch)
    assert {name: pace.length({"network": name}).epochs for name in COSTS} == {"light": MOST_EPOCHS, "usual": 10, "heavy": 1, "slow": 1}


def test_what_does_not_wait_may_have_epochs_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    pace, _ = make_pace(monkeypatch)
    pace.let_go({"network": "usual"}, FIRST)
    pace.let_go({"network": "slow"}, LAST, 3)
    lengths = {name: pace.length({"network": name}) for name in COSTS}
    assert {name: (length.epochs, length.at_one_go) for name, length in lengths.items()} == {
        "light": (MOST_EPOCHS, None),
        "usual": (10, FIRST),
        "heavy": (1, None),
        "slow": (3, LAST),
    }
    assert pace.reject({"network": "slow"}) is None


def test_a_share_of_three_epochs_holds_three(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(COSTS, "heavy", 6.1)  # three times which, divided by it, is less than three in floating point
    assert 3 * 6.1 / 6.1 < 3
    assert make_pace(monkeypatch, "heavy")[0].length({"network": "heavy"}).epochs == 3


def test_a_network_that_hardly_gets_anywhere_is_too_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    pace, _ = make_pace(monkeypatch)
    assert pace.reject({"network": "usual"}) is None
    rejection = pace.reject({"network": "heavy"})
    assert rejection is not None and rejection.excess > 0
    assert (rejection.reason, rejection.fault) == ("16 s for 3 epochs, more than the 10 s of a trial", "too slow")


def test_a_network_is_measured_until_it_is_certain_that_it_is_too_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the share that has grown, or by the whole budget: less would be an epoch that seems cheaper than it is."""
    heard: list[float] = []
    pace, _ = make_pace(monkeypatch, "heavy")
    monkeypatch.setattr(cost, "measure_epoch", lambda *others, enough, **where: heard.append(enough) or 1.0)
    pace.reject({"network": "usual"})
    pace, _ = make_pace(monkeypatch, epochs=4)
    monkeypatch.setattr(cost, "measure_epoch", lambda *others, enough, **where: heard.append(enough) or 1.0)
    pace.reject({"network": "usual"})
    assert heard == [16.5, 80.0]


def test_epochs_that_a_person_gives_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """And what takes more than all of the search with so many is too slow."""
    pace, _ = make_pace(monkeypatch, epochs=4)
    assert [pace.length({"network": name}).epochs for name in COSTS] == [4, 4, 4, 4]
    assert pace.reject({"network": "heavy"}) is None
    rejection = pace.reject({"network": "slow"})
    assert rejection is not None and rejection.excess > 0
    assert rejection.reason == "120 s for 4 epochs, more than the 80 s of the search"


def test_networks_are_measured_once_a_batch_size_and_optimizer(monkeypatch: pytest.MonkeyPatch) -> None:
    pace, measured = make_pace(monkeypatch)
    for rate in (0.1, 0.2):
        for size in (64, 128):
            pace.length({"network": "usual", "initial_lr": rate, "batch_size": size})
    assert measured == ["usual", "usual"]


def test_the_share_grows_to_what_the_cheapest_first_network_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    assert make_pace(monkeypatch, "usual", "slow")[0].share == 10.0
    assert make_pace(monkeypatch, "heavy", "slow")[0].share == 16.5
    assert make_pace(monkeypatch, "heavy", "slow", "light")[0].share == 16.5, "a cheap one that comes later does not count"
    assert make_pace(monkeypatch, "slow")[0].share == 40.0, "half of the time at most"
    assert make_pace(monkeypatch, "heavy", "slow", stored={"seconds_per_trial": 10.0})[0].share == 10.0, "that of a run which is resumed"


def test_an_evaluator_of_ones_own_has_the_epochs_of_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    pace, measured = make_pace(monkeypatch, evaluator=trains_in_legs)
    assert pace.length({"network": "slow"}).epochs == 2 and pace.reject({"network": "slow"}) is None
    assert measured == []
