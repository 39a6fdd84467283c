"""The parts of the report: the lab's table, cells, scales, importance, the Pareto front."""

from __future__ import annotations

import itertools
import json
import math
import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from recorded_trials import make_trial
from report_runs import RECIPE, make_cells, make_trials, write_one_shot, write_retraining, write_search

from records.metric import ACCURACY
from records.report import lab_table, write_report
from records.report.cells import describe_cell, draw_cell, lay_out, read_cells, span_of
from records.report.collect import Run, read_run
from records.report.commands import next_command
from records.report.figure import show
from records.report.importance import measure_importance
from records.report.labels import Scale, varied_labels
from records.report.selection_table import show_selection
from records.report.text import as_number, clean
from records.report.training_plots import plot_alphas, show_draws, tell_events
from records.report.trial_plots import MEASURED_LATENCY, plot_curves, plot_parallel, plot_pareto


@pytest.fixture
def lab(tmp_path: Path) -> list[Run]:
    """The lab's four rows: the baseline with two seeds, one by hand, a search of hyperparameters and one of cells, both retrained."""
    resnet = {"backbone": "resnet18", "stem": "own"}
    tuned = [
        make_trial(n, "complete", resnet, {**RECIPE, "initial_lr": 0.01 * (n + 1)}, 0.8 + n / 100, [0.8], parameters=11_000_000)
        for n in range(3)
    ]
    hpo, nas = write_search(tmp_path / "hpo", tuned, strategy="hpo"), write_one_shot(tmp_path / "nas")
    folders = [
        write_retraining(tmp_path / "nas-retrained", str(nas / "best.json"), make_cells(), 0.87, space="darts"),
        nas,
        write_retraining(tmp_path / "by-hand", "resnet18", resnet, 0.80, recipe="lab", pins={"momentum": 0.95}),
        hpo,
        write_retraining(tmp_path / "given-0", "resnet18", resnet, 0.76, recipe="lab"),
        write_retraining(tmp_path / "given-1", "resnet18", resnet, 0.78, recipe="lab", seed=1),
        write_retraining(tmp_path / "hpo-retrained", str(hpo / "best.json"), resnet, 0.812),
    ]
    return [read_run(folder) for folder in folders]


def test_the_labs_table(lab: list[Run]) -> None:
    rows = lab_table.fill(lab)
    assert [row.way for row in rows] == ["as given", "by hand", "HPO", "NAS"]
    lines = [lab_table.cells_of(row, "en") for row in rows]
    assert [line[2] for line in lines] == ["77.00% ± 1.41", "80.00%", "81.20%", "87.00%"]
    assert [line[3] for line in lines] == ["2", "1", "1", "1"]
    assert "momentum 0.95" in lines[1][1]
    assert "initial_lr 0.1" in lines[2][1], "of the retraining, the one setting that the search varied"
    assert "normal: " in lines[3][1]
    assert all(line[-1] for line in lines)
    assert "hpo" in lines[2][7] and "hpo-retrained" in lines[2][7]


@pytest.mark.slow
def test_the_labs_table_in_both_languages_and_as_markdown(lab: list[Run], tmp_path: Path) -> None:
    rows = lab_table.fill(lab)
    for language, words in (("en", ["as given", "by hand", "HPO", "NAS"]), ("zh", ["原始代码", "手动调参", "自动调参", "网络架构搜索"])):
        head, rule, *lines = lab_table.as_markdown(rows, language).split("\n")
        assert set(rule) == set("|- ")
        assert len(lines) == 4
        for line, word in zip(lines, words, strict=True):
            assert line.startswith(f"| {word}")
            assert len(re.findall(r"(?<!\\)\|", line)) == len(re.findall(r"\|", head)) == rule.count("|")
    path, _ = write_report([run.path for run in lab], tmp_path / "report.html", lab_table=True)
    text = path.read_text(encoding="utf-8")
    assert 'lang="zh"' in text and "实验记录表" in text
    assert "81.20%" in text


