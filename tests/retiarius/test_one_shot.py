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
    assert json.loads(Path("auto/best.json").read_text())["strategy"]["alpha_lr"] == "auto"
    assert main([*SEARCH, "--set", "alpha_lr=auto", "--epochs", "2", "--out", "auto", "--resume"]) == 0
    assert f"alphas learn at {rate}" in capsys.readouterr().out
    assert main([*SEARCH, "--set", f"alpha_lr={11.7 / steps}", "--epochs", "2", "--out", "number"]) == 0
    assert "alphas learn" not in capsys.readouterr().out, "who says a number knows it"
    auto, number = (read_alphas(out) for out in ("auto", "number"))
    assert auto == number


def read_alphas(out: str) -> list[Any]:
    return [json.loads(line)["alphas"] for line in Path(out, "epochs.jsonl").read_text().splitlines()]


def test_a_loader_without_a_length_has_no_rate() -> None:
    said: list[str] = []
    context: Any = SimpleNamespace(reporter=SimpleNamespace(say=said.append))
    with pytest.raises(rt.StrategyError, match=r"^alpha_lr: 'auto' needs a data loader that has a length; give a number$"):
        _say_rate(context, Stage(strategy=rt.Darts(alpha_lr="auto"), epochs=1), None)
    _say_rate(context, Stage(strategy=rt.Darts(), epochs=1), None)
    _say_rate(context, Stage(strategy=rt.SPOS(), epochs=1), None)
    assert said == []
