"""The two tables on how a search went: whenever something better was found, and what was dropped when."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from html import unescape
from pathlib import Path
from typing import Any

from recorded_trials import make_trial
from report_runs import write_search

from common.trial import Trial
from records.report import write_report
from records.report.collect import read_run
from records.report.story import show_story
from records.skipped import SkipLog

BEGIN = datetime(2026, 1, 31, 12, tzinfo=timezone.utc)


def trial(number: int, state: str, curve: list[float], minute: float, *, backbone: str = "resnet18", **more: Any) -> Trial:
    """One of a minute that ended so many minutes after the beginning."""
    finished = (BEGIN + timedelta(minutes=minute)).isoformat()
    score = curve[-1] if curve and (state == "complete" or "planned_epochs" in more) else None
    told = {"seconds": 60.0, "finished": finished, **more}
    return make_trial(number, state, {"backbone": backbone}, {"initial_lr": 0.1}, score, curve, **told)


def tables(folder: Path, *trials: Trial, skipped: Sequence[tuple[str, str, float]] = ()) -> dict[str, list[list[str]]]:
    """Return the rows of each table of the story, by its heading; the note below as a row of its own."""
    write_search(folder, list(trials))
    for number, told in enumerate(skipped):
        SkipLog(folder / "skipped.jsonl").note({"width": number}, *told)
    page = show_story(read_run(folder))
    found = {}
    for part in page.split("<h4>")[1:]:
        heading, body = part.split("</h4>", 1)
        rows = [re.findall(r"<td>(.*?)</td>", row) for row in re.findall(r"<tr>(<td>.*?)</tr>", body)]
        notes = re.findall(r"<p[^>]*>(.*?)</p>", body)
        found[heading] = [[unescape(cell) for cell in row] for row in [*rows, *([notes] if notes else [])]]
    return found


GAINS, DROPPED = "Whenever something better was found", "What was dropped, and when"


def test_each_gain_has_its_time_and_its_price(tmp_path: Path) -> None:
    told = tables(
        tmp_path,
        trial(0, "complete", [0.5], 1, backbone="resnet18"),
        trial(1, "complete", [0.4], 2, backbone="vgg16"),
        trial(2, "complete", [0.6], 3, backbone="tinynet_e"),
    )
    assert list(told) == [GAINS], "nothing was dropped"
    assert told[GAINS] == [
        ["1 min 00 s", "0", "50.00%", "-", "-", "backbone resnet18"],
        ["3 min 00 s", "2", "60.00%", "10.00 points", "300 points", "backbone tinynet_e"],
    ]


def test_the_latest_gains_are_shown(tmp_path: Path) -> None:
    told = tables(tmp_path, *(trial(number, "complete", [number / 100], number + 1) for number in range(15)))
    assert [row[1] for row in told[GAINS][:-1]] == [str(number) for number in range(3, 15)]
    assert "left out" in told[GAINS][-1][0]


def test_of_trials_that_waited_the_parts_of_their_training_are_told(tmp_path: Path) -> None:
    waits = {"planned_epochs": 9}
    told = tables(
        tmp_path,
        trial(0, "complete", [0.1] * 8 + [0.9], 5, **waits),
        trial(1, "pruned", [0.2], 1, **waits),
        trial(2, "pruned", [0.3], 2, **waits),
        trial(3, "pruned", [0.2, 0.3, 0.4], 3, **waits),
        trial(4, "failed", [], 4, error="out of memory"),
    )
    assert told[DROPPED] == [
        ["up to a ninth", "2", "30.00%", "2 min 00 s"],
        ["up to a third", "1", "40.00%", "1 min 00 s"],
        ["to their end", "1", "90.00%", "1 min 00 s"],
        ["Why: the best third of those that had come as far went on, until the time was up."],
    ]


def test_a_trial_that_was_stopped_when_the_time_was_up_did_not_come_to_its_end(tmp_path: Path) -> None:
    waits = {"planned_epochs": 9}
    whole, stopped = trial(0, "complete", [0.9] * 9, 1, **waits), trial(1, "complete", [0.4, 0.5, 0.6, 0.7], 2, **waits)
    told = tables(tmp_path / "both", whole, stopped)
    assert told[DROPPED][:2] == [["until the time was up", "1", "70.00%", "1 min 00 s"], ["to their end", "1", "90.00%", "1 min 00 s"]]
    assert DROPPED not in tables(tmp_path / "one", whole)


def test_of_what_a_pruner_ended_the_epochs_are_told(tmp_path: Path) -> None:
    told = tables(
        tmp_path,
        trial(0, "complete", [0.5, 0.6], 1),
        trial(1, "pruned", [0.1], 2),
        trial(2, "pruned", [0.1, 0.2], 3),
        trial(3, "pruned", [0.3], 4),
    )
    assert told[DROPPED] == [
        ["1 epoch", "2", "30.00%", "2 min 00 s"],
        ["2 epochs", "1", "20.00%", "1 min 00 s"],
        ["to their end", "1", "60.00%", "1 min 00 s"],
        ["Why: the pruner saw that they could not win."],
    ]


def test_what_was_never_begun_is_told_with_the_nearest_to_each_limit(tmp_path: Path) -> None:
    slow = [("too slow", f"{seconds} s for 3 epochs", excess) for seconds, excess in ((1_722, 1.3), (473, 0.05), (551, 0.2))]
    told = tables(tmp_path, trial(0, "complete", [0.5], 1), skipped=[*slow, ("too large", "2,000,000 parameters", 0.5)])
    assert told["What was not tried"] == [
        ["too slow", "3", "473 s for 3 epochs"],
        ["too large", "1", "2,000,000 parameters"],
        ["skipped.jsonl lists all of them."],
    ]


def test_a_line_that_was_cut_off_or_tells_little_is_no_obstacle(tmp_path: Path) -> None:
    folder = write_search(tmp_path / "run", [trial(0, "complete", [0.5], 1)])
    (folder / "skipped.jsonl").write_text('{"sample": {"width": 1}}\n[1]\n{"fault": "too slow"}\n{"sample": {"wid')
    page = show_story(read_run(folder))
    assert "<td>?</td><td>1</td><td>?</td>" in page
    assert sum("skipped.jsonl, line " in note for note in read_run(folder).notes) == 3
    (folder / "skipped.jsonl").unlink()
    (folder / "skipped.jsonl").mkdir()
    assert read_run(folder).skipped == [] and "skipped.jsonl: cannot be read" in read_run(folder).notes[-1]


def test_what_was_skipped_last_counts_and_what_was_tried_after_all_does_not(tmp_path: Path) -> None:
    folder = write_search(tmp_path / "run", [tried := trial(0, "complete", [0.5], 1)])
    for _ in range(2):  # of a search and its resumption
        log = SkipLog(folder / "skipped.jsonl")
        log.note(tried.sample, "too slow", "90 s", 1.0)
        log.note({"width": 1}, "too slow", "70 s", 1.0)
        log.note({"width": 2}, "too slow", "80 s", 1.0)
    SkipLog(folder / "skipped.jsonl").note({"width": 1}, "too slow", "60 s", 0.5)
    assert len((folder / "skipped.jsonl").read_text().splitlines()) == 4
    assert {line["sample"]["width"]: line["reason"] for line in read_run(folder).skipped} == {1: "60 s", 2: "80 s"}


def test_a_search_without_a_score_has_no_story(tmp_path: Path) -> None:
    assert tables(tmp_path, trial(0, "failed", [], 1, error="out of memory")) == {}


def test_what_is_expected_of_the_one_that_was_chosen_is_told(tmp_path: Path) -> None:
    """It has not the best score, and yet is marked as the best."""
    trials = [make_trial(n, "complete", {"width": n}, {}, score, [score]) for n, score in enumerate((0.9, 0.85))]
    folder = write_search(tmp_path / "run", trials)
    best = json.loads((folder / "best.json").read_text())
    best["strategy"] |= {"trial": 1, "expected_accuracy": 0.945}
    (folder / "best.json").write_text(json.dumps(best))
    run = read_run(folder)
    assert run.best_trial is not None and run.best_trial.number == 1
    page = write_report([folder], None)[0].read_text(encoding="utf-8")
    assert re.search(r"expected after the training that follows</\w+>\s*<\w+[^>]*>94\.50%", page)


def test_a_trial_that_waits_gains_when_it_waits_and_when_it_goes_on(tmp_path: Path) -> None:
    told = tables(
        tmp_path,
        trial(0, "pruned", [0.5], 1, planned_epochs=9),
        trial(1, "pruned", [0.4], 2, planned_epochs=9),
        trial(0, "pruned", [0.5, 0.55, 0.6], 4, planned_epochs=9, seconds=180.0),
    )
    assert [row[:4] for row in told[GAINS]] == [["1 min 00 s", "0", "50.00%", "-"], ["4 min 00 s", "0", "60.00%", "10.00 points"]]
