"""Trials that are looked up: the table, its columns as data, the simulated clock, and whole runs by the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from nasbench201_table import REAL, make_rows, needs_the_real_one, write_table
from nni.mutable import Categorical
from nni.nas.evaluator import FunctionalEvaluator
from nni.nas.space import SimplifiedModelSpace
from small_spaces import TinySpace

from common.errors import EvaluatorError
from evaluators.table import load_table
from evaluators.training.recipes import recipe_values
from records.trial_keeper import TrialKeeper
from records.trials import TrialLog
from run_experiment import main
from strategies import STRATEGIES
from strategies.engines.table import TableEngine
from strategies.optuna.pruning import make_pruning

BEST = dict.fromkeys(("edge_0_1", "edge_0_2", "edge_1_2", "edge_0_3", "edge_1_3", "edge_2_3"), "nor_conv_3x3")
MIXED = {**BEST, "edge_0_1": "none", "edge_2_3": "skip_connect"}


@pytest.fixture(scope="module")
def made_up(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_table(tmp_path_factory.mktemp("table") / "made-up.csv.gz", make_rows())


def small_table(folder: Path, *rows: str, header: str = "first,second,score_3,seconds_3,score_9,seconds_9,parameters") -> Path:
    path = folder / "small.csv"
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def test_a_known_table_needs_no_words(made_up: Path) -> None:
    table = load_table(made_up)
    assert (table.name, table.num_classes, len(table), table.fidelities) == ("cifar10", 10, 15_625, [12, 200])
    assert table.steps(MIXED, [12, 200]) == [pytest.approx((0.45, 30.0)), pytest.approx((0.48, 500.0))]
    assert table.facts(MIXED) == {"parameters": 900_000, "flops": 41_000_000}
    assert table.test_accuracy(MIXED) == pytest.approx(0.47)
    assert load_table(made_up, dataset="cifar100").num_classes == 100


def test_a_table_of_ones_own_has_a_column_for_each_label(tmp_path: Path) -> None:
    table = load_table(small_table(tmp_path, "a,4,0.5,10,0.7,30,1000", "a,8,0.6,20,0.8,60,2000"))
    assert table.fidelities == [3, 9]
    assert table.steps({"second": 8, "first": "a", "other": None}, [9]) == [(0.8, 60.0)]
    assert table.facts({"first": "a", "second": 4}) == {"parameters": 1000}
    table.check_labels(["second", "first"])
    with pytest.raises(EvaluatorError, match="no column for the choice 'third'; it has first, second"):
        table.check_labels(["first", "second", "third"])
    with pytest.raises(EvaluatorError, match="a choice 'second' that the space does not have"):
        table.check_labels(["first"])


def test_labels_may_have_dots_and_must_have_names(tmp_path: Path) -> None:
    dotted = load_table(small_table(tmp_path, "a,4,0.5,10", header="block.1,block.2,score_3,seconds_3"))
    assert dotted.steps({"block.1": "a", "block.2": 4}, [3]) == [(0.5, 10.0)]
    with pytest.raises(EvaluatorError, match=r"small.csv: column 1 has no name; .* to_csv\(index=False\)"):
        load_table(small_table(tmp_path, "0,a,0.5,10", header=",first,score_3,seconds_3"))


def test_columns_can_be_described_in_a_file(tmp_path: Path) -> None:
    path = small_table(tmp_path, "a-b,91.5,60", header="who,accuracy,minutes")
    score, seconds = {"column": "accuracy", "scale": 0.01}, {"column": "minutes", "scale": 60}
    columns = {"format": "retiarius-table-columns", "version": 1, "key": "who", "pattern": "{x}-{y}"}
    columns["datasets"] = {"mine": {"fidelities": {"5": {"score": score, "seconds": seconds}}}}
    (tmp_path / "columns.json").write_text(json.dumps(columns))
    table = load_table(path, tmp_path / "columns.json")
    assert table.steps({"x": "a", "y": "b"}, [5]) == [pytest.approx((0.915, 3600.0))]
    with pytest.raises(EvaluatorError, match=r"--dataset yours: .* has scores for mine"):
        load_table(path, tmp_path / "columns.json", "yours")


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([], "no rows"),
        (["a,4,0.5,10,0.7"], "line 2: 5 columns where 7 belong; the file may be cut off"),
        (["a,4,0.5,10,0.7,30,1000", "a,4,0.6,10,0.7,30,1000"], "line 3: the sample a, 4 stands in the table twice"),
        (["a,4,high,10,0.7,30,1000"], "line 2: score_3 is 'high', expected a number"),
        (["a,4,nan,10,0.7,30,1000"], "line 2: score_3 is 'nan', expected a number"),
        (["a,4,0.5,-10,0.7,30,1000"], "line 2: seconds of training below 0"),
        (["a,4,0.5,10,70,30,1000"], "line 2: score_9 is 70, expected a fraction from 0 to 1 .divide percent by 100, or give"),
        (["a,4,-0.5,10,0.7,30,1000"], "line 2: score_3 is -0.5, expected a fraction"),
    ],
)
def test_broken_rows(tmp_path: Path, rows: list[str], words: str) -> None:
    with pytest.raises(EvaluatorError, match=words):
        load_table(small_table(tmp_path, *rows))


def test_broken_files(tmp_path: Path, made_up: Path) -> None:
    with pytest.raises(EvaluatorError, match=r"nowhere\.csv: No such file"):
        load_table(tmp_path / "nowhere.csv")
    (tmp_path / "cut.csv.gz").write_bytes(made_up.read_bytes()[:5000])
    with pytest.raises(EvaluatorError, match=r"cut\.csv\.gz: broken or cut off"):
        load_table(tmp_path / "cut.csv.gz")
    (tmp_path / "noise.csv").write_bytes(b"\xff\xfe\x00\x81")
    with pytest.raises(EvaluatorError, match="byte 0 is not UTF-8 text"):
        load_table(tmp_path / "noise.csv")
    with pytest.raises(EvaluatorError, match="the column 'c10_val12' is missing"):
        load_table(small_table(tmp_path, "x,1", header="arch_str,score"))
    with pytest.raises(EvaluatorError, match="no columns score_<epochs> and seconds_<epochs>"):
        load_table(small_table(tmp_path, "x,1", header="first,score"))
    (tmp_path / "columns.json").write_text('{"format": "retiarius-table-columns", "version": 1}')
    with pytest.raises(EvaluatorError, match=r"columns\.json: not a description of columns"):
        load_table(made_up, tmp_path / "columns.json")
    column = {"column": "c10_val12", "scale": 1}
    columns = {"format": "retiarius-table-columns", "version": 1, "key": "arch_str", "pattern": "{edge_0_1}"}
    columns["datasets"] = {"cifar10": {"fidelities": {"12": {"score": column, "seconds": column}}}}
    for pattern, words in (("{edge_0_1", "expected '}'"), ("{edge_0_1:d}", "stands alone"), ("{edge_0_1!r}", "stands alone")):
        (tmp_path / "columns.json").write_text(json.dumps({**columns, "pattern": pattern}))
        with pytest.raises(EvaluatorError, match=rf"columns\.json: not a description of columns .*{words}"):
            load_table(made_up, tmp_path / "columns.json")
    with pytest.raises(EvaluatorError, match="line 1: not CSV: field larger than field limit"):
        load_table(small_table(tmp_path, header="x" * 200_000))
    with pytest.raises(EvaluatorError, match="take no time; give --trials N"):
        load_table(small_table(tmp_path, "a,4,0.5,0,0.7,0,1000")).trials_within(100.0, 3)
    (tmp_path / "columns.json").write_text("[]")
    with pytest.raises(EvaluatorError, match="not a file of the format 'retiarius-table-columns'"):
        load_table(made_up, tmp_path / "columns.json")


# --- the engine ----------------------------------------------------------------------------------------------------------------------


def look_up(sample: Any) -> list[tuple[float, float]]:
    return [(sample["n"] / 10, 10.0 * sample["n"])]


def submit(engine: TableEngine, *numbers: int) -> list[Any]:
    space = SimplifiedModelSpace.from_model(TinySpace(), FunctionalEvaluator(look_up, n=Categorical([1, 2, 3], label="n")))
    models = [space.freeze({"first": "a", "second": "b", "inputs": [0, 1], "n": n}) for n in numbers]
    engine.submit_models(*models)
    return models


def test_trials_cost_what_the_table_says_and_repeats_nothing() -> None:
    engine = TableEngine(look_up=look_up, facts=lambda sample: {"parameters": 7})
    first, second, again = submit(engine, 3, 1, 3)
    assert (first.metric, second.metric, again.metric) == (0.3, 0.1, 0.3)
    assert [(result.score, result.curve, result.seconds, result.facts) for result in engine.results] == [
        (0.3, [0.3], 30.0, {"parameters": 7}),
        (0.1, [0.1], 10.0, {"parameters": 7}),
    ]
    assert engine.clock == 40.0


def test_a_trial_that_does_not_fit_into_the_budget_ends_the_search_and_is_not_recorded() -> None:
    engine = TableEngine(look_up=look_up, simulated_seconds=45)
    submit(engine, 3)
    assert engine.budget_available()
    assert submit(engine, 2)[0].metric is None
    assert not engine.budget_available()
    assert [result.sample["n"] for result in engine.results] == [3]
    exact = TableEngine(look_up=look_up, simulated_seconds=50)
    submit(exact, 3, 2)
    assert len(exact.results) == 2, "the budget may be spent to the last second"


def test_the_clock_of_a_resumed_search_goes_on() -> None:
    engine = TableEngine(look_up=look_up, simulated_seconds=45)
    submit(engine, 3)
    resumed = TableEngine(look_up=look_up, simulated_seconds=45, known=engine.results)
    assert resumed.clock == 30.0
    submit(resumed, 3, 2)
    assert resumed.clock == 30.0
    assert not resumed.budget_available()


def test_a_pruned_trial_costs_what_it_took_until_then() -> None:
    steps = {1: [(0.1, 6.0), (0.15, 100.0)], 2: [(0.2, 6.0), (0.25, 100.0)], 3: [(0.3, 6.0), (0.35, 100.0)]}
    pruning = make_pruning("halving", epochs=2)
    engine = TableEngine(look_up=lambda sample: steps[sample["n"]], pruning=pruning)
    models = submit(engine, 2, 1, 3)
    assert [(result.status, result.score, result.curve, result.seconds) for result in engine.results] == [
        ("complete", 0.25, [0.2, 0.25], 106.0),
        ("pruned", None, [0.1], 6.0),
        ("complete", 0.35, [0.3, 0.35], 106.0),
    ]
    assert [model.metric for model in models] == [0.25, None, 0.35]
    assert engine.clock == 218.0


# --- whole runs ----------------------------------------------------------------------------------------------------------------------

SEARCH = ["--space", "nasbench201", "--evaluator", "table"]


@pytest.fixture
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", [name for name, entry in STRATEGIES.items() if not entry.one_shot and not entry.needs])
def test_every_strategy_keeps_to_the_simulated_budget(
    name: str, made_up: Path, in_a_folder_of_its_own: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [*SEARCH, "--strategy", name, "--table", str(made_up), "--time-budget", "300", "--out", "run"]
    assert main(arguments) == 0
    printed = capsys.readouterr().out
    assert "time is the table's, in seconds of training" in printed
    assert "test accuracy by the table" in printed
    trials = TrialLog(Path("run/trials.jsonl")).read()
    assert len(trials) > 5
    assert 250 < sum(trial.seconds for trial in trials) <= 300
    best = json.loads(Path("run/best.json").read_text())
    assert best["score"]["value"] == max(trial.score or 0 for trial in trials)
    assert best["score"]["epochs"] == 12
    assert best["dataset"]["table"] == "made-up.csv.gz"
    assert main([*arguments, "--resume"]) == 0
    assert TrialLog(Path("run/trials.jsonl")).read() == trials, "the budget is spent"


def test_the_longer_training_is_another_fidelity(made_up: Path, in_a_folder_of_its_own: Path) -> None:
    arguments = [*SEARCH, "--strategy", "random", "--table", str(made_up), "--epochs", "200", "--trials", "4", "--out", "run"]
    assert main(arguments) == 0
    for trial in TrialLog(Path("run/trials.jsonl")).read():
        convolutions = list(trial.architecture.values()).count("nor_conv_3x3")
        assert trial.score == pytest.approx(0.1 * convolutions + 0.08)
        assert trial.seconds == pytest.approx(100 * convolutions + 100)


def test_successive_halving_over_the_two_fidelities(
    made_up: Path, in_a_folder_of_its_own: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[int] = []
    monkeypatch.setattr(TrialKeeper, "note_epoch", lambda self, number, score: shown.append(number))
    arguments = [*SEARCH, "--strategy", "random", "--table", str(made_up), "--epochs", "200", "--pruner", "halving", "--trials", "30"]
    assert main([*arguments, "--out", "run"]) == 0
    trials = TrialLog(Path("run/trials.jsonl")).read()
    pruned = [trial for trial in trials if trial.status == "pruned"]
    assert 10 < len(pruned) < 30
    assert (shown.count(1), shown.count(2)) == (30, 30 - len(pruned)), "the screen hears of every score"
    assert f"{len(pruned)} of 30 trials were pruned by halving" in capsys.readouterr().out
    for trial in trials:
        convolutions = list(trial.architecture.values()).count("nor_conv_3x3")
        cost = 100 * convolutions + 100
        assert trial.seconds == pytest.approx(0.06 * cost if trial in pruned else 1.06 * cost)
        assert trial.curve == pytest.approx([0.1 * convolutions + 0.05, 0.1 * convolutions + 0.08][: 1 if trial in pruned else 2])


def test_limits_on_the_size_are_those_of_the_table(made_up: Path, in_a_folder_of_its_own: Path, tmp_path: Path) -> None:
    arguments = [*SEARCH, "--strategy", "random", "--table", str(made_up), "--trials", "10", "--max-params", "300k", "--out", "run"]
    assert main(arguments) == 0
    trials = TrialLog(Path("run/trials.jsonl")).read()
    assert len(trials) == 10
    assert max(trial.parameters or 0 for trial in trials) == 300_000
    with pytest.raises(EvaluatorError, match="has no flops of its samples"):
        load_table(small_table(tmp_path, "a,4,0.5,10,0.7,30,1000")).check_sizes(["parameters", "flops"])


def test_a_budget_below_every_trial_is_no_limit_on_the_size(
    made_up: Path, in_a_folder_of_its_own: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [*SEARCH, "--strategy", "random", "--table", str(made_up), "--max-params", "500k", "--time-budget", "5", "--out", "run"]
    assert main(arguments) == 1, "some network with at most two convolutions is proposed, and takes 6 seconds or more"
    printed = capsys.readouterr()
    assert "too large and not trained" in printed.out
    assert "error: the time budget ended before the first trial: give it more" in printed.err


def test_a_table_with_a_column_for_a_hyperparameter(in_a_folder_of_its_own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = {"sgd": "0.7,10,0.71", "adam": "0.8,10,0.81", "rmsprop": "0.9,10,0.91", "muon": "0.6,10,0.61"}
    lines = ["backbone,stem,width,depth,optimizer,score_3,seconds_3,test_accuracy"]
    lines += [f"resnet18,own,16,2,{optimizer},{figures}" for optimizer, figures in rows.items()]
    Path("table.csv").write_text("\n".join(lines) + "\n")
    pins = ("backbone=resnet18", "stem=own", "width=16", "depth=2")  # resnet18 does not read a width: 64 means the same
    search = ["--space", "zoo", "--strategy", "grid", "--evaluator", "table", "--table", "table.csv", "--trials", "4"]
    assert main([*search, *(word for pin in pins for word in ("--set", pin)), "--out", "run"]) == 0
    assert "91.00%" in capsys.readouterr().out, "the test accuracy of the row that was found"
    best, config = (json.loads(Path("run", name).read_text()) for name in ("best.json", "config.json"))
    assert best["architecture"]["width"] == 64
    assert best["hyperparameters"] == {**recipe_values("fast"), "optimizer": "rmsprop"}, "what the table leaves open is the space's recipe"
    assert not {"recipe", "precision"} & config["identity"].keys(), "nothing was trained"
    config["identity"] |= {"recipe": recipe_values("lab"), "precision": "None"}  # as older versions noted
    Path("run/config.json").write_text(json.dumps(config))
    assert main([*search, *(word for pin in pins for word in ("--set", pin)), "--out", "run", "--resume"]) == 0


def test_what_is_fixed_stays_fixed(made_up: Path, in_a_folder_of_its_own: Path) -> None:
    pins = [word for label, operation in MIXED.items() for word in ("--set", f"{label}={operation}")]
    assert main([*SEARCH, "--strategy", "tpe", "--table", str(made_up), *pins, "--out", "run"]) == 0
    assert json.loads(Path("run/best.json").read_text())["architecture"] == MIXED


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([*SEARCH, "--strategy", "tpe"], "--evaluator table needs --table FILE"),
        ([*SEARCH, "--strategy", "tpe", "--table", "none.csv"], "none.csv: No such file"),
        ([*SEARCH, "--strategy", "tpe", "--table", "TABLE", "--set", "width=8"], "as they were published: leave out --set width"),
        ([*SEARCH, "--strategy", "tpe", "--table", "TABLE", "--epochs", "50"], "scores after 12, 200 epochs"),
        ([*SEARCH, "--strategy", "tpe", "--table", "TABLE", "--dataset", "digits"], "has scores for cifar10, cifar100"),
        ([*SEARCH, "--strategy", "tpe", "--table", "TABLE", "--table-columns", "none.json"], "none.json: No such file"),
        (["--space", "darts", "--strategy", "tpe", "--evaluator", "table", "--table", "TABLE"], "no column for the choice 'normal/"),
        (
            ["--space", "darts", "--strategy", "darts", "--evaluator", "table", "--table", "TABLE"],
            "trains a supernet, in a way of its own: leave out --evaluator table",
        ),
        ([*SEARCH, "--strategy", "tpe", "--table", "TABLE", "--workers", "2"], "a table answers at once"),
        ([*SEARCH, "--strategy", "tpe", "--table", "TABLE", "--precision", "float32"], "leave out --precision"),
        (
            [*SEARCH, "--strategy", "tpe", "--table", "TABLE", "--recipe", "lab"],
            "nothing is trained where a table answers: leave out --recipe",
        ),
        ([*SEARCH, "--strategy", "tpe", "--table", "TABLE", "--set", "initial_lr=0.5"], "is searched: leave out --set initial_lr"),
        (["--space", "nasbench201", "--strategy", "tpe", "--table", "TABLE"], "--table and --table-columns go with --evaluator table"),
        (["--space", "nasbench201", "--strategy", "tpe", "--table-columns", "x"], "--table and --table-columns go with --evaluator table"),
        (["--retrain", "DARTS_V2", "--table", "TABLE"], "--table goes with a search"),
    ],
)
def test_usage(arguments: list[str], words: str, made_up: Path, in_a_folder_of_its_own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(made_up) if word == "TABLE" else word for word in arguments]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert words in lines[0]
    assert not Path("runs").exists(), "nothing is left behind"


def test_a_sample_that_is_not_in_the_table(in_a_folder_of_its_own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_table(Path("half.csv.gz"), make_rows()[:3])
    assert main([*SEARCH, "--strategy", "random", "--table", "half.csv.gz"]) == 2
    assert "error: the table of cifar10 has no row for edge_0_1=" in capsys.readouterr().err


@needs_the_real_one
def test_the_real_table() -> None:
    table = load_table(REAL)
    assert len(table) == 15_625
    assert max(row.facts["test_accuracy"] for row in table.rows.values()) == pytest.approx(0.943733)
    assert table.test_accuracy(dict.fromkeys(BEST, "skip_connect")) == pytest.approx(0.5430, abs=1e-4)