def test_a_way_without_a_run_says_so_and_a_search_alone_is_marked(tmp_path: Path) -> None:
    rows = lab_table.fill([read_run(write_search(tmp_path / "a", make_trials(6)))])
    assert [row.way for row in rows] == ["NAS"]
    markdown = lab_table.as_markdown(rows, "en").split("\n")
    assert [line.count("no run of this kind was given") for line in markdown[2:]] == [1, 1, 1, 0]
    assert "(validation, not retrained yet)" in markdown[-1]


def test_markdown_is_escaped(tmp_path: Path) -> None:
    run = read_run(write_retraining(tmp_path / "a|b<i>`*", "resnet18", {"x|y": "<b>`[a](b)"}, 0.5))
    line = lab_table.as_markdown(lab_table.fill([run]), "en").split("\n")[3]
    assert r"x\|y &lt;b>\`\[a\](b)" in line
    assert "<" not in line


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("nodes", [1, 4, 7])
def test_nothing_in_a_drawn_cell_lies_on_anything_else(nodes: int, seed: int) -> None:
    for cell in read_cells(make_cells(nodes, seed)).values():
        items = lay_out(cell).items
        for one, other in itertools.combinations(items, 2):
            if one.layer == other.layer:
                assert abs(one.y - other.y) >= (one.height + other.height) / 2
        assert all(span_of(items[i])[1] < span_of(items[j])[0] + 1 for i in range(len(items)) for j in items[i].after)
        svg = draw_cell("normal", cell)
        assert svg.count('class="operation ') == 2 * nodes
        assert svg.count('class="node"') == nodes
        assert svg.count('class="input"') == 2
        assert svg.count('class="head"') == 3 * nodes, "two arrows into every node, and one from it to the output"


def test_a_cell_that_is_not_whole_is_not_drawn() -> None:
    whole = make_cells(2)
    assert list(read_cells(whole)) == ["normal", "reduce"]
    assert describe_cell({2: [(0, "a"), (1, "b")], 3: [(2, "c")]}) == "a(0) + b(1); c(2)"
    for label, value in (("normal/inputs_2", [0, 5]), ("normal/inputs_3", ["x"]), ("normal/inputs_2", [True, 0]), ("normal/inputs_9", [0])):
        assert list(read_cells({**whole, label: value})) == ["reduce"]
    assert list(read_cells({label: value for label, value in whole.items() if label != "normal/inputs_2"})) == ["reduce"]
    assert read_cells({"backbone": "resnet18"}) == {}


def test_scales() -> None:
    logarithmic = Scale.of([1e-4, 1e-3, 1e-2, 1e-1, 1.0])
    assert logarithmic.kind == "log"
    assert logarithmic.place(1e-2) == pytest.approx(0.5)
    linear = Scale.of([0.0, 1.0, 2.0, 3.0, 5.0])
    assert (linear.kind, linear.place(2.5)) == ("linear", 0.5)
    assert Scale.of([128, 64, 128]).categories == ("64", "128")
    mixed = Scale.of(["b", None, [0, 1], True])
    assert {mixed.place(value) for value in ("b", None, [0, 1], True)} == {0.125, 0.375, 0.625, 0.875}
    assert varied_labels(make_trials(9)) == ["backbone", "stem", "initial_lr", "weight_decay", "optimizer", "batch_size", "grad_clip"]


def test_importance_finds_what_matters_and_says_why_there_is_none() -> None:
    completed = [trial for trial in make_trials(120) if trial.score is not None]
    shares = measure_importance(completed)
    assert isinstance(shares, dict)
    assert next(iter(shares)) == "initial_lr"
    assert sum(shares.values()) == pytest.approx(1)
    assert "at least 10 completed trials; there are 9" in str(measure_importance(completed[:9]))
    same = [replace(trial, score=0.5) for trial in completed]
    assert "same score" in str(measure_importance(same))
    assert "differ in something" in str(measure_importance([]))


