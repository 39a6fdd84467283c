"""``--evaluator supernet``: trials that are scored by the weights of a supernet that another run has trained."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from few_digits import use_few_digits

import retiarius as rt
from records.trials import TrialLog
from run_experiment import main

SMALL = ["--set", "width=2", "--set", "cells=1"]
HERE = ["--dataset", "digits", "--device", "cpu", "--precision", "float32"]
SEARCH = ["--space", "nasbench201", *SMALL, *HERE]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of a one-shot run."""
    with pytest.MonkeyPatch.context() as patch:
        use_few_digits(patch)
        folder = tmp_path_factory.mktemp("supernets") / "run"
        assert main([*SEARCH, "--strategy", "gdas", "--epochs", "1", "--seed", "3", "--out", str(folder)]) == 0
        yield folder


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(trained, "run")


def scores_of(folder: str) -> list[tuple[str, float | None]]:
    return [(json.dumps(trial.architecture, sort_keys=True), trial.score) for trial in TrialLog(Path(folder) / "trials.jsonl").read()]


@pytest.mark.slow
def test_any_strategy_by_trials_searches_by_inherited_weights(capsys: pytest.CaptureFixture[str]) -> None:
    search = [*SEARCH, "--evaluator", "supernet", "--supernet-weights", "run", "--max-params", "2000"]
    assert main([*search, "--strategy", "evolution", "--trials", "4", "--out", "found"]) == 0
    told = capsys.readouterr().out
    assert "validation accuracy by inherited weights" in told
    best = json.loads(Path("found/best.json").read_text())
    trials = TrialLog(Path("found/trials.jsonl")).read()
    score = {"metric": "validation accuracy by inherited weights", "value": max(trial.score or 0.0 for trial in trials)}
    assert best["score"] == score and best["parameters"] <= 2_000
    assert all(trial.parameters is not None and trial.parameters <= 2_000 and not trial.hyperparameters for trial in trials)

    assert main([*search, "--strategy", "evolution", "--trials", "4", "--out", "again"]) == 0
    assert scores_of("again") == scores_of("found"), "a seed has one result"
    assert main([*search, "--strategy", "evolution", "--trials", "5", "--resume", "--out", "found"]) == 0
    assert scores_of("found")[:4] == scores_of("again") and len(scores_of("found")) == 5
    assert main(["--report", "found"]) == 0
    assert "validation accuracy by inherited weights" in Path("found/report.html").read_text()


@pytest.mark.slow
def test_from_python_with_settings_of_the_scoring() -> None:
    told = {"data": "digits", "device": "cpu", "precision": "float32", "seed": 3, "trials": 2, "supernet_weights": "run"}
    found = rt.search("nasbench201", rt.Random(), fixed={"width": 2, "cells": 1, "validation_images": 10}, out="found", **told)  # type: ignore[arg-type]
    assert all(round(10 * (trial.score or 0.0), 9).is_integer() for trial in found.trials), "shares of ten images"
    assert found.record.metric.percent and found.record.metric.name == "validation accuracy by inherited weights"
    again = rt.search("nasbench201", rt.Random(), fixed={"width": 2, "cells": 1}, out="more", **told)  # type: ignore[arg-type]
    assert [trial.score for trial in again.trials] != [trial.score for trial in found.trials]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--evaluator", "supernet"], "--evaluator supernet needs the run that trained the supernet: set --supernet-weights"),
        (["--evaluator", "zero_cost", "--supernet-weights", "run"], "--supernet-weights needs --evaluator supernet"),
        (["--supernet-weights", "run", "--epochs", "2"], "supernet trains nothing: leave out --epochs"),
        (["--supernet-weights", "run", "--jobs", "2"], "by which a trial takes seconds: leave it out"),
        (["--supernet-weights", "run", "--set", "statistics_images=0.5"], "statistics_images: 0.5 is not a whole number of at least 1"),
        (["--supernet-weights", "nowhere"], "nowhere/config.json"),
        (
            ["--supernet-weights", "run", "--set", "width=4"],
            "run was not trained as this search needs it, of the same space and arguments: ",
        ),
        (["--supernet-weights", "run", "--strategy", "darts"], "darts trains a supernet and takes no evaluator"),
    ],
)
def test_what_it_does_not_go_with(words: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    search = ["--space", "nasbench201", *HERE, "--strategy", "random", "--trials", "2", "--out", "found"]
    own = words if "width=4" in words else [*words, *SMALL]
    assert main([*search, *own]) == 2
    error = capsys.readouterr().err
    assert told in error and error.count("\n") == 1
    assert not Path("found").exists()


def refused(capsys: pytest.CaptureFixture[str]) -> str:
    assert main([*SEARCH, "--strategy", "random", "--trials", "2", "--supernet-weights", "run", "--out", "found"]) == 2
    return capsys.readouterr().err


def test_a_run_without_a_supernet_of_these_images_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    config = json.loads(Path("run/config.json").read_text())
    config["identity"]["dataset"]["fingerprint"] = "0"
    Path("run/config.json").write_text(json.dumps(config))
    assert "on the same images: fingerprint was '0'" in refused(capsys)
    config["identity"]["strategy"] = "tpe"
    Path("run/config.json").write_text(json.dumps(config))
    assert "run is a run of tpe, which has no supernet" in refused(capsys)


def test_a_checkpoint_that_is_missing_or_of_another_supernet_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    config = json.loads(Path("run/config.json").read_text())
    config["identity"]["--supernet"] = "stock"
    Path("run/config.json").write_text(json.dumps(config))
    assert "these weights are not of this supernet" in refused(capsys)
    Path("run/checkpoints/supernet.ckpt").unlink()
    assert "the supernet of run has no epoch behind it" in refused(capsys)
    Path("run/checkpoints/stage_1").mkdir()
    assert "the supernets of run have parts of the space; name a run of one, such as of darts" in refused(capsys)
