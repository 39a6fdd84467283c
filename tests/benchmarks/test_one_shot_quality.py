"""The benchmark of one-shot methods: what it looks up, what it keeps, and how it goes on."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from bright_bars import make_data
from nasbench201_table import BEST, MIXED, write_made_up

import retiarius as rt
from benchmarks import one_shot_quality
from benchmarks.one_shot_quality import METHODS, Run, Size, accuracy_of, as_far, read_runs, run_all, seconds_of, summarize
from evaluators.table import load_table
from records.lines import append_document, read_lines

TINY = Size(width=2, epochs=2, batch_size=20)


def a_run(method: str, seed: int, accuracy: float) -> Run:
    return Run(method, seed, asdict(TINY), {}, 1.5, accuracy, 0.5, [accuracy], {}, {})


def test_accuracies_are_the_tables_in_percent(tmp_path: Path) -> None:
    table = load_table(write_made_up(tmp_path / "table.csv.gz"), dataset="cifar10")
    assert (accuracy_of(table, BEST), accuracy_of(table, MIXED)) == (pytest.approx(67), pytest.approx(47))
    runs = [a_run("gdas", 1, 50.0), a_run("gdas", 0, 47.0), a_run("darts", 0, 7.0)]
    told = summarize(runs, table)
    assert told["methods"]["gdas"] == {"test_accuracy": [47.0, 50.0], "mean": 48.5, "std": 2.12, "seconds": [1.5, 1.5]}
    assert told["methods"]["darts"]["std"] == 0.0
    assert told["all_cells"]["mean"] == pytest.approx(7 + 10 * 6 / 5) and told["all_cells"]["best"] == 67.0


@pytest.mark.slow
def test_finished_searches_are_kept_and_not_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table, path = load_table(write_made_up(tmp_path / "table.csv.gz"), dataset="cifar10"), tmp_path / "quality.jsonl"
    gdas = {"gdas": METHODS["gdas"]}
    found = run_all(table, gdas, 1, TINY, make_data(), path)
    (run,) = found
    assert read_runs(path) == found
    convolutions = list(run.architecture.values()).count("nor_conv_3x3")
    assert (run.test_accuracy, len(run.curve), run.curve[-1]) == (pytest.approx(10 * convolutions + 7), 2, run.test_accuracy)
    assert 0 <= run.worse < 1 and run.settings["sampler"] == "gumbel"
    (folder,) = (tmp_path / "quality").iterdir()
    assert run.seconds == seconds_of(read_lines(folder / "epochs.jsonl")) and run.seconds is not None and run.seconds > 0
    with path.open("a") as file:
        file.write('{"method": "cut')

    append_document(path, asdict(a_run("darts", 0, 1.0)))
    assert read_runs(path) == [run, a_run("darts", 0, 1.0)]

    def again(*_: Any) -> Run:
        raise AssertionError("searched again")

    monkeypatch.setattr(one_shot_quality, "search", again)
    assert run_all(table, gdas, 1, TINY, None, path) == found
    with pytest.raises(AssertionError, match="searched again"):
        run_all(table, {"gdas": rt.GDAS(temperatures=(5, 1))}, 1, TINY, None, path)
    with pytest.raises(AssertionError, match="searched again"):
        run_all(table, gdas, 1, replace(TINY, epochs=3), None, path)


def test_the_seconds_are_those_of_all_epochs_or_unknown() -> None:
    assert seconds_of([{"seconds": 1.26}, {"seconds": 2.0}]) == 3.3
    assert seconds_of([{"seconds": 1.26}, {}]) is None, "an epoch of an earlier version"


def test_every_method_is_named_once() -> None:
    assert len({repr(strategy) for strategy in METHODS.values()}) == len(METHODS)


def test_alphas_can_go_as_far_as_the_authors() -> None:
    assert as_far(METHODS["drnas"]) == rt.DrNAS(alpha_lr="auto")
    assert as_far(METHODS["p_darts"]) == rt.PDarts(alpha_lr="auto")
    assert as_far(METHODS["spos"]) == METHODS["spos"], "it has no alphas"
