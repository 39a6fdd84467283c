"""A one-shot search by the program: the rate of its alphas, where that goes by the number of steps."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from command_line import in_a_folder_of_its_own_with_few_digits  # noqa: F401

import retiarius as rt
from retiarius.one_shot import _say_rate
from run_experiment import main
from strategies.stages import Stage

SEARCH = ["--space", "nasbench201", "--strategy", "drnas", "--set", "width=2", "--set", "cells=1", "--dataset", "digits", "--device", "cpu"]


@pytest.mark.slow
def test_the_rate_of_the_alphas_is_said_and_is_that_of_all_epochs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*SEARCH, "--set", "alpha_lr=auto", "--epochs", "2", "--out", "auto"]) == 0
    steps, told = 2 * 1, [line for line in capsys.readouterr().out.splitlines() if line.startswith("alphas learn")]
    rate = f"{11.7 / steps:.3g}"
    assert told == [f"alphas learn at {rate}: in {steps} steps they can go as far as the authors'"]
    told_in_the_record = json.loads(Path("auto/best.json").read_text())["strategy"]
    assert (told_in_the_record["alpha_lr"], told_in_the_record["alpha_rate"]) == ("auto", pytest.approx(11.7 / steps))
    assert main([*SEARCH, "--set", "alpha_lr=auto", "--epochs", "2", "--out", "auto", "--resume"]) == 0
    assert f"alphas learn at {rate}" in capsys.readouterr().out
    assert main([*SEARCH, "--set", f"alpha_lr={11.7 / steps}", "--epochs", "2", "--out", "number"]) == 0
    assert "alphas learn" not in capsys.readouterr().out, "who says a number knows it"
    auto, number = (read_alphas(out) for out in ("auto", "number"))
    assert auto == number


def read_alphas(out: str) -> list[Any]:
    return [json.loads(line)["alphas"] for line in Path(out, "epochs.jsonl").read_text().splitlines()]


def test_what_is_said_of_the_rate() -> None:
    said: list[str] = []
    context: Any = SimpleNamespace(reporter=SimpleNamespace(say=said.append))
    for strategy, steps in (
        (rt.Darts(alpha_lr="auto"), 1_950),
        (rt.Darts(alpha_lr="auto"), 50_000),
        (rt.Darts(), 1_950),
        (rt.SPOS(), 1_950),
    ):
        _say_rate(context, Stage(strategy=strategy, epochs=1), steps)
    assert said == [
        "alphas learn at 0.003: in 1,950 steps they can go as far as the authors'",
        "alphas learn at 0.0003: their authors' rate",
    ]


@pytest.mark.slow
def test_each_stage_has_its_own_rate(capsys: pytest.CaptureFixture[str]) -> None:
    stages = ["--space", "nasbench201", "--strategy", "p_darts", *SEARCH[4:], "--set", "alpha_lr=auto", "--epochs", "4"]
    assert (
        main([*stages, "--set", "stage_cells=[3,4]", "--set", "kept_operations=[2]", "--set", "skip_dropout=[0,0.1]", "--out", "run"]) == 0
    )
    told = [line for line in capsys.readouterr().out.splitlines() if line.startswith("alphas learn")]
    rate = 3.9 / 2
    assert told == 2 * [f"alphas learn at {rate:.3g}: in 2 steps they can go as far as the authors'"], "of the steps of a stage"
    assert json.loads(Path("run/best.json").read_text())["strategy"]["alpha_rate"] == pytest.approx(rate)
    trials = ["--space", "nasbench201", "--strategy", "random", "--trials", "1", "--supernet-weights", "auto", *SEARCH[4:]]
    assert main([*SEARCH, "--set", "alpha_lr=auto", "--epochs", "1", "--out", "auto"]) == 0
    assert main([*trials, "--out", "trials"]) == 0, "its weights serve others"
