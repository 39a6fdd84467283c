"""What a person sees at the end of a run: the table, and a next command that works as it stands."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest

from records.best import BestArchitecture
from retiarius.cli.screen import Screen
from retiarius.cli.settings import Settings
from retiarius.cli.summary import show_found, show_retrained

SCORE = {"metric": "validation accuracy", "value": 0.9123, "epochs": 3}


def found(
    hyperparameters: dict[str, Any] | None = None, score: dict[str, Any] = SCORE, strategy: dict[str, Any] | None = None, **settings: Any
) -> str:
    out = io.StringIO()
    architecture = {"backbone": "vgg16"}
    best = BestArchitecture("zoo", {}, architecture, hyperparameters or {}, score, {}, strategy or {}, 0, 1_234_567, None, "", {})
    told: dict[str, Any] = {"dataset": "digits", "words": {"backbone": "vgg16", "of the table": "91.00%"}, "program": "run_experiment.py"}
    show_found(Screen(out), Settings(space="zoo", strategy="tpe", **settings), best, Path("my runs/best.json"), **told)
    return out.getvalue()


def test_the_end_of_a_search() -> None:
    text = found()
    assert text.startswith("Best of zoo by tpe on digits\n")
    for words in ("91.23%, epoch 3", "backbone", "vgg16", "of the table", "91.00%", "1.23 M"):
        assert words in text
    assert text.endswith("Next:\n    python run_experiment.py --retrain 'my runs/best.json' --dataset digits\n")


def test_hyperparameters_that_were_searched_are_told() -> None:
    values = {"initial_lr": 0.012345, "optimizer": "adam", "batch_size": 64, "momentum": 0.9}
    lines = found(values, strategy={"searched": ["backbone", "initial_lr", "optimizer", "batch_size"]}).splitlines()
    assert [line.split() for line in lines[4:7]] == [["initial_lr", "0.0123"], ["optimizer", "adam"], ["batch_size", "64"]]
    assert "momentum" not in found(values, strategy={"searched": ["initial_lr"]})


@pytest.mark.parametrize(
    ("settings", "flags"),
    [
        ({"preset": "lab"}, " --preset lab --dataset digits"),
        ({"dataset": "cifar10", "data_dir": Path("my data")}, " --dataset cifar10 --data-dir 'my data'"),
        ({"table": Path("t.csv"), "preset": "paper"}, " --preset paper"),
    ],
)
def test_the_next_command_repeats_what_it_needs(settings: dict[str, Any], flags: str) -> None:
    assert found(**settings).endswith(f"--retrain 'my runs/best.json'{flags}\n")


def test_averaging_over_mirror_images_is_named_where_it_was_done() -> None:
    averaged = "validation accuracy, image and mirror image averaged"
    assert averaged in found({"flip_averaging": True})
    assert averaged not in found({"flip_averaging": False})
    assert averaged not in found({"flip_averaging": True}, table=Path("t.csv")), "a table was looked up, nothing was averaged"
    of_supernet = {**SCORE, "metric": "supernet validation accuracy"}
    assert "averaged" not in found({"flip_averaging": True}, of_supernet), "its hyperparameters are those of the training to come"


@pytest.mark.parametrize(("averaged", "metric"), [(True, "test accuracy, image and mirror image averaged"), (False, "test accuracy ")])
def test_the_end_of_a_retraining(averaged: bool, metric: str) -> None:
    document: dict[str, Any] = {
        "flip_averaging": averaged,
        "test_accuracy": 0.915,
        "epochs": 30,
        "parameters": 204_130,
        "flops": 40_000_000,
    }
    out = io.StringIO()
    show_retrained(Screen(out), {**document, "seconds": 90.0, "dataset": {"name": "cifar10"}}, Path("retrained.json"))
    text = out.getvalue()
    assert text.startswith("Retrained on cifar10\n")
    for words in (metric, "91.50%", "30", "204 k", "40.0 M", "1 min 30 s", "retrained.json"):
        assert words in text