def test_accuracy_against_latency_is_readable_below_a_millisecond(tmp_path: Path) -> None:
    trials = [make_trial(n, "complete", {"width": n}, {}, 0.5 + n / 10, latency=0.23 + n / 10) for n in range(3)]
    chart = show(plot_pareto("chart", trials, MEASURED_LATENCY, ACCURACY))
    assert "300 µs" in chart and "; 0.23 ms; on the Pareto front" in chart
    without = write_search(tmp_path / "run", make_trials(4))
    page = write_report([without], None)[0].read_text(encoding="utf-8")
    assert "Accuracy against multiply-adds" in page and "Accuracy against latency" not in page


def test_a_curve_of_one_epoch_is_seen() -> None:
    trials = [make_trial(n, "complete", {"width": n}, {}, 0.5 + n / 10, [0.5 + n / 10]) for n in range(2)]
    assert len(re.findall(r'd="M[\d.]+,[\d.]+m-3,0h6"', show(plot_curves("chart", trials, ACCURACY)))) == 2


def test_of_trials_with_the_same_score_the_first_to_end_is_the_best(tmp_path: Path) -> None:
    one, other = (make_trial(n, "complete", {"backbone": name}, {}, 0.9, [0.9]) for n, name in enumerate(("vgg16", "resnet18")))
    run = read_run(write_search(tmp_path / "run", [other, one]))
    assert run.best_trial is not None and run.best is not None
    assert run.best_trial.number == 1 == run.best.strategy["trial"]


@pytest.mark.parametrize(("scores", "ends"), [((0.5, 0.5), ["50.00%"]), ((0.0, 0.75), ["0.00%", "75.00%"])])
def test_the_ends_of_parallel_coordinates_are_results(scores: tuple[float, float], ends: list[str]) -> None:
    trials = [make_trial(n, "complete", {"width": n}, {}, score, [score]) for n, score in enumerate(scores)]
    assert re.findall(r'<text class="label tick"[^>]*>([^<]*%)</text>', show(plot_parallel("chart", trials, {}, ACCURACY))) == ends


def test_a_search_in_a_table_has_reports_and_no_data_to_name(tmp_path: Path) -> None:
    folder = write_search(tmp_path / "run", make_trials(4, epochs=1))
    config = json.loads((folder / "config.json").read_text())
    config["identity"] |= {"evaluator": "table", "dataset": {"name": "cifar100"}}
    (folder / "config.json").write_text(json.dumps(config))
    assert next_command(read_run(folder)) == f"python run_experiment.py --retrain {folder / 'best.json'}"
    page = write_report([folder], None)[0].read_text(encoding="utf-8")
    assert "report 1: " in page and "epoch 1: " not in page and "cifar100 (" not in page


def test_what_was_retrained_is_found_from_another_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_search(tmp_path / "hpo", make_trials(4), strategy="hpo")
    folder = write_retraining(tmp_path / "retrained", "hpo/best.json", {"backbone": "vgg16"}, 0.8)
    config = json.loads((folder / "config.json").read_text()) | {"directory": str(tmp_path)}
    (folder / "config.json").write_text(json.dumps(config))
    monkeypatch.chdir("/")
    assert [row.way for row in lab_table.fill([read_run(folder)])] == ["HPO"]


def test_the_state_of_a_run_without_a_result_is_told_in_its_language(tmp_path: Path) -> None:
    folder = write_retraining(tmp_path / "run", "resnet18", {"backbone": "resnet18"}, 0.8)
    (folder / "retrained.json").unlink()
    rows = lab_table.fill([read_run(folder)])
    assert [lab_table.cells_of(rows[0], language)[2] for language in ("en", "zh")] == ["unfinished", "未完成"]


def test_texts() -> None:
    assert clean("a\u202eb\x00\n") == "a\\u202eb\\x00\\n"
    assert clean("x" * 500) == "x" * 119 + "…"
    assert clean("中文 é") == "中文 é"
    assert [as_number(value) for value in (1, 0.5, True, None, math.nan, 10**400, "1")] == [1.0, 0.5, None, None, None, None, None]


