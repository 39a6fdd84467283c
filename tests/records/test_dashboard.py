"""Optuna's dashboard has the run's trials."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from report_runs import make_trials, write_command_search, write_config, write_search

from records.dashboard import make_storage
from records.report.collect import read_run


def test_trials_become_trials_of_optuna(tmp_path: Path) -> None:
    trials = make_trials(30)
    missing = trials.pop(7)  # it still runs, others have ended
    run = read_run(write_search(tmp_path / "run", trials))
    shown = make_storage(run).get_all_trials(0)
    assert [trial.number for trial in shown] == list(range(30))
    assert shown[missing.number].state.name == "RUNNING"
    for trial in trials:
        other = shown[trial.number]
        assert other.state.name == {"complete": "COMPLETE", "pruned": "PRUNED", "failed": "FAIL"}[trial.state]
        assert other.value == (None if trial.score is None else pytest.approx(trial.score))
        assert list(other.intermediate_values.values()) == pytest.approx(trial.curve)
        assert other.params["initial_lr"] == pytest.approx(trial.hyperparameters["initial_lr"])
        assert (other.datetime_complete - other.datetime_start).total_seconds() == pytest.approx(trial.seconds, abs=1e-3)
        assert other.params["backbone"] == trial.architecture["backbone"]
        assert "momentum" not in other.params, "one value in all trials: nothing to see"


def test_results_to_minimize_are_shown_as_reported(tmp_path: Path) -> None:
    storage = make_storage(read_run(write_command_search(tmp_path / "run", [-2.0, -3.0])))
    assert [trial.values for trial in storage.get_all_trials(0)] == [[2.0], [3.0]]
    assert storage.get_study_directions(0)[0].name == "MINIMIZE"
    assert storage.get_all_trials(0)[0].intermediate_values == {1: 4.0, 2: 2.0}


def test_several_objectives(tmp_path: Path) -> None:
    folder = write_search(tmp_path / "run", make_trials(6), strategy="nsga2")
    config = json.loads((folder / "config.json").read_text())
    config["identity"]["objectives"] = ["accuracy", "parameters"]
    (folder / "config.json").write_text(json.dumps(config))
    storage = make_storage(read_run(folder))
    assert [direction.name for direction in storage.get_study_directions(0)] == ["MAXIMIZE", "MINIMIZE"]
    assert all(len(trial.values) == 2 for trial in storage.get_all_trials(0) if trial.state.name == "COMPLETE")


def test_a_run_without_trials_yet(tmp_path: Path) -> None:
    run = read_run(write_config(tmp_path / "run", {"space": "zoo", "strategy": "tpe"}, {"strategy": "tpe", "trials": 5}))
    assert make_storage(run).get_all_trials(0) == []
