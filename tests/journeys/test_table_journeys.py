"""Whole runs whose trials are looked up in a table, by the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from nasbench201_table import MIXED, make_rows, remember_tables, write_made_up, write_table
from torch import nn
from two_layers import TwoLayers

import retiarius as rt
from common.trial import sample_key
from evaluators.training.recipes import recipe_values
from records.lines import read_lines
from records.trial_keeper import TrialKeeper
from records.trials import TrialLog
from retiarius import open_run
from run_experiment import main
from strategies import STRATEGIES

SEARCH = ["--space", "nasbench201", "--evaluator", "table"]


@pytest.fixture(scope="module")
def made_up(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_made_up(tmp_path_factory.mktemp("table") / "made-up.csv.gz")


@pytest.fixture
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    remember_tables(monkeypatch)
    return tmp_path


@pytest.mark.parametrize("name", [name for name, entry in STRATEGIES.items() if not entry.one_shot and not entry.needs])
@pytest.mark.slow
def test_every_strategy_keeps_to_the_simulated_budget(
    name: str, made_up: Path, in_a_folder_of_its_own: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [*SEARCH, "--strategy", name, "--table", str(made_up), "--time-budget", "300", "--out", "run"]
    assert main(arguments) == 0
    printed = capsys.readouterr().out
    assert "times are the table's training times" in printed
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
    pruned = [trial for trial in trials if trial.state == "pruned"]
    assert 10 < len(pruned) < 30
    assert (shown.count(1), shown.count(2)) == (30, 30 - len(pruned)), "the screen hears of every score"
    assert f"{len(pruned)} of 30 trials were pruned by halving" in capsys.readouterr().out
    for trial in trials:
        convolutions = list(trial.architecture.values()).count("nor_conv_3x3")
        cost = 100 * convolutions + 100
        assert trial.seconds == pytest.approx(0.06 * cost if trial in pruned else 1.06 * cost)
        assert trial.curve == pytest.approx([0.1 * convolutions + 0.05, 0.1 * convolutions + 0.08][: 1 if trial in pruned else 2])


def test_limits_on_the_size_are_those_of_the_table(made_up: Path, in_a_folder_of_its_own: Path) -> None:
    arguments = [*SEARCH, "--strategy", "random", "--table", str(made_up), "--trials", "10", "--max-params", "300k", "--out", "run"]
    assert main(arguments) == 0
    trials = TrialLog(Path("run/trials.jsonl")).read()
    assert len(trials) == 10
    assert max(trial.parameters or 0 for trial in trials) == 300_000
    skipped = read_lines(Path("run/skipped.jsonl"))
    assert skipped and {line["fault"] for line in skipped} == {"too large"}
    assert all(int(line["reason"].split()[0].replace(",", "")) > 300_000 for line in skipped), skipped[0]
    tried = {sample_key(trial.sample) for trial in trials}
    keys = [sample_key(line["sample"]) for line in skipped]
    assert len(set(keys)) == len(keys) and not tried & set(keys)
    assert main([*arguments, "--resume"]) == 0
    assert read_lines(Path("run/skipped.jsonl")) == skipped, "what is proposed again is not noted again"


@pytest.mark.slow
def test_a_budget_below_every_trial_is_no_limit_on_the_size(
    made_up: Path, in_a_folder_of_its_own: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [*SEARCH, "--strategy", "random", "--table", str(made_up), "--max-params", "500k", "--time-budget", "5", "--out", "run"]
    assert main(arguments) == 1, "some network with at most two convolutions is proposed, and takes 6 seconds or more"
    printed = capsys.readouterr()
    assert "skipped as too large; skipped.jsonl lists them" in printed.out
    assert "error: the time budget ended before the first trial: raise --time-budget" in printed.err


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
        ([*SEARCH, "--strategy", "tpe"], "--evaluator table needs a table: set --table"),
        ([*SEARCH, "--strategy", "tpe", "--table", "none.csv"], "none.csv: No such file"),
        ([*SEARCH, "--strategy", "tpe", "--table", "TABLE", "--set", "width=8"], "the networks of a table have a given size: take width"),
        ([*SEARCH, "--strategy", "tpe", "--table", "TABLE", "--epochs", "50"], "scores after 12, 200 epochs"),
        ([*SEARCH, "--strategy", "tpe", "--table", "TABLE", "--dataset", "digits"], "has scores for cifar10, cifar100"),
        ([*SEARCH, "--strategy", "tpe", "--table", "TABLE", "--table-columns", "none.json"], "none.json: No such file"),
        (["--space", "darts", "--strategy", "tpe", "--evaluator", "table", "--table", "TABLE"], "no column for the choice 'normal/"),
        (
            ["--space", "darts", "--strategy", "darts", "--evaluator", "table", "--table", "TABLE"],
            "trains a supernet and takes no evaluator: leave out --evaluator table",
        ),
        (
            [*SEARCH, "--strategy", "tpe", "--table", "TABLE", "--workers", "2"],
            "--workers has no use with a table, which needs no training: leave it out",
        ),
        ([*SEARCH, "--strategy", "tpe", "--table", "TABLE", "--precision", "float32"], "leave out --precision"),
        (
            [*SEARCH, "--strategy", "tpe", "--table", "TABLE", "--recipe", "lab"],
            "a table needs no training: leave out --recipe",
        ),
        ([*SEARCH, "--strategy", "tpe", "--table", "TABLE", "--set", "initial_lr=0.5"], "take initial_lr out of --set"),
        (["--space", "nasbench201", "--strategy", "tpe", "--table-columns", "x"], "--table and --table-columns need --evaluator table"),
        (["--retrain", "DARTS_V2", "--table", "TABLE"], "--table is for searches and has no use with --retrain"),
    ],
)
def test_usage(arguments: list[str], words: str, made_up: Path, in_a_folder_of_its_own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(made_up) if word == "TABLE" else word for word in arguments]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert words in lines[0]
    assert not Path("runs").exists(), "nothing is left behind"


def test_a_sample_that_is_not_in_the_table_is_a_failed_trial(in_a_folder_of_its_own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = make_rows()
    write_table(Path("half.csv.gz"), [rows[0], *rows[1::2]])
    assert main(["--space", "nasbench201", "--strategy", "random", "--table", "half.csv.gz", "--trials", "20", "--out", "run"]) == 0
    printed = capsys.readouterr().err
    assert "only 7,813 of the 15,625 samples of the space have a row in the table; trials of the others fail" in printed
    trials = TrialLog(Path("run/trials.jsonl")).read()
    assert {trial.state for trial in trials} == {"complete", "failed"} and len(trials) == 20
    error = next(trial.error for trial in trials if trial.state == "failed")
    assert error is not None and error.startswith("the table of cifar10 has no row for edge_0_1=")


def test_a_table_that_has_no_row_of_the_space(in_a_folder_of_its_own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = make_rows()
    write_table(Path("other.csv.gz"), [rows[0], ["|something~0|", *rows[1][1:]]])
    assert main(["--space", "nasbench201", "--strategy", "random", "--table", "other.csv.gz"]) == 2
    assert "error: none of the 15,625 samples of the space has a row" in capsys.readouterr().err
    assert not Path("runs").exists()


ZOO = ["--space", "zoo", "--strategy", "grid", "--table", "table.csv", "--set", "backbone=resnet18", "--set", "stem=own"]


def write_zoo(lines: list[str], header: str = "backbone,stem,optimizer,batch_size,score") -> None:
    Path("table.csv").write_text("\n".join([header, *(f"resnet18,own,{line}" for line in lines)]) + "\n")


def test_a_file_of_nni_narrows_a_space_whose_table_answers(in_a_folder_of_its_own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_zoo([f"{optimizer},{size},{score}" for optimizer, size, score in (("sgd", 32, 3.5), ("adam", 32, 4.5), ("adam", 512, 9.5))])
    space = {"optimizer": {"_type": "choice", "_value": ["sgd", "adam"]}, "batch_size": {"_type": "choice", "_value": [32]}}
    Path("space.json").write_text(json.dumps(space))
    search = [*ZOO, "--set", "width=16", "--set", "depth=2", "--search-space", "space.json", "--trials", "6"]
    assert main([*search, "--out", "run"]) == 0
    best = json.loads(Path("run/best.json").read_text())
    assert best["score"] == {"metric": "score", "value": 4.5}, "the table knows no number of epochs"
    assert (best["hyperparameters"]["optimizer"], best["hyperparameters"]["batch_size"]) == ("adam", 32)
    assert len(TrialLog(Path("run/trials.jsonl")).read()) == 2
    assert "score" in capsys.readouterr().out
    Path("space.json").write_text(json.dumps({**space, "momentum": {"_type": "uniform", "_value": [0.5, 0.9]}}))
    assert main(search) == 2
    assert "the table has no column for the choice 'momentum'; it has backbone, stem, optimizer, batch_size" in capsys.readouterr().err


def test_hyperparameters_that_are_columns_can_be_fixed_and_losses_minimised(in_a_folder_of_its_own: Path) -> None:
    write_zoo([f"{optimizer},{size},{score}" for optimizer, size, score in (("sgd", 64, 0.5), ("adam", 64, 0.4), ("adam", 128, 0.1))])
    fixed = ["--set", "width=16", "--set", "depth=2", "--set", "batch_size=64"]
    assert main([*ZOO, *fixed, "--optimize-mode", "minimize", "--trials", "9", "--out", "run"]) == 0
    trials = TrialLog(Path("run/trials.jsonl")).read()
    assert {(trial.sample["optimizer"], trial.score) for trial in trials if trial.state == "complete"} == {("sgd", -0.5), ("adam", -0.4)}
    best = json.loads(Path("run/best.json").read_text())
    assert best["score"]["value"] == 0.4
    assert (best["hyperparameters"]["optimizer"], best["hyperparameters"]["batch_size"]) == ("adam", 64)
    found = open_run("run")
    assert (found.record.metric.name, found.record.metric.sign, found.record.metric.percent) == ("score", -1, False)
    assert found.report().exists()
    assert main([*ZOO, *fixed, "--optimize-mode", "minimize", "--trials", "9", "--out", "run", "--resume"]) == 0
    assert main([*ZOO, *fixed, "--trials", "9", "--out", "run", "--resume"]) == 2, "another search"


TWO = ["--space", "two_layers:TwoLayers", "--strategy", "grid", "--table", "table.csv", "--trials", "4"]


def write_two(score: dict[int, float]) -> None:
    layers = [(convolution, activation) for convolution in ("small", "large") for activation in ("relu", "silu")]
    rows = [
        f"{first},{second},{width},{value + 0.01 * place}" for width, value in score.items() for place, (first, second) in enumerate(layers)
    ]
    Path("table.csv").write_text("\n".join(["convolution,activation,width,score", *rows]) + "\n")


def test_an_argument_that_is_a_column_takes_its_rows_and_is_that_of_the_network(
    in_a_folder_of_its_own: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_two({8: 0.9, 16: 0.5})
    assert main([*TWO, "--set", "width=16", "--out", "run"]) == 0
    best = json.loads(Path("run/best.json").read_text())
    assert best["score"] == {"metric": "validation accuracy", "value": 0.53}, "no row of the width 8, and no number of epochs"
    assert best["space"]["arguments"]["width"] == 16
    printed = capsys.readouterr().out
    assert "53.00%" in printed and "epoch" not in printed
    network = rt.load_architecture("run/best.json", space=TwoLayers).network()
    assert next(layer for layer in network.modules() if isinstance(layer, nn.Conv2d)).out_channels == 16


def test_the_argument_of_a_space_of_ours_is_a_column_too(made_up: Path, in_a_folder_of_its_own: Path) -> None:
    rows = [",".join([*MIXED.values(), str(width), "0.5"]) for width in (8, 16)]
    Path("table.csv").write_text("\n".join([",".join([*MIXED, "width", "score"]), *rows]) + "\n")
    pins = [word for label, operation in MIXED.items() for word in ("--set", f"{label}={operation}")]
    search = ["--space", "nasbench201", "--strategy", "grid", "--table", "table.csv", *pins, "--set", "width=8", "--out", "run"]
    assert main(search) == 0
    assert json.loads(Path("run/best.json").read_text())["space"]["arguments"]["width"] == 8