def test_what_to_type_next(tmp_path: Path) -> None:
    finished = read_run(write_search(tmp_path / "a b", make_trials(4)))
    assert next_command(finished) == f"python run_experiment.py --retrain '{tmp_path / 'a b' / 'best.json'}'"
    config = json.loads((finished.path / "config.json").read_text()) | {"command": "python examples/own_space.py --space tiny"}
    (finished.path / "config.json").write_text(json.dumps(config))
    assert str(next_command(read_run(finished.path))).startswith("python examples/own_space.py --retrain ")
    config["settings"]["dataset"] = None
    (finished.path / "config.json").write_text(json.dumps(config))
    best = json.loads((finished.path / "best.json").read_text())
    for name, is_typed in (("cifar10", True), ("own", False)):
        (finished.path / "best.json").write_text(json.dumps(best | {"dataset": {"name": name, "fingerprint": "f"}}))
        assert (next_command(read_run(finished.path)) is not None) == is_typed, "no command can name images from Python"
    retrained = read_run(write_retraining(tmp_path / "c", "resnet18", {}, 0.5))
    assert next_command(retrained) is None


def test_draws_of_operations_and_of_inputs_are_told_apart() -> None:
    epochs = [
        {"paths": {"a": {"conv": 2, "skip": 1}, "b": {"conv": 0, "skip": 3}}, "kept_inputs": {"inputs": {"0": 2, "1": 1, "2": 3}}},
        {"paths": {"a": {"conv": 3, "skip": 0}}, "kept_inputs": {"inputs": {"0": 1000, "1": 1, "2": "x"}}},
    ]
    told = show_draws("run", epochs)
    assert "over all edges: conv 5, skip 4." in told
    assert "How often each input was kept. inputs: 0 1,002, 1 2, 2 3." in told
    assert "input" not in show_draws("run", [{"paths": epochs[0]["paths"]}])
    assert show_draws("run", [{"entropy": 1.0}]) == ""


def test_stages_are_told_where_there_are_several() -> None:
    epochs = [{"number": number, "entropy": 1.0, "stage": 1 + number // 3} for number in range(1, 5)]
    assert "1: epochs 1 to 2; 2: epochs 3 to 4." in plot_alphas("run", epochs)
    assert "Stages" not in plot_alphas("run", epochs[:2]) and "Stages" not in plot_alphas("run", [{"number": 1, "entropy": 1.0}])


def test_selected_architectures_are_told_by_how_they_differ_from_the_first() -> None:
    best, other = {"a": "conv", "b": "pool", "c": "skip"}, {"a": "conv", "b": "skip", "c": "skip"}
    top = [{"architecture": each, "inherited_accuracy": score} for each, score in ((best, 0.5), (other, 0.25))]
    run = SimpleNamespace(best=SimpleNamespace(strategy={"selected": {"by": "inherited", "top": top}}))
    rows = re.findall(r"<tr>(.*?)</tr>", show_selection(run), re.DOTALL)  # type: ignore[arg-type]
    assert "50.00%" in rows[1] and "<td>-</td>" in rows[1]
    assert "25.00%" in rows[2] and "b skip" in rows[2] and "a conv" not in rows[2]


def test_a_collapse_and_frozen_operations_are_told_where_there_are_any() -> None:
    guard = {"mode": "stop", "collapsed_at_epoch": 4, "stopped": True}
    assert "took over in epoch 4: the search ended there, with the epoch before as its result." in tell_events(guard, [])
    assert "took over in epoch 4: the search went on." in tell_events({**guard, "mode": "warn", "stopped": False}, [])
    epochs = [{"number": 1, "frozen": {"sep": 1, "dil": 0}}, {"number": 2, "frozen": {"dil": 2, "sep": 5, "conv": 0}}]
    assert "frozen as they overfitted: 7 (sep 5, dil 2)." in tell_events({"collapsed_at_epoch": None}, epochs)
    assert "frozen as they overfitted: 0." in tell_events({}, [{"number": 1, "frozen": {"sep": 0}}])
    assert tell_events({}, [{"number": 1}]) == "", "nothing was watched for"
