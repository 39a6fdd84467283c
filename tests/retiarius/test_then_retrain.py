"""What a search does before and around the training that follows it."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from two_layers import TwoLayers

from common.errors import RecordError
from common.reporter import Reporter
from retiarius import retrain_run
from retiarius.results import RetrainResult
from retiarius.settings import SearchSettings
from retiarius.then_retrain import is_search_over, retrain_found
from strategies import TPE, Darts

SIZES = {"width": 16, "height": 4}  # of the search


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What trainings were asked for; none is made."""
    calls: list[dict[str, Any]] = []
    monkeypatch.setattr(retrain_run, "retrain", lambda best, **told: calls.append(told))
    return calls


def follow(folder: Path, strategy: Any = None, *, command: str | None = None, **fixed: Any) -> RetrainResult:
    """Retrain what a search in ``folder`` has found: the network ``{"n": 1}``, with a learning rate of 0.1."""
    record = SimpleNamespace(architecture={"n": 1}, hyperparameters={"initial_lr": 0.1, "start_size": 0.75}, space_arguments=SIZES)
    best = SimpleNamespace(record=record, find_space=lambda: SimpleNamespace(settable=lambda phase: {"width": None, "height": None}))
    found: Any = SimpleNamespace(path=folder, best=best)
    reporter = Reporter()
    reporter.command = command
    settings = SearchSettings(space=TwoLayers, strategy=strategy or TPE(), time_budget=10.0, then_retrain=20.0, fixed=fixed)
    return retrain_found(found, settings, reporter)


def begin(folder: Path, n: int, initial_lr: float) -> Path:
    """Leave a training there that has begun."""
    out = folder / "retrain"
    out.mkdir()
    recipe = {"initial_lr": initial_lr, "momentum": 0.9, "start_size": 1.0}
    identity = {"architecture": {"n": n}, "recipe": recipe, "space": {"name": "x", "arguments": {"width": 16, "height": 8}}}
    (out / "config.json").write_text(json.dumps({"format": "retiarius-run", "version": 1, "identity": identity}))
    return out


def test_it_begins_and_goes_on_in_a_folder_within(asked: list[dict[str, Any]], tmp_path: Path) -> None:
    follow(tmp_path)
    begin(tmp_path, 1, 0.1)
    follow(tmp_path)
    assert [(told["out"], told["time_budget"], told["resume"]) for told in asked] == [
        (tmp_path / "retrain", 20.0, False),
        (tmp_path / "retrain", 20.0, True),
    ]


def test_one_that_has_ended_is_kept(asked: list[dict[str, Any]], tmp_path: Path) -> None:
    out = begin(tmp_path, 1, 0.1)
    (out / "retrained.json").write_text("{}")
    assert follow(tmp_path).path == out and not asked


@pytest.mark.parametrize(("n", "initial_lr"), [(2, 0.1), (1, 0.2)], ids=["another network", "another learning rate"])
@pytest.mark.parametrize("has_ended", [False, True])
def test_one_of_something_else_is_refused(n: int, initial_lr: float, has_ended: bool, asked: list[Any], tmp_path: Path) -> None:
    out = begin(tmp_path, n, initial_lr)
    if has_ended:
        (out / "retrained.json").write_text("{}")
    with pytest.raises(RecordError, match=r"another network or other hyperparameters .*; retrain \S*best.json in another folder"):
        follow(tmp_path)
    assert not asked


def test_sizes_that_are_set_hold_for_it_too(asked: list[dict[str, Any]], tmp_path: Path) -> None:
    follow(tmp_path, width=16, height=4, initial_lr=0.1)
    assert asked[0]["fixed"] == {"width": 16, "height": 4}, "a learning rate is no size"
    begin(tmp_path, 1, 0.1)
    follow(tmp_path, width=16, height=4)
    assert asked[1]["fixed"] == {"width": 16}, "one that began before they held keeps its own"


def test_sizes_of_a_supernet_do_not_hold_for_it(asked: list[dict[str, Any]], tmp_path: Path) -> None:
    follow(tmp_path, Darts(), width=16)
    assert asked[0]["fixed"] == {}


def end_search(folder: Path, *budgets: float, ended: bool = True) -> None:
    """Leave the record of a search that began with the first of these budgets and was resumed with the others."""
    first, *later = [{"settings": {"time_budget": budget, "trials": None}} for budget in budgets]
    told = {"format": "retiarius-run", "version": 1, "identity": {}, "resumed": later, **first, **({"ended": "now"} if ended else {})}
    (folder / "config.json").write_text(json.dumps(told))


def asks(folder: Path, budget: float, **told: Any) -> SearchSettings:
    return SearchSettings(**{"space": TwoLayers, "time_budget": budget, "then_retrain": 20.0, "out": folder, "resume": True, **told})


def test_a_search_that_has_ended_is_not_taken_up_again_with_its_training(tmp_path: Path) -> None:
    end_search(tmp_path, 10.0, 15.0)
    assert not is_search_over(asks(tmp_path, 15.0)), "its training has not begun: what it is of may change"
    begin(tmp_path, 1, 0.1)
    assert is_search_over(asks(tmp_path, 15.0)) and is_search_over(asks(tmp_path, 10.0))
    assert not is_search_over(asks(tmp_path, 16.0)), "it is extended"
    assert not is_search_over(asks(tmp_path, 15.0, trials=3))
    assert not is_search_over(asks(tmp_path, 15.0, then_retrain=None))
    end_search(tmp_path, 15.0, ended=False)
    assert not is_search_over(asks(tmp_path, 15.0))


@pytest.mark.parametrize(
    ("command", "words"), [("retiarius --space x", "same command with --out {} --resume"), (None, "same call with out='{}', resume=True")]
)
def test_interrupted_it_says_how_to_resume_the_search(
    command: str | None, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(best: Any, **told: Any) -> None:
        raise KeyboardInterrupt("another way")

    monkeypatch.setattr(retrain_run, "retrain", interrupted)
    with pytest.raises(KeyboardInterrupt) as caught:
        follow(tmp_path, command=command)
    assert words.format(tmp_path) in str(caught.value)
