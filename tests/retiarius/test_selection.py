"""Selections of one-shot searches from the command line to the report, and that an interrupted one is resumed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from bright_bars import make_data
from command_line import in_a_folder_of_its_own_with_few_digits  # noqa: F401
from small_supernets import PlainSpace

import retiarius as rt
from run_experiment import main

HERE = ["--dataset", "digits", "--device", "cpu", "--precision", "float32"]
SEARCH = ["--space", "nasbench201", "--strategy", "drnas", "--set", "width=2", "--set", "cells=1", "--epochs", "1", *HERE]
EVOLUTION = ["--set", "population=4", "--set", "generations=2"]


def best_of(folder: str) -> dict[str, Any]:
    best: dict[str, Any] = json.loads(Path(folder, "best.json").read_text())
    return {name: best[name] for name in ("architecture", "score", "strategy")}


def cut(path: Path, lines: int) -> None:
    """Leave so many lines of a file, and half of the next one, as a killed process does."""
    whole = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(whole[:lines]) + whole[lines][: len(whole[lines]) // 2])


@pytest.mark.slow
def test_the_best_by_inherited_weights_are_trained_and_nothing_is_done_twice(capsys: pytest.CaptureFixture[str]) -> None:
    search = [*SEARCH, *EVOLUTION, "--set", "selection=trained", "--set", "trained_networks=3", "--set", "trained_epochs=2"]
    assert main([*search, "--out", "run"]) == 0
    assert "the 3 best networks by inherited weights are trained alone, 2 epochs each: run/finals.jsonl" in capsys.readouterr().out
    best, told = best_of("run"), best_of("run")["strategy"]["selected"]
    scored = {line["scored"]: line["accuracy"] for line in map(json.loads, Path("run/selection.jsonl").read_text().splitlines())}
    finals = [json.loads(line) for line in Path("run/finals.jsonl").read_text().splitlines()]
    assert len(scored) == 8 and len(finals) == 3
    assert told["by"] == best["strategy"]["selection"] == "trained" and len(told["top"]) == 5
    assert [row["inherited_accuracy"] for row in told["top"]] == sorted(scored.values(), reverse=True)[:5]
    assert [row["architecture"] for row in told["trained"]] == [row["architecture"] for row in told["top"][:3]]
    winner = max(finals, key=lambda line: line["score"])
    assert best["architecture"] == winner["architecture"]
    assert best["score"] == {"metric": "validation accuracy", "value": winner["score"], "epochs": 2}
    assert main(["--report", "run"]) == 0
    page = Path("run/report.html").read_text()
    assert "How the architecture was selected" in page and "by a short training" in page

    shutil.copytree("run", "killed")
    Path("killed/best.json").unlink()
    cut(Path("killed/selection.jsonl"), 5)
    cut(Path("killed/finals.jsonl"), 1)
    assert main([*search, "--resume", "--out", "killed"]) == 0
    assert best_of("killed") == best
    for name in ("selection.jsonl", "finals.jsonl"):
        lines = [Path(folder, name).read_text().splitlines() for folder in ("run", "killed")]
        kept = 5 if name == "selection.jsonl" else 1
        assert lines[0][:kept] == lines[1][:kept] and len(lines[0]) == len(lines[1]), "what was done is not done again"
    assert main([*search, "--set", "population=6", "--resume", "--out", "killed"]) == 2
    assert "population" in capsys.readouterr().err


@pytest.mark.slow
def test_limits_of_size_hold_for_what_is_selected(capsys: pytest.CaptureFixture[str]) -> None:
    search = [*SEARCH, *EVOLUTION, "--set", "selection=inherited"]
    assert main([*search, "--out", "free"]) == 0
    sizes = ("parameters", "flops")
    free = json.loads(Path("free/best.json").read_text())
    limits = [word for flag, name in zip(("--max-params", "--max-flops"), sizes, strict=True) for word in (flag, str(free[name] - 1))]
    assert main([*search, *limits, "--out", "small"]) == 0
    small = json.loads(Path("small/best.json").read_text())
    assert all(small[name] < free[name] for name in sizes)
    assert len(Path("small/selection.jsonl").read_text().splitlines()) == 8
    assert main([*search, *limits, "--out", "small", "--resume"]) == 0
    assert best_of("small")["architecture"] == small["architecture"]
    capsys.readouterr()
    assert main([*search, "--max-params", "1", "--out", "none"]) == 2
    error = capsys.readouterr().err
    assert "proposed networks are too large; the closest to the limit has" in error and error.count("\n") == 1
    assert not Path("none/epochs.jsonl").exists(), "nothing was trained"


@pytest.mark.slow
def test_the_score_of_single_paths_is_that_of_the_network_that_was_found() -> None:
    told: dict[str, Any] = {"data": "digits", "device": "cpu", "precision": "float32", "fixed": {"width": 2, "cells": 1}}
    found = rt.search("nasbench201", rt.SPOS(), epochs=1, out="run", **told)
    best = best_of("run")
    top = best["strategy"]["selected"]["top"]
    assert best["strategy"]["selected"]["by"] == "draws" and len(top) == 5 and top[0]["architecture"] == best["architecture"]
    assert best["score"] == {"metric": "supernet validation accuracy", "value": top[0]["inherited_accuracy"], "epochs": 1}
    assert [row["inherited_accuracy"] for row in top] == sorted((row["inherited_accuracy"] for row in top), reverse=True)
    assert best["score"]["value"] != found.epochs[0]["validation_accuracy"], "which is that of many networks"
    assert "The best of some random networks" in found.report().read_text()


@pytest.mark.slow
def test_perturbation_from_python_and_what_best_json_says() -> None:
    strategy = rt.DrNAS(selection="perturbation", tuning_epochs=1, validation_images=60)
    told: dict[str, Any] = {"data": "digits", "device": "cpu", "precision": "float32", "fixed": {"width": 2, "cells": 1}}
    found = rt.search("nasbench201", strategy, epochs=1, out="run", **told)
    best = best_of("run")
    assert [epoch["number"] for epoch in found.epochs] == [1, 2, 3, 4, 5, 6], "an epoch of tuning after each of five choices"
    (only,) = best["strategy"]["selected"]["top"]
    assert only["architecture"] == best["architecture"] == found.best.record.architecture
    assert best["score"] == {"metric": "validation accuracy by inherited weights", "value": only["inherited_accuracy"], "epochs": 6}
    assert round(60 * only["inherited_accuracy"], 6).is_integer()
    assert best["strategy"]["selected"]["by"] == "perturbation"


@pytest.mark.slow
def test_a_cell_of_darts_is_selected_by_perturbation() -> None:
    sizes = ("width=2", "num_cells=3", "num_nodes=1", "statistics_images=20", "validation_images=50", "tuning_epochs=0")
    small = [word for size in sizes for word in ("--set", size)]
    search = ["--space", "darts", "--strategy", "sdarts", "--set", "selection=perturbation", "--epochs", "1", *small, *HERE]
    assert main([*search, "--out", "run"]) == 0
    assert best_of("run")["score"]["metric"] == "validation accuracy by inherited weights"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--set", "selection=best"], "unknown selection 'best'; known: strongest, perturbation, inherited, trained"),
        (["--strategy", "darts", "--set", "selection=inherited"], "selection"),
        (["--strategy", "random", "--set", "selection=inherited"], "selection"),
        (["--max-params", "3M"], "drnas: --max-params needs `selection='inherited'` or 'trained', which score whole networks"),
        (["--strategy", "darts", "--max-params", "3M"], "darts trains one supernet and runs no trials: leave out --max-params"),
        (
            ["--set", "selection=inherited", "--max-params", "3M", "--screen", "3", "--workers", "2"],
            "drnas trains one supernet and runs no trials: leave out --screen, --workers",
        ),
    ],
)
def test_what_is_refused(words: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*SEARCH, *words, "--out", "run"]) == 2
    error = capsys.readouterr().err
    assert told in error and error.count("\n") == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("space", "strategy", "fixed"),
    [("darts", rt.PCDarts, {"width": 4, "num_cells": 3, "num_nodes": 2, "batch_size": 20}), (PlainSpace, rt.DrNAS, {"batch_size": 20})],
    ids=["weighed edges", "mixed inputs"],
)
def test_the_nearest_are_trained_where_inputs_have_weights_too(space: Any, strategy: Any, fixed: dict[str, Any]) -> None:
    chosen = strategy(selection="nearest", trained_networks=2, trained_epochs=1)
    found = rt.search(space, chosen, data=make_data(), epochs=1, out="run", fixed=fixed, device="cpu", precision="float32")
    first, second = (row["architecture"] for row in best_of("run")["strategy"]["selected"]["top"])
    assert sum(first[label] != second[label] for label in first) == 1 and found.best.choices in (first, second)


@pytest.mark.slow
def test_the_nearest_to_what_is_read_off_are_trained(capsys: pytest.CaptureFixture[str]) -> None:
    nearest = ["--set", "selection=nearest", "--set", "trained_networks=4", "--set", "trained_epochs=2", "--cost-weight", "0.1"]
    assert main([*SEARCH, *nearest, "--out", "run"]) == 0
    assert "the 4 nearest networks by the alphas are trained alone, 2 epochs each" in capsys.readouterr().out
    told, (epoch,) = best_of("run")["strategy"]["selected"], map(json.loads, Path("run/epochs.jsonl").read_text().splitlines())
    top = [row["architecture"] for row in told["top"]]
    assert top[0] == epoch["sample"] and len(top) == 4, "what is read off comes first"
    assert all(sum(other[label] != top[0][label] for label in top[0]) == 1 for other in top[1:])
    winner = max(told["trained"], key=lambda row: row["validation_accuracy"])
    assert best_of("run")["architecture"] == winner["architecture"] and len(told["trained"]) == 4
    assert main(["--report", "run"]) == 0 and "the nearest first" in Path("run/report.html").read_text()

    shutil.copytree("run", "killed")
    Path("killed/best.json").unlink()
    cut(Path("killed/finals.jsonl"), 2)
    assert main([*SEARCH, *nearest, "--resume", "--out", "killed"]) == 0
    assert best_of("killed") == best_of("run")
