"""Trials that are trained once more, at full size: when, how many, how long; none twice, as long as they are of the same networks."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from two_layers import TwoLayers

from common.reporter import Reporter
from common.trial import Trial
from retiarius import finals
from retiarius.finals import fit_finals, seconds_for_finals, seconds_of_finals, train_each
from retiarius.pacing import has_finals
from retiarius.settings import SearchSettings
from strategies import TPE


def test_a_final_of_an_interrupted_run_counts_for_the_network_that_it_was_of(tmp_path: Path) -> None:
    trained: list[dict[str, Any]] = []

    def run(trial: Trial, epochs: int, *heard: Any) -> float:
        trained.append(trial.architecture)
        return float(len(trained))

    def finals_of(*operations: str) -> list[tuple[str, float | None]]:
        chosen = [
            Trial(number, {"edge": operation}, "pruned", architecture_labels=frozenset({"edge"}))
            for number, operation in enumerate(operations)
        ]
        return [(trial.sample["edge"], trial.score) for trial in train_each(run, chosen, tmp_path, 1, Reporter())]

    assert finals_of("a", "b") == [("a", 1), ("b", 2)]
    assert finals_of("a", "b") == [("a", 1), ("b", 2)] and len(trained) == 2, "nothing is trained twice"
    # The supernet was trained on, and others are its best.
    assert finals_of("c", "b") == [("c", 3), ("b", 2)] and len(trained) == 3
    assert finals_of("c", "b") == [("c", 3), ("b", 2)] and len(trained) == 3
    assert seconds_of_finals(tmp_path) > 0 and seconds_of_finals(tmp_path / "none") == 0


@pytest.mark.parametrize(
    ("costs", "expected"),
    [([1.0, 1.0, 1.0], (3, 10)), ([1.0, 2.0, 7.0], (3, 3)), ([1.0, 2.0, 8.0], (2, 10)), ([5.0, 6.0, 1.0], (0, 0)), ([1.0], (0, 0))],
)
def test_as_many_are_compared_as_have_three_epochs_each(costs: list[float], expected: tuple[int, int]) -> None:
    assert fit_finals(costs, 30.0) == expected


def test_as_many_are_compared_as_are_done() -> None:
    """Whatever an epoch costs by now: the machine may be busier."""
    assert fit_finals([1.0, 2.0, 8.0], 30.0, [True, False, True]) == (3, 3)
    assert fit_finals([5.0, 6.0, 1.0], 30.0, [False, True, False]) == (2, 3)


def settings_of(space: Any, preset: str = "quick", **fixed: Any) -> SearchSettings:
    return SearchSettings(space=space, strategy=TPE(), time_budget=360.0, preset=preset, fixed=fixed)


@pytest.mark.parametrize(
    ("space", "preset", "fixed", "expected"),
    [
        ("darts", "lab", {}, True),
        ("darts", "lab", {"num_cells": 5}, False),  # an auxiliary head is no size
        ("nasbench201", "quick", {}, True),
        ("nasbench201", "lab", {}, False),  # the published size in both
        ("zoo", "lab", {}, False),
        (TwoLayers, "lab", {}, False),
    ],
)
def test_finals_are_for_networks_that_are_larger_in_a_retraining(space: Any, preset: str, fixed: dict[str, int], expected: bool) -> None:
    assert has_finals(settings_of(space, preset, **fixed), 10.0) is expected
    assert not has_finals(settings_of(space, preset, **fixed), None), "where trials do not wait"
    own = SearchSettings(space=space, strategy=TPE(), time_budget=9.0, preset=preset, fixed=fixed, evaluator=lambda network: 0.5)
    assert not has_finals(own, 10.0), "trainings of another kind are not made anew"


@pytest.mark.parametrize(("heavy", "seconds"), [(9.9, 90.0), (10.1, 0.0)])
def test_there_is_time_where_a_heavy_network_has_three_epochs(heavy: float, seconds: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """A quarter of 360 s for three networks is 30 s each. The default network is cheaper than others."""
    monkeypatch.setattr(finals, "_some_architectures", lambda *told: [{"cost": 1.0}, {"fails": True}, {"cost": heavy}])
    monkeypatch.setattr(finals, "_cost", lambda context, settings, architecture, enough: architecture["cost"])
    plan: Any = SimpleNamespace(share=10.0)
    said: list[str] = []
    context: Any = SimpleNamespace(reporter=SimpleNamespace(say=said.append))
    assert seconds_for_finals(context, settings_of("darts"), plan, 0.0) == seconds
    assert len(said) == (seconds == 0)
    assert seconds_for_finals(context, settings_of("darts"), plan, 9.0) == 90.0, "there was time for one already"
