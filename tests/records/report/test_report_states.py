"""What a report says of how a run stands, and what to type next."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from recorded_trials import make_trial
from report_runs import RECIPE, make_trials, write_command_search, write_config, write_retraining, write_search

from records.report import lab_table, write_report
from records.report.collect import read_run
from records.report.commands import command_again, next_command
from records.run_folder import RunFolder


def change_config(folder: Path, **more: Any) -> Path:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | more))
    return folder


def page_of(folder: Path) -> str:
    return write_report([folder])[0].read_text(encoding="utf-8")


@pytest.mark.slow
def test_a_search_that_ended_with_fewer_trials_than_were_asked_for(tmp_path: Path) -> None:
    folder = write_search(tmp_path / "run", make_trials(2), planned=6)
    assert read_run(folder).state == "unfinished"
    assert "2 of 6 trials" in page_of(folder)
    run = read_run(change_config(folder, ended="2026-01-31T13:00:00+00:00"))
    assert (run.state, run.planned) == ("finished", 2)
    assert "--retrain" in str(next_command(run))
    assert "2 trials: 2 complete" in page_of(folder)


ASKED = {"space": "zoo", "strategy": "tpe", "retrain": None, "pins": {}, "trials": None}
WAITS = {"strategy": "tpe", "evaluator": "train", "trials": 3, "seconds_per_trial": 450.0}
TABLE = {"strategy": "tpe", "evaluator": "table", "trials": 3}


@pytest.mark.parametrize("identity", [WAITS, TABLE], ids=["trials that wait", "a table"])
def test_a_search_that_ends_by_time_has_no_number_of_trials(tmp_path: Path, identity: dict[str, Any]) -> None:
    """The number in its identity is an estimate: with as many trials or more an interrupted search has not ended."""
    folder = write_search(tmp_path / "run", make_trials(3))
    write_config(folder, {**ASKED, "time_budget": 3600.0}, identity)
    run = read_run(folder)
    assert (run.state, run.planned) == ("unfinished", None)
    assert str(next_command(run)).endswith(" --resume")
    assert "3 trials: 3 complete" in page_of(folder)
    write_config(folder, {**ASKED, "time_budget": 3600.0, "trials": 2}, identity)
    assert (read_run(folder).state, read_run(folder).planned) == ("finished", 2), "a person gave this number"


def test_side_by_side_trials_within_a_time_have_the_number_of_the_preset(tmp_path: Path) -> None:
    folder = write_search(tmp_path / "run", make_trials(3))
    write_config(folder, {**ASKED, "time_budget": 3600.0, "workers": 2}, {"strategy": "tpe", "evaluator": "train", "trials": 6})
    assert (read_run(folder).state, read_run(folder).planned) == ("unfinished", 6)


def test_an_extended_search_that_was_interrupted_has_the_number_with_which_it_was_resumed(tmp_path: Path) -> None:
    folder = write_search(tmp_path / "run", make_trials(3))
    again = {"settings": {**ASKED, "trials": 6}, "command": "python run_experiment.py --trials 6 --out run --resume"}
    write_config(folder, ASKED, {"strategy": "tpe", "trials": 2}, resumed=[again], command="python run_experiment.py --trials 2")
    assert (read_run(folder).state, read_run(folder).planned) == ("unfinished", 6)
    assert next_command(read_run(folder)) == f"python run_experiment.py --trials 6 --out {folder} --resume"
    assert command_again(read_run(folder)) == "python run_experiment.py --trials 2"


@pytest.mark.parametrize(("searched", "way"), [([], "by hand"), (["initial_lr"], "HPO"), (["backbone"], "NAS")])
def test_a_search_that_ended_after_one_trial_is_one_unless_all_was_fixed(tmp_path: Path, searched: list[str], way: str) -> None:
    single = change_config(write_search(tmp_path / "one", make_trials(1), planned=6), ended="2026-01-31T13:00:00+00:00")
    best = json.loads((single / "best.json").read_text())
    best["strategy"]["searched"] = searched
    (single / "best.json").write_text(json.dumps(best))
    assert lab_table.guess_way(read_run(single), None)[0] == way


def test_the_end_is_noted_and_taken_back_by_going_on(tmp_path: Path) -> None:
    identity = {"trials": 3}
    with RunFolder.create(tmp_path / "run", space="zoo", strategy="tpe", identity=identity) as folder:
        folder.write_config({"trials": 3})
        assert not read_run(folder.path).has_ended
        folder.note_end()
    assert read_run(folder.path).state == "finished"
    assert read_run(folder.path).config["directory"] == str(Path.cwd())
    with RunFolder.create(tmp_path / "run", space="zoo", strategy="tpe", identity=identity, resume=True) as folder:
        folder.write_config({"trials": 3})
    assert not read_run(folder.path).has_ended


@pytest.mark.slow
def test_commands_for_a_new_folder_and_for_the_same(tmp_path: Path) -> None:
    folder = write_search(tmp_path / "run", make_trials(2), planned=6)
    change_config(folder, command="python run_experiment.py --space 'my zoo' --out old --resume --seed 3 --out=older")
    run = read_run(folder)
    assert command_again(run) == "python run_experiment.py --space 'my zoo' --seed 3"
    assert next_command(run) == f"python run_experiment.py --space 'my zoo' --seed 3 --out {folder} --resume"
    for command in (None, "", "python 'run"):
        assert command_again(read_run(change_config(folder, command=command))) is None
        assert next_command(read_run(folder)) is None
        assert "again, in a new folder" not in page_of(folder)


@pytest.mark.parametrize(
    ("command", "again", "retrain"),
    [
        ("retiarius --space zoo --out a", "retiarius --space zoo", "retiarius --retrain"),
        ("python examples/own.py --space tiny", "python examples/own.py --space tiny", "python examples/own.py --retrain"),
        ("python my_search.py", "python my_search.py", "python run_experiment.py --retrain"),
        (None, None, "python run_experiment.py --retrain"),
    ],
)
def test_the_program_that_made_the_run_is_named(tmp_path: Path, command: str | None, again: str | None, retrain: str) -> None:
    folder = change_config(write_search(tmp_path / "run", make_trials(2)), command=command)
    run = read_run(folder)
    assert command_again(run) == again
    assert next_command(run) == f"{retrain} {folder / 'best.json'}"
    unfinished = read_run(change_config(write_search(tmp_path / "unfinished", make_trials(2), planned=6), command=command))
    takes_flags = again is not None and "--" in again
    assert next_command(unfinished) == (f"{again} --out {unfinished.path} --resume" if takes_flags else None)


def test_a_space_that_is_not_ours_is_named(tmp_path: Path) -> None:
    folder = write_search(tmp_path / "run", make_trials(2))
    best = json.loads((folder / "best.json").read_text())
    best["space"]["name"] = "package.module:Space"
    (folder / "best.json").write_text(json.dumps(best))
    assert str(next_command(read_run(folder))).endswith("best.json --space package.module:Space")


def test_a_search_under_the_portal_begins_anew(tmp_path: Path) -> None:
    folder = write_command_search(tmp_path / "run", [1.0])
    settings = json.loads((folder / "config.json").read_text())["settings"] | {"portal": True}
    identity = {"strategy": "tpe", "trials": 4, "space": None, "dataset": None, "recipe": None}
    write_config(folder, settings, identity, command="python run_experiment.py --config c.yml --portal --out run")
    assert next_command(read_run(folder)) == "python run_experiment.py --config c.yml --portal"


def test_the_curve_of_a_retraining_that_goes_on(tmp_path: Path) -> None:
    folder = write_retraining(tmp_path / "run", "resnet18", {"backbone": "resnet18"}, 0.9)
    curve = json.loads((folder / "retrained.json").read_text())["curve"]
    (folder / "retrained.json").unlink()
    assert "Learning curves" not in page_of(folder)
    (folder / "epochs.jsonl").write_text("".join(json.dumps(epoch) + "\n" for epoch in curve[:3]))
    page = page_of(folder)
    assert "training loss, last 0.667" in page and "There is no retrained.json yet" in page
    assert "The supernet" not in page


@pytest.mark.parametrize(
    ("pins", "way"),
    [({}, "as given"), ({"backbone": "resnet18"}, "as given"), ({"stem": "small"}, "by hand"), ({"momentum": 0.8}, "by hand")],
)
def test_what_was_set_is_by_hand(tmp_path: Path, pins: dict[str, Any], way: str) -> None:
    run = read_run(write_retraining(tmp_path / "run", "resnet18", {"backbone": "resnet18"}, 0.5, recipe="lab", pins=pins))
    assert lab_table.guess_way(run, None)[0] == way


def test_a_result_of_hyperparameter_search_is_known_without_its_search(tmp_path: Path) -> None:
    """And every setting that was searched is in its row, also one that came out the same in all trials."""
    architecture = {"backbone": "resnet18"}
    rates = [0.01, 0.02]
    trials = [make_trial(n, "complete", architecture, {**RECIPE, "initial_lr": rate}, 0.5 + n, [0.5]) for n, rate in enumerate(rates)]
    search = write_search(tmp_path / "search", trials)
    best = json.loads((search / "best.json").read_text())
    best["strategy"]["searched"] = ["initial_lr", "optimizer"]
    (search / "best.json").write_text(json.dumps(best))
    run = read_run(write_retraining(tmp_path / "run", str(search / "best.json"), architecture, 0.9))
    alone, both = lab_table.fill([run]), lab_table.fill([run, read_run(search)])
    assert [row.way for row in (*alone, *both)] == ["HPO", "HPO"]
    for (row,) in (alone, both):
        assert "initial_lr 0.1, optimizer sgd" in lab_table.settings_of(row)
        assert len(lab_table.cells_of(row, "zh")) == 9
    best["strategy"]["searched"] = ["backbone", "initial_lr"]
    (search / "best.json").write_text(json.dumps(best))
    assert [lab_table.guess_way(run, found)[0] for found in (None, read_run(search))] == ["NAS", "NAS"]


def test_the_search_of_a_programs_parameters_is_hpo_from_its_first_trial_on(tmp_path: Path) -> None:
    folder = change_config(write_command_search(tmp_path / "run", [1.0]), ended="2026-01-31T13:00:00+00:00")
    (row,) = lab_table.fill([read_run(folder)])
    assert row.way == "HPO"
    assert lab_table.cells_of(row, "zh")[-1] == "搜索的是程序的参数"


@pytest.mark.parametrize("name", ["a\u0007b", "\ud800", "\uffff", "x" * 17 + "\u0001"])
def test_labels_that_no_picture_can_hold(tmp_path: Path, name: str) -> None:
    trials = [make_trial(n, "complete", {"backbone": "a"}, {name: n / 10, "b": n}, n / 20, [n / 20]) for n in range(12)]
    page = page_of(write_search(tmp_path / "run", trials))
    assert name not in page and "Parallel coordinates" in page


@pytest.mark.parametrize("huge", [sys.float_info.max, -sys.float_info.max, 1e200])
@pytest.mark.slow
def test_numbers_beyond_reckoning(tmp_path: Path, huge: float) -> None:
    folder = write_command_search(tmp_path / "run", [0.5, huge, *(n / 10 for n in range(12))])
    assert "The search over time" in page_of(folder)
    curve = [{"number": number, "loss": huge, "accuracy": -huge} for number in (1, 2, abs(huge))]
    retraining = write_retraining(tmp_path / "retraining", "resnet18", {}, 0.5)
    document = json.loads((retraining / "retrained.json").read_text()) | {"curve": curve, "parameters": 10**400}
    (retraining / "retrained.json").write_text(json.dumps(document))
    assert "Learning curves" in page_of(retraining)
    sized = [
        make_trial(n, "complete", {"a": huge / 20 * n}, {"b": 10**400 + n}, n / 20, [], parameters=10**400, flops=1) for n in range(12)
    ]
    assert "No completed trial has its parameters noted." in page_of(write_search(tmp_path / "search", sized))
