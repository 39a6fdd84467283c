"""Runs and best.json files of the code before its files were moved: they are reported, resumed and retrained."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from golden_compare import assert_same
from golden_inputs import DATA
from golden_runs import DIGITS, OLD_RUNS, SMALL_CELLS, Journey, loose_paths, read_golden, run, surroundings

from run_experiment import main

# Folder, and words of its report.
REPORTED = {
    "table": ("nasbench201", "tpe", "edge_0_1"),
    "trials": ("zoo", "tpe", "convnet32"),
    "one_shot": ("darts", "skip connections"),
    "command": ("python main.py", "initial_lr"),
    "retrain": ("nasbench201", "test accuracy"),
    "retrain_interrupted": ("nasbench201",),
}
SIZES = {"best-darts.json": SMALL_CELLS, "best-zoo.json": ("--set", "batch_size=256"), "best-nasbench201.json": ("--set", "width=2")}


@pytest.mark.parametrize("name", REPORTED)
def test_an_old_run_is_reported(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(DATA / "old_runs" / name, tmp_path / "run")
    assert main(["--report", str(tmp_path / "run")]) == 0
    assert capsys.readouterr().err == "", "all of it could be read"
    page = (tmp_path / "run" / "report.html").read_text()
    for word in REPORTED[name]:
        assert word in page


@pytest.mark.slow
@pytest.mark.parametrize("journey", OLD_RUNS, ids=lambda journey: journey.name)
def test_an_old_run_is_resumed_and_ends_as_it_did(journey: Journey, tmp_path: Path) -> None:
    found = run(journey, tmp_path)
    assert found["has_ended"]
    assert_same(read_golden(journey.name), found, loose_paths(journey))


@pytest.mark.slow
@pytest.mark.parametrize("name", SIZES)
def test_an_old_best_json_is_retrained(name: str, tmp_path: Path) -> None:
    old = json.loads((DATA / name).read_text())
    with surroundings(tmp_path, "compiled"):
        assert main(["--retrain", str(DATA / name), *DIGITS, "--epochs", "1", *SIZES[name], "--out", "run"]) == 0
    result = json.loads((tmp_path / "run" / "retrained.json").read_text())
    assert result["architecture"] == old["architecture"]
    assert result["space"]["name"] == old["space"]["name"]
    assert 0 <= result["test_accuracy"] <= 1
    assert len(result["curve"]) == 1
