"""The benchmarks as they are called: the one line of JSON at their end, and what they refuse."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from functools import cache, partial
from pathlib import Path
from typing import Any

import pytest
from benchmark_program import run_benchmark
from bright_bars import make_data

from benchmarks import light_cells
from benchmarks.light_cells import QUICK, distinct, read_cell

PROJECT = Path(__file__).parents[2]


call = partial(run_benchmark, timeout=280)  # they fit models, which takes a minute where nothing else runs


@pytest.mark.slow
def test_training_speed_ends_with_what_it_measured() -> None:
    done = call("training_speed", "--quick", "--networks", "resnet18_own_stem", "--dataset", "digits", "--precision", "float32")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    speeds = told["images_per_second"]["resnet18_own_stem"]
    assert min(speeds["ours"], speeds["lab"]) > 0
    assert speeds["ratio"] == pytest.approx(speeds["ours"] / speeds["lab"], abs=0.02)
    assert told["memory_mib"]["resnet18_own_stem"].keys() == {"ours", "lab"}
    assert told["processor"]
    assert (told["precision"], told["dataset"]) == ("float32", "digits")


@pytest.mark.slow
def test_searches_in_tables_end_with_what_they_found(tmp_path: Path) -> None:
    done = call("any_table", "--quick", "--seeds", "2", "--trials", "8", "--cache", str(tmp_path))
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert (told["seeds"], told["trials"], list(told["tables"])) == (2, 8, ["svm", "boosting"])
    for table, sign in zip(told["tables"].values(), (1, -1), strict=True):
        assert list(table["strategies"]) == ["Optuna's TPE", "tpe", "tpe without order"]
        assert all(sign * found["mean"] <= sign * table["best"] for found in table["strategies"].values())


@pytest.mark.slow
def test_what_the_order_of_numbers_is_worth_ends_with_what_was_found(tmp_path: Path) -> None:
    done = call("ordered_numbers", "--quick", "--seeds", "2", "--trials", "8", "--cache", str(tmp_path))
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert (told["rows"], told["seeds"], list(told["found"])) == (96, 2, ["Optuna's TPE", "tpe"])
    assert all(0.1 < score <= told["best"] for scores in told["found"].values() for score in scores)


@pytest.mark.slow
def test_searches_of_the_zoo_end_with_their_regrets() -> None:
    done = call("zoo_quality", "--quick", "--seeds", "2")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])["digits"]
    best = told.pop("best")
    assert list(told) == [f"{name}, {way}" for name in ("random", "tpe") for way in ("whole", "halving", "priors")]
    for regrets in told.values():
        assert [one["seeds"] for one in regrets.values()] == [2]
        assert all(0 <= one["mean"] <= 100 * best for one in regrets.values())


@pytest.mark.slow
def test_the_ablation_ends_with_an_accuracy_of_each_row() -> None:
    done = call("recipe_ablation", "--quick", "--dataset", "digits", "--width", "8", "--epochs", "1")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert list(told) == ["the recipe", "SGD 0.1, warm-up, decay 5e-4, for Muon"]
    assert all(0 < accuracy <= 1 for accuracy in told.values())


def test_a_goal_is_reached_where_every_seed_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    from benchmarks import training_speed

    def retrain(network: Any, *, epochs: int, seed: int, **others: Any) -> dict[str, Any]:
        return {"test_accuracy": 0.87 + 0.01 * seed, "seconds": 10.0 * epochs + seed}

    monkeypatch.setattr(training_speed, "retrain", retrain)
    monkeypatch.setattr(training_speed, "build_backbone", lambda *arguments, **options: None)
    told = training_speed.time_to(0.87, 4, make_data(), {}, seeds=2)
    assert told == {"epochs": 4, "seconds": 40.5, "test_accuracies": [0.87, 0.88], "reached": True, "flip_averaging": True}
    assert training_speed.time_to(0.875, 4, make_data(), {}, seeds=2)["reached"] is False


def test_cells_are_named_by_search_epoch_and_weight() -> None:
    assert read_cell("1/6/0.8") == (1, 6, 0.8)
    for text in ("1/6", "2/1/0", "0/7/0", "0/1/-1", "0/1/nan", "0/1/inf", "a/1/0"):
        with pytest.raises(argparse.ArgumentTypeError, match="is not SEED/EPOCH/WEIGHT"):
            read_cell(text)


@pytest.mark.slow
def test_one_cell_is_compared_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(light_cells, "derive", cache(light_cells.derive))
    one = (1, 6, 0.8)
    assert distinct([one, one]) == [one]
    assert distinct([one, (1, 6, 0.80001), *QUICK]) == list(dict.fromkeys([one, *QUICK])), "the same cell by another weight"


@pytest.mark.slow
def test_a_cell_cannot_be_kept_where_there_is_no_folder() -> None:
    command = [sys.executable, "benchmarks/light_cells.py", "--keep", "1/6/0.8", "--to", "nowhere/cell.json"]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", "error: --to nowhere/cell.json: there is no folder nowhere\n")


def test_of_nnis_tests_imports_alone_are_replaced() -> None:
    from benchmarks.nni_tests import replace_imports

    text = "from nni.nas.strategy import GridSearch, Random\nfrom nni.nas.execution import SequentialExecutionEngine\nRandom(dedup=True)\n"
    engine = "from nni_stand_ins import SequentialExecutionEngine\n"
    assert replace_imports(text, set()) == text
    assert replace_imports(text, {"nni.nas.execution"}) == text.replace("Engine\n", f"Engine\n{engine}")
    assert "GridSearch, Random\nfrom nni_stand_ins import Random\n" in replace_imports(text, {"nni.nas.strategy"})


def test_nnis_tests_are_asked_for_where_they_are_not(tmp_path: Path) -> None:
    done = call("nni_tests", str(tmp_path))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.endswith(f"{tmp_path} is no checkout of NNI v3.0: there is no test/ut/nas/strategy/test_sanity.py\n")


@pytest.mark.slow
def test_the_engines_end_with_what_a_trial_costs() -> None:
    done = call("engines", "--quick", "--trials", "20")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert {engine: list(figures) for engine, figures in told.items()} == {"in_process": ["overhead_ms"], "ray": ["overhead_ms", "start_s"]}
    assert told["in_process"]["overhead_ms"] < told["ray"]["overhead_ms"] < 1_000
