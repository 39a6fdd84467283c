"""What a report tells of that which follows the trials of a search, and what is to be typed then."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from recorded_trials import make_trial
from report_runs import RECIPE, write_config, write_retraining, write_search

from common.trial import Trial
from records.report import write_report
from records.report.after_search import show_finals
from records.report.collect import read_run
from records.report.commands import next_command
from records.run_lock import RunLock
from records.trials import TrialLog

COMMAND = "python run_experiment.py --space zoo --strategy tpe --time-budget 60m --then-retrain 60m"
ENDED = "2026-01-31T13:00:00+00:00"


@pytest.fixture
def search(tmp_path: Path) -> Path:
    """A search of two trials that has ended, the second of which is in ``best.json``."""
    folder = write_search(tmp_path / "run", [final(0, 0.5), final(1, 0.6)])
    config = json.loads((folder / "config.json").read_text()) | {"command": COMMAND, "ended": ENDED}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def final(number: int, score: float | None, error: str | None = None) -> Trial:
    curve = [] if score is None else [score / 2, score]
    return make_trial(number, "failed" if error else "complete", {"backbone": f"net{number}"}, RECIPE, score, curve, error=error)


def retrain(folder: Path, backbone: str = "net1", **recipe: Any) -> Path:
    path = write_retraining(folder / "retrain", str(folder / "best.json"), {"backbone": backbone}, 0.9, preset="lab", pins=recipe)
    result = json.loads((path / "retrained.json").read_text()) | {"plain_test_accuracy": 0.91, "mirrored_test_accuracy": 0.92}
    (path / "retrained.json").write_text(json.dumps(result))
    return path


def page_of(folder: Path) -> str:
    return write_report([folder])[0].read_text(encoding="utf-8")


def test_networks_that_were_compared_at_full_size_have_a_table(search: Path) -> None:
    assert show_finals(read_run(search)) == "" and "Compared at full size" not in page_of(search)
    for trial in (final(1, 0.7), final(0, 0.8), final(2, None, "out of memory")):
        TrialLog(search / "finals.jsonl").append(trial)
    table = show_finals(read_run(search))
    cells = ["0", "80.00%", "50.00%", "2", "0.0 s", "backbone net0", "1", "70.00%", "60.00%", "2", "0.0 s", "backbone net1"]
    cells += ["2", "-", "-", "0", "0.0 s", "failed: out of memory"]
    assert [part.partition("</td>")[0] for part in table.split("<td>")[1:]] == cells, "the best first"
    assert "Compared at full size" in page_of(search)


def test_a_retraining_that_followed_is_told_and_not_proposed_again(search: Path) -> None:
    assert "--retrain" in str(next_command(read_run(search)))
    path = retrain(search)
    assert next_command(read_run(search)) is None
    told = "Retrained: test accuracy, images as they are 91.00%; test accuracy, image and mirror image averaged 92.00%"
    assert f"{told}: {path / 'retrained.json'}" in page_of(search)


@pytest.mark.parametrize("told", [{"backbone": "net0"}, {"initial_lr": 0.3}], ids=["network", "recipe"])
def test_a_retraining_of_another_network_is_told_so(search: Path, told: dict[str, Any]) -> None:
    """The search was extended, and has found another one since."""
    retrain(search, **told)
    assert "--retrain" in str(next_command(read_run(search)))
    assert "Another configuration than this one was retrained: test accuracy" in page_of(search)


def test_a_retraining_that_was_interrupted_is_resumed_by_its_search(search: Path) -> None:
    path = retrain(search)
    (path / "retrained.json").unlink()
    (path / "epochs.jsonl").write_text('{"number": 1, "loss": 2.0}\n')
    assert next_command(read_run(search)) == f"{COMMAND} --out {search} --resume"
    config = json.loads((path / "config.json").read_text())
    (path / "config.json").write_text(json.dumps({**config, "command": f"{COMMAND} --out {search}"}))
    assert next_command(read_run(path)) == f"{COMMAND} --out {search} --resume", "its own folder says so, too"
    page = page_of(search)
    assert f"Its retraining was interrupted, 1 epoch done: {path}" in page and "Next, resume it" in page
    lock = RunLock(path)
    try:
        assert next_command(read_run(search)) is None
        assert "Its retraining goes on" in page_of(search)
    finally:
        lock.release()


def test_what_is_no_retraining_is_left_out(search: Path) -> None:
    os.symlink(search, search / "retrain")
    assert read_run(search).retraining is None, "the folder of a search, even this one"
    (search / "retrain").unlink()
    write_config(search / "retrain", {"retrain": "resnet18"}, {})
    (search / "retrain" / "config.json").write_text("{}")
    run = read_run(search)
    assert run.retraining is None and "config.json" in run.notes[0]
