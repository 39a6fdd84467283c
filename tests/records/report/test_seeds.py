"""Runs that differ in their seed alone, and the charts that show several runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from recorded_trials import make_trial
from report_page import Page, check_safe
from report_runs import make_trials, write_one_shot, write_retraining, write_search

from records.report import write_report
from records.report.collect import Run, read_run
from records.report.seeds import group_by_seed, plot_epochs_together, plot_searches, titles_of
from records.report.times import ends_of, find_unit, scores_over_time, seconds_of, show_moment


def with_identity(folder: Path, **identity: Any) -> Path:
    config = json.loads((folder / "config.json").read_text())
    config["identity"] |= identity
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def searches(folder: Path, scores: list[list[float]], *, strategy: str = "tpe", **identity: Any) -> list[Run]:
    """A search for each list of scores, with its place as its seed; a trial takes 10 seconds."""
    runs = []
    for seed, own in enumerate(scores):
        ends = [f"2026-01-31T12:00:{10 * (n + 1):02d}+00:00" for n in range(len(own))]
        trials = [
            make_trial(n, "complete", {"width": n}, {}, score, [score], seconds=10.0, finished=ends[n]) for n, score in enumerate(own)
        ]
        name = f"{strategy}{seed}{len(identity)}"
        runs.append(read_run(with_identity(write_search(folder / name, trials, strategy=strategy), seed=seed, **identity)))
    return runs


def test_runs_are_grouped_by_what_their_config_says(tmp_path: Path) -> None:
    runs = [*searches(tmp_path, [[0.1], [0.2]]), *searches(tmp_path, [[0.3]], epochs=9), *searches(tmp_path, [[0.1]], strategy="random")]
    twice = read_run(with_identity(write_search(tmp_path / "twice", make_trials(1)), seed=0))
    groups = group_by_seed([*runs, twice])
    assert [len(group.runs) for group in groups] == [2, 1, 1, 1], "a seed twice is no second seed"
    assert titles_of(groups[:3]) == ["tpe on zoo, epochs 3", "tpe on zoo, epochs 9", "random on zoo"]
    assert len(set(titles_of(groups))) == 4, "else the folder tells them apart"


def test_several_seeds_are_one_line_with_a_band(tmp_path: Path) -> None:
    runs = searches(tmp_path, [[0.2, 0.6, 0.4], [0.4, 0.4, 0.8], [0.6, 0.5, 0.9]])
    chart = plot_searches("chart", group_by_seed(runs))
    assert not isinstance(chart, str)
    (band,) = [mark for mark in chart.marks if mark.kind == "band"]
    (mean,) = [mark for mark in chart.marks if "wide" in mark.css]
    assert list(band.xs) == list(mean.xs) == [1, 2, 2, 3, 3]
    assert list(band.lows) == [0.2, 0.2, 0.4, 0.4, 0.6] and list(band.ys) == [0.6, 0.6, 0.6, 0.6, 0.9]
    assert list(mean.ys) == pytest.approx([0.4, 0.4, 1.6 / 3, 1.6 / 3, 2.3 / 3])
    assert list(chart.legend) == ["tpe on zoo: mean of 3 seeds, band from lowest to highest"]
    assert sum("faint" in mark.css for mark in chart.marks) == 3
    over_time = plot_searches("time", group_by_seed(runs), "time")
    assert not isinstance(over_time, str) and over_time.axes.get_xlabel() == "time of the search (s)"
    assert {x for mark in over_time.marks for x in mark.xs} == {10, 20, 30}


def test_a_band_ends_where_the_shortest_run_does(tmp_path: Path) -> None:
    chart = plot_searches("chart", group_by_seed(searches(tmp_path, [[0.2, 0.6, 0.7], [0.4, 0.5]], trials=3)))
    assert not isinstance(chart, str)
    assert max(x for mark in chart.marks if mark.kind == "band" for x in mark.xs) == 2


def test_supernets_and_trainings_of_several_seeds(tmp_path: Path) -> None:
    resnet = {"backbone": "resnet18"}
    folders = [write_retraining(tmp_path / f"{seed}", "resnet18", resnet, 0.8 + seed / 10, seed=seed) for seed in range(2)]
    runs = [read_run(folder) for folder in folders]
    chart = plot_epochs_together("chart", group_by_seed(runs), "accuracy", "training accuracy")
    assert not isinstance(chart, str)
    (mean,) = [mark for mark in chart.marks if "wide" in mark.css]
    assert list(mean.xs) == [1, 2, 3, 4] and mean.ys[-1] == pytest.approx(0.85)
    one = read_run(write_one_shot(tmp_path / "one"))
    assert plot_epochs_together("x", group_by_seed([one]), "absent", "accuracy of nobody") == "No accuracy of nobody was noted."


def test_a_report_of_several_runs_begins_with_what_they_found(tmp_path: Path) -> None:
    runs = [*searches(tmp_path, [[0.2, 0.6], [0.4, 0.5]]), *searches(tmp_path, [[0.9]], strategy="random")]
    page = Page(write_report([run.path for run in runs])[0])
    check_safe(page)
    assert page.texts["h3"][:2] == ["What was found", "The searches beside one another, digits"]
    table = page.texts["table"][0]
    assert "validation accuracy 55.00% (50.00% to 60.00%)" in table and "4 trials: 4 complete" in table and "40 s" in table
    assert page.texts["pre"][0].endswith(f"--retrain {tmp_path / 'random00' / 'best.json'}"), "of the best of all"
    assert page.source.count('class="band c0"') == 2 and 'class="band c1"' not in page.source
    assert "The lab's table" not in page.text() and "实验" not in page.source


def test_the_labs_table_comes_with_its_rows_or_when_asked_for(tmp_path: Path) -> None:
    given = write_retraining(tmp_path / "given", "resnet18", {"backbone": "resnet18"}, 0.76, recipe="lab")
    by_hand = write_retraining(tmp_path / "hand", "resnet18", {"backbone": "resnet18"}, 0.80, recipe="lab", pins={"momentum": 0.95})
    out = tmp_path / "report.html"
    for folders, asked, english, chinese in (
        ([given, by_hand], None, True, False),
        ([given, by_hand], True, True, True),
        ([given, by_hand], False, False, False),
        ([by_hand], None, False, False),
        ([by_hand], True, True, True),
    ):
        page = write_report(folders, out, lab_table=asked)[0].read_text(encoding="utf-8")
        assert ("The lab's table" in page, "实验记录表" in page) == (english, chinese), (folders, asked)
        assert not english or page.index("Result") < page.index("The lab's table"), "what came out stands before it"


def test_the_time_of_a_search_is_that_in_which_trials_ran(tmp_path: Path) -> None:
    ends = ["12:00:10", "12:00:12", "12:00:30", "13:00:10"]  # two side by side, a pause of half a minute and one of an hour
    lengths = [10.0, 10.0, 5.0, 10.0]
    trials = [
        make_trial(n, "complete", {"width": n}, {}, 0.5, [0.5], seconds=length, finished=f"2026-01-31T{end}+00:00")
        for n, (end, length) in enumerate(zip(ends, lengths, strict=True))
    ]
    run = read_run(write_search(tmp_path / "run", trials))
    assert ends_of(run) == pytest.approx([10, 12, 17, 27])
    assert seconds_of(run) == pytest.approx(27)
    table = read_run(with_identity(run.path, evaluator="table", dataset={"name": "cifar10", "table": "t.csv"}))
    assert ends_of(table) == [10, 20, 25, 35], "of a table, what it tells of its trainings"
    bad = [make_trial(0, "complete", {"width": 0}, {}, 0.5, [0.5], seconds=3.0, finished="yesterday")]
    assert ends_of(read_run(write_search(tmp_path / "bad", bad))) == [3.0]


def test_the_time_of_a_resumed_one_shot_search_is_that_of_its_epochs(tmp_path: Path) -> None:
    folder = write_one_shot(tmp_path / "run", epochs=3)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "resumed": ["2026-01-31T13:00:00+00:00"]}))
    assert seconds_of(read_run(folder)) is None, "the epochs of an earlier version have no seconds"
    epochs = [json.loads(line) for line in (folder / "epochs.jsonl").read_text().splitlines()]
    (folder / "epochs.jsonl").write_text("".join(json.dumps({**epoch, "seconds": 1.5}) + "\n" for epoch in epochs))
    assert seconds_of(read_run(folder)) == 4.5
    best = json.loads((folder / "best.json").read_text())
    best["strategy"]["selected"] = {"by": "inherited", "top": []}
    (folder / "best.json").write_text(json.dumps(best))
    assert seconds_of(read_run(folder)) is None, "nobody knows how long the evolutionary search took"


def test_times_in_words() -> None:
    assert show_moment("2026-01-31T12:05:00+00:00") == "31 January 2026, 12:05 UTC"
    assert (show_moment("yesterday"), show_moment(None)) == ("yesterday", "")
    assert [find_unit(seconds) for seconds in (3, 119, 600, 7200)] == [(1.0, "s"), (1.0, "s"), (60.0, "min"), (3600.0, "h")]


def test_the_time_of_trials_that_wait_is_the_sum_of_their_parts(tmp_path: Path) -> None:
    legs = [(0, 10.0, 1), (1, 30.0, 1), (0, 30.0, 3), (2, 5.0, 1), (1, 40.0, 3)]  # number, seconds so far, epochs so far
    trials = [make_trial(n, "pruned", {"width": n}, {}, 0.5, [0.5] * epochs, seconds=s, planned_epochs=9) for n, s, epochs in legs]
    run = read_run(write_search(tmp_path / "run", trials))
    assert dict(zip([trial.number for trial in run.trials], ends_of(run), strict=True)) == {0: 60.0, 2: 65.0, 1: 75.0}
    assert seconds_of(run) == 75.0


def test_a_score_that_a_trial_lost_when_it_went_on_is_no_gain(tmp_path: Path) -> None:
    legs = [(0, 0.6, 10.0), (1, 0.5, 10.0), (0, 0.4, 30.0), (1, 0.55, 30.0)]  # number, score, seconds so far
    trials = [make_trial(n, "pruned", {"width": n}, {}, score, [score], seconds=s, planned_epochs=9) for n, score, s in legs]
    run = read_run(write_search(tmp_path / "run", trials))
    assert [(moment, leg.score) for moment, leg in scores_over_time(run)] == [(10, 0.4), (20, 0.5), (40, 0.4), (60, 0.55)]
