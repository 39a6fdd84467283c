"""Searches in anyone's table, by the command line and from Python: the guide's example, losses, networks, what is wrong with one."""

from __future__ import annotations

import itertools
import json
import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
from project import PROJECT
from small_spaces import LAYERS, TinySpace

import retiarius as rt
from records.trials import TrialLog
from run_experiment import main

ROWS = [f"{depth},{rate},{kind},{depth * rate:g}" for depth in (1, 2, 3) for rate in (0.1, 0.20, 0.4) for kind in ("a", "b")]
SPACE = {
    "depth": {"_type": "choice", "_value": [1, 2, 3]},
    "lr": {"_type": "loguniform", "_value": [0.01, 1]},
    "kind": {"_type": "choice", "_value": ["a", "b"]},
}
SEARCH = ["--search-space", "space.json", "--strategy", "tpe", "--table", "table.csv"]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write("table.csv", ROWS)
    Path("space.json").write_text(json.dumps(SPACE))
    return tmp_path


def write(name: str, rows: list[str], header: str = "depth,lr,kind,score") -> None:
    Path(name).write_text("\n".join([header, *rows]) + "\n")


def trials_of(run: str) -> list[Any]:
    return TrialLog(Path(run, "trials.jsonl")).read()


def best_of(run: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(Path(run, "best_parameters.json").read_text())
    return document


def test_what_the_guide_shows_can_be_typed(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    section = (PROJECT / "docs/guides/tables.md").read_text().partition("## One that you can type\n")[2].partition("\n## ")[0]
    *preparations, command = [line.strip() for line in section.splitlines() if line.startswith("    ")][:4]
    for line in preparations:
        subprocess.run(["bash", "-c", line], check=True)
    assert command.startswith("python run_experiment.py ")
    assert main([*shlex.split(command)[2:], "--out", "run"]) == 0
    best = best_of("run")
    assert (best["parameters"], best["result"]) == ({"C": 10, "kernel": "rbf"}, 0.5)
    assert "no training times" in capsys.readouterr().out
    assert len(trials_of("run")) == 4


def test_the_test_score_of_the_best_row_is_shown(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write("table.csv", [f"{row},{index / 100}" for index, row in enumerate(ROWS, start=1)], header="depth,lr,kind,score,test_score")
    assert main([*SEARCH, "--set", "kind=b", "--trials", "9", "--out", "run"]) == 0
    assert "test score by the table  0.18" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["random", "grid", "evolution", "local", "tpe", "gp", "bo", "hpo"])
def test_every_strategy_of_trials_finds_the_best_row(strategy: str, here: Path) -> None:
    found = rt.search(None, strategy, search_space=SPACE, table="table.csv", trials=18, out="run")
    assert found.best_parameters["depth"] == 3 and found.best_parameters["lr"] == 0.4
    assert len(found.trials) <= 18


def test_losses_are_minimised_and_shown_as_they_are(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write("columns.json", [])
    told = {"format": "retiarius-table-columns", "version": 1, "datasets": {"mine": {"score": "mse"}, "yours": {"score": "mae"}}}
    Path("columns.json").write_text(json.dumps(told))
    write("table.csv", [f"{row},{100 - index}" for index, row in enumerate(ROWS)], header="depth,lr,kind,mse,mae")
    search = [*SEARCH, "--table-columns", "columns.json", "--optimize-mode", "minimize", "--trials", "18"]
    assert main([*search, "--out", "run"]) == 0
    best = best_of("run")
    assert (best["result"], best["optimize_mode"], best["dataset"]["score"]) == (0.1, "minimize", "mse")
    assert " mse " in capsys.readouterr().out
    assert min(-(trial.score or 0) for trial in trials_of("run")) == 0.1
    frame = rt.open_run("run").to_frame()  # type: ignore[union-attr]
    assert frame["mse"].min() == 0.1 and (frame["mse"] == -frame["score"]).all()
    assert "mse" in rt.open_run("run").report().read_text()
    assert main([*search, "--out", "run", "--resume"]) == 0
    assert len(trials_of("run")) == 18
    assert main([*search, "--dataset", "yours", "--out", "other"]) == 0
    assert best_of("other")["result"] == 83


def test_rows_are_chosen_and_parameters_fixed(here: Path) -> None:
    write("table.csv", [f"{row},{seed}" for row in ROWS for seed in (0, 1)], header="depth,lr,kind,score,seed")
    assert main([*SEARCH, "--set", "seed=1", "--set", "kind=b", "--trials", "30", "--out", "run"]) == 0
    assert {trial.sample["kind"] for trial in trials_of("run")} == {"b"}
    assert len(trials_of("run")) == 9, "all there are"


def test_a_range_is_the_numbers_of_the_rows_that_are_taken(here: Path) -> None:
    write("table.csv", ["1,0.1,a,0.5,x", "1,0.2,a,0.6,x", "1,none yet,a,0.7,y", "1,0.3,a,0.8,y"], header="depth,lr,kind,score,run")
    assert main([*SEARCH, "--set", "run=x", "--set", "depth=1", "--set", "kind=a", "--out", "run"]) == 0
    assert sorted(trial.sample["lr"] for trial in trials_of("run")) == [0.1, 0.2]


def test_parameters_of_candidates_that_are_not_chosen_are_empty_fields(here: Path) -> None:
    write("table.csv", ["knn,5,,0.5", "knn,9,,0.6", "svm,,0.1,0.7", "svm,,1,0.8"], header="model,model/knn/k,model/svm/C,score")
    knn = {"_name": "knn", "k": {"_type": "randint", "_value": [1, 20]}}
    svm = {"_name": "svm", "C": {"_type": "loguniform", "_value": [0.01, 10]}}
    found = rt.search(search_space={"model": {"_type": "choice", "_value": [knn, svm]}}, table="table.csv", trials=4, out="run")
    assert found.best_parameters == {"model": {"_name": "svm", "C": 1.0}}
    assert {trial.state for trial in found.trials} == {"complete"}


def test_a_missing_row_is_a_failed_trial_and_is_told_before(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write("table.csv", ROWS[1:])
    assert main([*SEARCH, "--trials", "18", "--out", "run"]) == 0
    assert "only 17 of the 18 samples of the space have a row in the table; trials of the others fail" in capsys.readouterr().err
    (failed,) = [trial for trial in trials_of("run") if trial.state == "failed"]
    assert failed.error == "the table has no row for depth=1, lr=0.1, kind=a"


def test_the_simulated_clock_is_there_where_the_table_has_seconds(here: Path) -> None:
    write("table.csv", [f"{row},10" for row in ROWS], header="depth,lr,kind,score,seconds")
    assert main([*SEARCH, "--time-budget", "55", "--out", "run"]) == 0
    assert len(trials_of("run")) == 5


def test_a_config_of_nni_goes_with_a_table(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = ["searchSpaceFile: space.json", "trialCommand: python main.py", "maxTrialNumber: 5", "trialConcurrency: 2"]
    lines += ["tuner:", "  name: Random", "  classArgs:", "    optimize_mode: minimize", "trainingService:", "  platform: local"]
    Path("config.yml").write_text("\n".join(lines) + "\n")
    assert main(["--config", "config.yml", "--table", "table.csv", "--out", "run"]) == 0
    assert "the trial command is not run: the results are looked up in --table" in capsys.readouterr().err
    assert len(trials_of("run")) == 5
    assert best_of("run")["optimize_mode"] == "minimize"


def test_a_dry_run_says_what_would_be_searched(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*SEARCH, "--dry-run"]) == 0
    printed = capsys.readouterr().out
    assert re.search(r"configurations +18 ", printed) and "parameters" not in printed
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    ("rows", "header", "arguments", "words"),
    [
        (["1,0.1,0.5"], "depth,lr,score", [], "the table has no column for the choice 'kind'; it has depth, lr"),
        (["1,0.1,a,good"], None, [], "table.csv, line 2: score is 'good', expected a number"),
        (["1,0.1,a,5", "1,1e-1,a,6"], None, [], "table.csv, line 3: the sample 1, 0.1, a appears twice, first in line 2"),
        (["7,0.1,c,5"], None, [], "none of the 6 samples of the space has a row"),
        (["1,7,a,5"], None, [], "lr: no number of its column is in the range of the space, 0.01 to 1; the column has 7"),
        (["1,,a,5"], None, [], "lr: no number of its column is in the range of the space, 0.01 to 1; the column has no number at all"),
        (
            ["1,0.1,a,5", "1,foo,a,9"],
            None,
            [],
            "table.csv, line 3: lr is 'foo'; expected a number or nothing, as a range of numbers is searched",
        ),
        (["1,foo,a,5"], None, [], "table.csv, line 2: lr is 'foo'; expected a number or nothing, as a range of numbers is searched"),
        (ROWS, None, ["--set", "knd=a"], "closest known: kind"),
        (ROWS, "depth,lr,kind,mse", [], "no column score, and no score_<epochs>; it has depth, lr, kind, mse"),
        (
            ROWS,
            None,
            ["--time-budget", "60"],
            "--time-budget needs training times, and the table has no column seconds: set --trials instead",
        ),
        (ROWS, None, ["--epochs", "3"], "--epochs has no use, as the table has one score per row and no score_<epochs>: leave it out"),
        (ROWS, None, ["--set", "kind=c"], "kind: 'c' is not in the search space"),
        (ROWS, None, ["--set", "colour=c"], "unknown label 'colour'"),
        (ROWS, None, ["--dataset", "digits"], "--dataset digits is not in table.csv, which has scores for table"),
        (ROWS, None, ["--start-with", "DARTS_V2"], "--start-with names networks"),
        (ROWS, None, ["--strategy", "nsga2"], "nsga2 needs a model space; with a table and no space, use one of random"),
        (ROWS, None, ["--strategy", "darts"], "darts needs a model space; with"),
        (ROWS, None, ["--max-params", "5"], "the table of table has no column parameters"),
        (ROWS, None, ["--jobs", "2"], "--workers has no use with a table, which needs no training: leave it out"),
        (ROWS, None, ["--table-columns", "none.json"], "none.json: No such file"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(
    rows: list[str], header: str | None, arguments: list[str], words: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write("table.csv", rows, *([] if header is None else [header]))
    assert main([*SEARCH, *arguments]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert words in line
    assert not Path("runs").exists()


def test_minimizing_goes_with_results_alone(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--space", "zoo", "--strategy", "tpe", "--optimize-mode", "minimize"]) == 2
    assert "--optimize-mode minimize needs a table, a trial command, or an evaluator of your own" in capsys.readouterr().err
    assert main(["--strategy", "tpe", "--table", "table.csv"]) == 2
    assert "--table needs a space to search: add --space NAME, or --search-space FILE with NNI's parameters" in capsys.readouterr().err
    with pytest.raises(rt.StrategyError, match="`optimize_mode='minimize'` needs a table"):
        rt.search("zoo", optimize_mode="minimize")
    with pytest.raises(rt.RecordError, match="optimize_mode: 'least' is neither maximize nor minimize"):
        rt.search(None, search_space=SPACE, table="table.csv", optimize_mode="least")
    with pytest.raises(rt.SpaceError, match="there is nothing to search: set `search_space`, too"):
        rt.search(None, table="table.csv")


def test_a_space_of_ones_own_with_a_table_of_losses(here: Path) -> None:
    rows = [f'{first},{second},"[{one}, {two}]",{cost}' for cost, (first, second, one, two) in enumerate(samples())]
    write("table.csv", rows, header="first,second,inputs,loss")
    told = {"format": "retiarius-table-columns", "version": 1, "datasets": {"mine": {"score": "loss"}}}
    Path("columns.json").write_text(json.dumps(told))
    files = {"table": "table.csv", "table_columns": "columns.json"}
    found = rt.search(TinySpace, "tpe", **files, optimize_mode="minimize", trials=54, out="run")
    assert len(found.trials) == 54 and {trial.state for trial in found.trials} == {"complete"}
    assert (found.best.score, found.best.metric) == (0.0, "loss")
    assert found.best.record.architecture == {"first": "a", "second": "a", "inputs": [0, 1]}
    assert found.test_score_by_table is None


def samples() -> list[tuple[str, str, int, int]]:
    pairs = list(itertools.combinations(range(4), 2))
    return [(first, second, *pair) for first in LAYERS for second in LAYERS for pair in pairs]


@pytest.mark.slow
def test_the_order_of_numbers_helps(here: Path) -> None:
    """The nearer to the middle of each range, the better: what the number of trials finds with an order, and as names."""
    places = range(16)
    rows = [f"{x},{y},{-((x - 5) ** 2) - (y - 9) ** 2}" for x in places for y in places]
    write("table.csv", rows, header="x,y,score")
    space = {name: {"_type": "choice", "_value": list(places)} for name in "xy"}
    named = {name: {"_type": "choice", "_value": [*map(str, places)]} for name in "xy"}  # texts have no order
    regrets = []
    for document in (space, named):
        found = [rt.search(None, "bo", search_space=document, table="table.csv", trials=20, seed=seed, out=None) for seed in range(3)]
        regrets.append(sum(-result.record.best_parameters["result"] for result in found))
    assert regrets[0] == 0 < regrets[1]


def test_a_loss_that_is_maximised_is_told(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("loss.csv").write_text("C,mse\n1,0.5\n2,0.1\n")
    Path("loss.json").write_text('{"C": {"_type": "choice", "_value": [1, 2]}}')
    told = {"format": "retiarius-table-columns", "version": 1, "datasets": {"mine": {"score": {"column": "mse"}}}}
    Path("told.json").write_text(json.dumps(told))
    words = ["--search-space", "loss.json", "--strategy", "random", "--table", "loss.csv", "--table-columns", "told.json", "--trials", "2"]
    line = "mse is maximised; to minimise it, use --optimize-mode minimize"
    assert main([*words, "--out", "high"]) == 0
    assert line in capsys.readouterr().err
    assert main([*words, "--optimize-mode", "minimize", "--out", "low"]) == 0
    assert line not in capsys.readouterr().err
