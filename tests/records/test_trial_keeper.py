"""The trials of a search, kept as they end: the record, the best one, the screen, and going on with what was recorded."""

from __future__ import annotations

import io
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from recorded_trials import make_trial

from common.trial import Trial
from records.best import save_best
from records.trial_keeper import TrialKeeper
from records.trials import TrialLog
from retiarius.cli.screen import Screen

RECIPE = {"initial_lr": 0.1, "momentum": 0.9}


def keep(path: Path, saved: list[Trial]) -> tuple[TrialKeeper, io.StringIO, io.StringIO]:
    out, err = io.StringIO(), io.StringIO()
    keeper = TrialKeeper(path, path.with_name("best.json"), Screen(out, err), architecture=["layer"], recipe=RECIPE, save_best=saved.append)
    return keeper, out, err


def result(number: int, score: float | None, state: str = "complete", **more: Any) -> Trial:
    facts: dict[str, Any] = {"parameters": 10 + number, "flops": 20} | ({"latency": 2.5} if number == 4 else {})
    return Trial(number, {"layer": "conv", "initial_lr": 0.2 + number}, state, score, [0.1, 0.2], 1.5, facts=facts, **more)


RESULTS = [result(0, 0.5), result(1, None, "failed", error="RuntimeError: no"), result(2, 0.5), result(3, None, "pruned"), result(4, 0.75)]


def test_results_become_records_and_the_best_is_saved(tmp_path: Path) -> None:
    saved: list[Trial] = []
    keeper, out, err = keep(tmp_path / "trials.jsonl", saved)
    with keeper.shown(5, "random"):
        for each in RESULTS:
            keeper.note(each)
    assert [trial.number for trial in saved] == [0, 4], "the earlier of equals stays"
    assert keeper.best == saved[-1]
    assert TrialLog(tmp_path / "trials.jsonl").read() == keeper.trials
    assert keeper.trials[3] == make_trial(
        number=3,
        state="pruned",
        architecture={"layer": "conv"},
        hyperparameters={"initial_lr": 3.2, "momentum": 0.9},
        curve=[0.1, 0.2],
        seconds=1.5,
        parameters=13,
        flops=20,
        finished=keeper.trials[3].finished,
    )
    assert "trial 1 failed: RuntimeError: no" in err.getvalue()
    assert "4/5 trials, best 50.00%" in out.getvalue()
    assert "trial 3 pruned in epoch 2" in out.getvalue()


def test_what_was_recorded_goes_back_to_the_engine_as_it_came(tmp_path: Path) -> None:
    first, _, _ = keep(tmp_path / "trials.jsonl", [])
    with first.shown(5, "random"):
        for each in RESULTS:
            first.note(each)
    saved: list[Trial] = []
    keeper, out, _ = keep(tmp_path / "trials.jsonl", saved)
    architecture = frozenset({"layer"})
    assert keeper.recorded(["initial_lr"]) == [replace(trial, architecture_labels=architecture) for trial in RESULTS]
    with keeper.shown(6, "random"):
        keeper.note_epoch(1, 0.125)
        keeper.note(result(5, 0.25))
    assert [trial.number for trial in saved] == [4], "there is no best.json: the run ended before it was written"
    assert "6/6 trials, best 75.00%" in out.getvalue()
    assert [asdict(trial) for trial in keeper.trials[:5]] == [asdict(trial) for trial in first.trials]


@pytest.mark.parametrize(("content", "saved_again"), [(4, False), (2, True), ("cut off", True)])
def test_a_best_that_is_saved_is_left_alone(tmp_path: Path, content: Any, saved_again: bool) -> None:
    first, _, _ = keep(tmp_path / "trials.jsonl", [])
    with first.shown(5, "random"):
        for each in RESULTS:
            first.note(each)
    fields: dict[str, Any] = {"space_name": "s", "space_arguments": {}, "architecture": {}, "hyperparameters": {}, "score": None}
    fields |= {"dataset": {}, "seed": 0, "parameters": 1, "flops": 1, "versions": {}}
    if content == "cut off":
        (tmp_path / "best.json").write_text("{")
    else:
        save_best(tmp_path / "best.json", **fields, strategy={"trial": content})
    saved: list[Trial] = []
    keeper, _, _ = keep(tmp_path / "trials.jsonl", saved)
    with keeper.shown(5, "random"):
        assert [trial.number for trial in saved] == ([4] if saved_again else [])


def test_a_line_that_was_cut_off_is_said(tmp_path: Path) -> None:
    path = tmp_path / "trials.jsonl"
    first, _, _ = keep(path, [])
    with first.shown(5, "random"):
        first.note(RESULTS[0])
    path.write_bytes(path.read_bytes() + b'{"number": 1, "sta')
    keeper, _, err = keep(path, [])
    assert len(keeper.trials) == 1
    assert "the last line was cut off" in err.getvalue()


def test_a_best_that_goes_on_and_becomes_worse_is_the_best_no_more(tmp_path: Path) -> None:
    saved: list[Trial] = []
    keeper, _, _ = keep(tmp_path / "trials.jsonl", saved)
    with keeper.shown(3, "random"):
        for each in (result(0, 0.5), result(1, 0.6, "pruned"), result(1, 0.55), result(1, 0.4), result(2, 0.45)):
            keeper.note(each)
    assert [(trial.number, trial.score) for trial in saved] == [(0, 0.5), (1, 0.6), (1, 0.55), (0, 0.5)]
    assert keeper.best is not None and keeper.best.number == 0


def test_a_best_that_went_on_after_it_was_saved_is_saved_again(tmp_path: Path) -> None:
    fields: dict[str, Any] = {"space_name": "s", "space_arguments": {}, "architecture": {}, "hyperparameters": {}}
    fields |= {"dataset": {}, "seed": 0, "parameters": 1, "flops": 1, "versions": {}, "strategy": {"trial": 7}}
    first, _, _ = keep(tmp_path / "trials.jsonl", [])
    with first.shown(1, "random"):
        first.note(replace(result(7, 0.5), facts={"planned_epochs": 9}))
    for epochs, numbers in ((1, [7]), (2, [])):
        save_best(tmp_path / "best.json", **fields, score={"metric": "accuracy", "value": 0.4, "epochs": epochs})
        saved: list[Trial] = []
        keeper, _, _ = keep(tmp_path / "trials.jsonl", saved)
        with keeper.shown(1, "random"):
            assert [trial.number for trial in saved] == numbers
