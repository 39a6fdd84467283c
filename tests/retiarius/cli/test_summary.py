"""What a person sees at the end of a run: the table, and a next command that works as it stands."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from report_runs import write_best, write_config

from retiarius.cli.screen import Screen
from retiarius.cli.summary import _many, show_found, show_retrained
from retiarius.results import RetrainResult, SearchResult


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "300")  # no cell of a table is folded


SCORE = {"metric": "validation accuracy", "value": 0.9123, "epochs": 3}
ARCHITECTURE = {"backbone": "vgg16", "stem": "own", "width": 64, "depth": 2}


def found(
    folder: Path,
    hyperparameters: dict[str, Any] | None = None,
    score: dict[str, Any] = SCORE,
    strategy: dict[str, Any] | None = None,
    evaluator: str = "train",
) -> str:
    out = io.StringIO()
    settings = {"space": "zoo", "strategy": "tpe"}
    write_config(folder, settings, {"strategy": "tpe", "evaluator": evaluator})
    write_best(folder, "zoo", "tpe", ARCHITECTURE, hyperparameters or {}, score["value"], trial=0)
    best = json.loads((folder / "best.json").read_text())
    best |= {"score": score, "strategy": strategy or {"name": "tpe"}, "parameters": 1_234_567}
    (folder / "best.json").write_text(json.dumps(best))
    show_found(Screen(out), SearchResult(folder))
    return out.getvalue()


def test_the_end_of_a_search(tmp_path: Path) -> None:
    folder = tmp_path / "my runs"
    text = found(folder)
    assert text.startswith("Best of zoo by tpe on digits\n")
    for words in ("91.23%, epoch 3", "backbone", "vgg16", "1.23 M"):
        assert words in text
    assert text.endswith(f"Next:\n    python run_experiment.py --retrain '{folder}/best.json'\n")


def test_the_next_command_names_the_program_as_it_was_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["../project/run_experiment.py", "--space", "zoo"])

    assert f"    python ../project/run_experiment.py --retrain {tmp_path}/run/best.json\n" in found(tmp_path / "run")


def test_hyperparameters_that_were_searched_are_told(tmp_path: Path) -> None:
    values = {"initial_lr": 0.012345, "optimizer": "adam", "batch_size": 64, "momentum": 0.9}
    lines = found(
        tmp_path, values, strategy={"name": "tpe", "searched": ["backbone", "initial_lr", "optimizer", "batch_size"]}
    ).splitlines()
    assert [line.split() for line in lines[4:7]] == [["initial_lr", "0.0123"], ["optimizer", "adam"], ["batch_size", "64"]]
    assert "momentum" not in found(tmp_path, values, strategy={"name": "tpe", "searched": ["initial_lr"]})


def test_averaging_over_mirror_images_is_named_where_it_was_done(tmp_path: Path) -> None:
    averaged = "validation accuracy, image and mirror image averaged"
    assert averaged in found(tmp_path, {"flip_averaging": True})
    assert averaged not in found(tmp_path, {"flip_averaging": False})
    assert averaged not in found(tmp_path, {"flip_averaging": True}, evaluator="table"), "a table was looked up, nothing was averaged"


@pytest.mark.parametrize(
    ("measured", "plain", "mirrored"),
    [({"plain_test_accuracy": 0.9, "mirrored_test_accuracy": 0.915}, "90.00%", "91.50%"), ({}, "91.50%", "-")],
    ids=["both", "older"],
)
def test_the_end_of_a_retraining_says_both_accuracies(tmp_path: Path, measured: dict[str, float], plain: str, mirrored: str) -> None:
    document: dict[str, Any] = {"test_accuracy": 0.915, "epochs": 30, "parameters": 204_130, "flops": 40_000_000, **measured}
    document |= {"flip_averaging": bool(measured), "seconds": 90.0, "dataset": {"name": "cifar10"}}
    write_config(tmp_path, {"retrain": "best.json"}, {})
    (tmp_path / "retrained.json").write_text(json.dumps(document))
    out = io.StringIO()
    show_retrained(Screen(out), RetrainResult(tmp_path))
    text = out.getvalue()
    assert text.startswith("Retrained on cifar10\n")
    rows = {line.rsplit(maxsplit=1)[0].strip(): line.split()[-1] for line in text.splitlines() if len(line.split()) > 1}
    assert rows["test accuracy, images as they are"] == plain
    assert rows["test accuracy, image and mirror image averaged"] == mirrored
    for words in ("30", "204 k", "40.0 M", "1 min 30 s", "retrained.json"):
        assert words in text


def test_a_number_of_configurations_is_short_however_many_there_are() -> None:
    assert [_many(number) for number in (None, 15_625, 10**12, 2**5000)] == [
        "unlimited (a continuous range)",
        "15,625",
        "1.0e+12",
        "1.4e+1505",
    ]
