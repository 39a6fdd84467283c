"""Bad input to the program: exit status 2, one line that says what is wrong and what would be right, nothing lost."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from command_line import SMALL, ZOO, fails, in_a_folder_of_its_own_with_few_digits  # noqa: F401
from nni.mutable import Categorical

from evaluators import EVALUATORS, EvaluatorEntry
from spaces.darts.genotypes import GENOTYPES, architecture_from_genotype
from spaces.zoo.space import ZooSpace

TPE = ["--space", "zoo", "--strategy", "tpe", "--storage", "sqlite:///study.db"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--space", "dart", "--strategy", "tpe"], ["unknown space 'dart'", "darts", "zoo"]),
        (["--space", "zoo", "--strategy", "magic"], ["unknown strategy 'magic'", "tpe"]),
        (["--space", "zoo", "--strategy", "darts"], ["does not fit", "it fits darts"]),
        (["--space", "darts", "--strategy", "hpo"], ["does not fit", "it fits zoo"]),
        ([*ZOO, "--set", "batch_size=1" + "0" * 400], ["batch_size", "not a whole number"]),
        ([*ZOO, "--trials", "0"], ["--trials", "from 1 to 999,999,999"]),
        ([*ZOO, "--evaluator", "oracle"], ["unknown evaluator 'oracle'", "train"]),
        ([*ZOO, "--pruner", "foo"], ["unknown pruner 'foo'", "none, median, halving, hyperband"]),
        ([*ZOO, "--max-params", "-3"], ["--max-params", "'-3'", "at least 1", "300k"]),
        ([*ZOO, "--max-flops", "abc"], ["--max-flops", "'abc'", "1.5M"]),
        (["--space", "darts", "--strategy", "darts", "--max-params", "1M"], ["darts trains one supernet", "leave out --max-params"]),
        (["--space", "darts", "--strategy", "darts", "--pruner", "median"], ["darts trains one supernet", "leave out --pruner"]),
        ([*ZOO, "--trials", "2", "--start-with", "none.json"], ["--start-with: none.json: no such file", "DARTS_V2"]),
        ([*ZOO, "--trials", "2", "--start-with", "DARTS_V2"], ["--start-with: DARTS_V2 is a network of darts, and the search is in zoo"]),
        (
            [*ZOO, "--trials", "2", "--start-with", "resnet50"],
            ["--start-with: resnet50 is outside of what is searched with --preset quick", "legal: one of 'squeezenet1_1'"],
        ),
        ([*ZOO[:-2], "--start-with", "squeezenet1_1"], ["the default configuration, squeezenet1_1", "--trials 1 is too few"]),
        (["--space", "darts", "--strategy", "darts", "--start-with", "DARTS_V2"], ["darts trains one supernet", "leave out --start-with"]),
        (["--retrain", "DARTS_V2", "--start-with", "DARTS_V1"], ["--start-with is for searches and has no use with --retrain"]),
        ([*ZOO, "--workers", "0"], ["--workers", "'0'", "from 1 to"]),
        ([*ZOO, "--concurrency", "2"], ["--concurrency is for trial commands; for parallel trainings, use --workers", "--workers"]),
        (["--space", "darts", "--strategy", "darts", "--workers", "2"], ["darts trains one supernet", "leave out --workers"]),
        (["--retrain", "DARTS_V2", "--workers", "2"], ["--workers is for searches and has no use with --retrain"]),
        ([*ZOO, "--recipe", "slow"], ["unknown recipe 'slow'", "fast"]),
        ([*ZOO, "--initial_lr", "-0.1"], ["initial_lr: -0.1", "more than 0"]),
        ([*ZOO, "--set", "stem=huge"], ["stem", "'huge'", "own", "small"]),
        ([*ZOO, "--set", "stern=own"], ["unknown label 'stern'", "stem"]),
        (["--space", "darts", "--strategy", "tpe", "--set", "normal/inputs_3=[0]"], ["normal/inputs_3", "[0]", "a list of 2"]),
        (["--space", "darts", "--strategy", "tpe", "--set", "normal/inputs_3=0"], ["normal/inputs_3", "instead of a list"]),
        (["--space", "darts", "--strategy", "darts", "--set", "normal/edge_0_2=skip_connect"], ["none can be fixed", "normal/edge_0_2"]),
        (["--space", "darts", "--strategy", "darts", "--trials", "40"], ["darts trains one supernet", "leave out --trials"]),
        ([*ZOO, "--recipe", ""], ["--recipe is empty", "leave it out"]),
        ([*ZOO, "--data-dir", ""], ["--data-dir: the path is empty", "leave it out"]),
        ([*ZOO, "--out", ""], ["--out: the path is empty", "leave it out"]),
        ([*ZOO, "--start-with", ""], ["--start-with is empty", "leave it out"]),
        (
            ["--retrain", "resnet18", "--set", "colour=null"],
            ["--set colour: ", "retraining keeps the architecture", ": stem, init"],
        ),
        (
            ["--retrain", "convnet32", "--set", "wdth=16"],
            ["--set wdth: did you mean width?", ": width, depth, "],
        ),
        ([*ZOO, "--epochs", "9" * 20], ["--epochs", "from 1 to 999,999,999"]),
        ([*ZOO, "--set", "optimizer=" + "[" * 5000], ["optimizer", "is not one of sgd"]),
        (["--retrain", f"Genotype({'x' * 300})"], ["Genotype(xx", "no such file", "DARTS_V2"]),
        ([*TPE, "--order", "2"], ["tpe trains no supernet", "leave out --order"]),
        (["--space", "darts", "--strategy", "spos", "--order", "2"], ["spos reads no architecture off alphas: leave out --order"]),
        ([*TPE, "--cost-weight", "0.4"], ["tpe trains no supernet", "leave out --cost-weight"]),
        (["--space", "darts", "--strategy", "darts", "--cost-weight", "-1"], ["--cost-weight", "'-1' is not a number of at least 0"]),
        (["--space", "darts", "--strategy", "darts", "--cost-weight", "inf"], ["--cost-weight", "'inf' is not a number of at least 0"]),
        (
            ["--space", "darts", "--strategy", "darts", "--order", "2", "--recipe", "fast"],
            ["--order 2 works with SGD only, not with muon", "--set optimizer=sgd"],
        ),
        (
            ["--space", "darts", "--strategy", "darts", "--set", "crop_padding=2"],
            ["supernet training does not use crop_padding", "leave it out of --set"],
        ),
        (["--space", "zoo", "--strategy", "tpe", "--dataset", "nowhere"], ["nowhere"]),
        ([*TPE, "--dataset", "nowhere"], ["nowhere", "does not exist"]),
        ([*TPE, "--device", "abacus"], ["abacus", "cpu"]),
        ([*TPE, "--device", "meta"], ["meta", "cpu"]),
        ([*TPE, "--set", "cutout=1e300"], ["cutout", "1024"]),
        ([*TPE, "--set", "cutmix=1e300"], ["cutmix", "1024"]),
        (["--retrain", "resnet18", "--evaluator", "train2"], ["--evaluator", "is for searches and has no use with --retrain"]),
        ([*TPE, "--precision", "float8"], ["float8", "bfloat16"]),
        (["--retrain", "DARTS_V2", *SMALL, "--precision", "float8"], ["float8", "bfloat16"]),
        (["--space", "darts", "--strategy", "darts", "--set", "alpha_lr=fast"], ["alpha_lr", "'fast'", "above 0"]),
        (["--space", "zoo", "--strategy", "tpe", "--device", "abacus"], ["abacus", "cpu"]),
        (["--retrain", "nothing.json"], ["nothing.json", "DARTS_V2"]),
        (["--retrain", "."], [". is a folder", "best.json"]),
        (["--retrain", "DARTS_V3"], ["DARTS_V3", "DARTS_V2"]),
        (["--retrain", "DARTS_V2", "--set", "normal/edge_0_2=none"], ["normal/edge_0_2", "initial_lr"]),
        (["--retrain", "DARTS_V2", "--set", "width=abc"], ["width: 'abc'", "a whole number from 2 to 256"]),
        (["--retrain", "DARTS_V2", "--set", "num_nodes=3"], ["--set num_nodes: ", "retraining keeps the architecture", "width"]),
        (["--retrain", "DARTS_V2", "--set", "widht=8"], ["--set widht: did you mean width?", "what can be set: width, num_cells"]),
        (["--space", "darts", "--strategy", "darts", "--set", "num_cells=2"], ["num_cells: 2", "from 3 to 100"]),
        (["--space", "darts", "--strategy", "darts", "--set", "none=1"], ["none: 1", "one of False, True"]),
        (["--space", "darts", "--strategy", "darts", "--set", "cells=4"], ["unknown label 'cells'", "num_cells"]),
        (["--retrain", "resnet19"], ["resnet19", "resnet18"]),
        (["--retrain", "resnet18", "--set", "width=16"], ["--set width has no effect on resnet18: leave it out"]),
        (["--model", "resnet18", "--epochs", "30"], ["--retrain resnet18", "--strategy hpo --model resnet18"]),
        (["--report", "runs/none"], ["runs/none", "no run to report"]),
        (["--retrain", "resnet18", "--set", "stem=tiny"], ["stem", "tiny", "'own', 'small'"]),
        (["--retrain", "resnet18", "--model", "resnet50"], ["backbone", "initial_lr"]),
    ],
)
def test_usage(capsys: pytest.CaptureFixture[str], arguments: list[str], words: list[str]) -> None:
    line = fails(capsys, *arguments)
    assert all(word in line for word in words), line
    assert list(Path().iterdir()) == [], "nothing is left behind"


def best_document() -> dict[str, Any]:
    return {
        "format": "retiarius-architecture",
        "version": 1,
        "space": {"name": "darts", "arguments": {"width": 4, "num_cells": 5}},
        "architecture": architecture_from_genotype(GENOTYPES["DARTS_V2"]),
        "hyperparameters": {"initial_lr": 0.025, "optimizer": "sgd"},
        "score": None,
        "dataset": {},
        "strategy": {},
        "seed": 0,
        "parameters": None,
        "flops": None,
        "created": "",
        "versions": {},
    }


def with_changes(**changes: Any) -> str:
    return json.dumps({**best_document(), **changes})


def with_architecture(**changes: Any) -> str:
    architecture = {**architecture_from_genotype(GENOTYPES["DARTS_V2"]), **changes}
    return with_changes(architecture={label: value for label, value in architecture.items() if value is not None})


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (with_changes()[:200], ["best.json", "JSON"]),
        (with_changes(version=2), ["version 2", "reads version 1"]),
        (with_architecture(**{"normal/edge_9_9": "skip_connect"}), ["normal/edge_9_9", "closest known: normal/edge_"]),
        (with_architecture(**{"normal/edge_0_2": "conv_7x7"}), ["best.json", "normal/edge_0_2", "conv_7x7", "skip_connect"]),
        (with_architecture(**{"normal/edge_0_2": None}), ["normal/edge_0_2", "missing"]),
        (with_architecture(**{"normal/inputs_2": "01"}), ["normal/inputs_2", "instead of a list"]),
        (with_changes(space={"name": "mars", "arguments": {}}), ["unknown space 'mars'"]),
        (with_changes(space={"name": "darts", "arguments": {"wings": 2}}), ["wings"]),
        (with_changes(hyperparameters={"initial_lr": -1}), ["best.json", "initial_lr", "-1"]),
        (with_changes(hyperparameters={"initial_lr": 0.025}), ["best.json", "the hyperparameters"]),
        (with_changes(hyperparameters={"batch_size": 1e308, "optimizer": "sgd"}), ["best.json", "batch_size", "at most 100000"]),
        (with_changes(space={"name": "darts", "arguments": {"num_cells": 2000}}), ["best.json", "num_cells: 2000", "from 3 to 100"]),
        (with_changes(space={"name": "x" * 990_000, "arguments": {}}), ["best.json", "unknown space 'xxx"]),
        (with_changes(hyperparameters={"optimizer": "x" * 990_000}), ["best.json", "optimizer"]),
        (with_changes(hyperparameters={"warp": 9}), ["best.json", "warp"]),
        ("x" * 1_100_000, ["best.json"]),
        ("[]", ["best.json"]),
        ("", ["best.json"]),
    ],
)
def test_best_json(capsys: pytest.CaptureFixture[str], content: str, words: list[str]) -> None:
    Path("best.json").write_text(content)
    line = fails(capsys, "--retrain", "best.json", *SMALL)
    assert all(word in line for word in words), line
    assert len(line) < 500
    assert Path("best.json").read_text() == content
    assert not Path("runs").exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_no_write_permission(capsys: pytest.CaptureFixture[str]) -> None:
    Path("locked").mkdir(mode=0o500)
    assert "locked" in fails(capsys, *ZOO, "--out", "locked/run")


def test_out_under_a_file(capsys: pytest.CaptureFixture[str]) -> None:
    Path("file").write_text("")
    assert "file" in fails(capsys, *ZOO, "--out", "file/run")


@pytest.mark.parametrize(("layout", "words"), [("missing", "does not exist"), ("empty", "train/"), ("text", "a.png"), ("no test", "test/")])
def test_data_folders(capsys: pytest.CaptureFixture[str], layout: str, words: str) -> None:
    folder = Path("images")
    if layout != "missing":
        folder.mkdir()
    if layout == "text":
        for place in ("train/cat", "train/dog", "test/cat", "test/dog"):
            (folder / place).mkdir(parents=True)
            (folder / place / "a.png").write_text("not an image")
    if layout == "no test":
        (folder / "train" / "cat").mkdir(parents=True)
    assert words in fails(capsys, "--space", "zoo", "--strategy", "tpe", "--dataset", "./images")


def test_a_file_that_leaves_choices_open_which_have_no_default(capsys: pytest.CaptureFixture[str]) -> None:
    Path("lr.json").write_text('{"initial_lr": {"_type": "loguniform", "_value": [0.001, 0.1]}}')
    said = fails(capsys, "--space", "darts", "--strategy", "tpe", *SMALL, "--search-space", "lr.json")
    assert said == "darts has no default for normal/edge_0_2 and 33 more, which this search does not choose: set it by --set"


def test_a_hyperparameter_that_no_training_has(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ZooSpace, "hyperparameters", staticmethod(lambda: {"dropout": Categorical([0.1, 0.2], label="dropout")}))
    assert "zoo: trainings have no hyperparameter 'dropout'; known: initial_lr, " in fails(capsys, *ZOO)


def test_hpo_of_a_space_without_a_default(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ZooSpace, "default_architecture", staticmethod(lambda: None))
    said = fails(capsys, "--space", "zoo", "--strategy", "hpo", *SMALL)
    assert said.startswith("zoo has no default for ")


def test_another_evaluator_for_a_supernet(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(EVALUATORS, "mine", EvaluatorEntry("fake_evaluators:score_by_rate", "none"))
    said = fails(capsys, "--space", "darts", "--strategy", "darts", *SMALL, "--evaluator", "mine")
    assert "takes no evaluator: leave out --evaluator mine" in said
