"""``make verify``: a claim that holds, one that does not, one that cannot be checked, and what is expected."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from benchmark_program import run_benchmark
from nasbench201_table import REAL, needs_the_real_one

from benchmarks import retrain, verify
from benchmarks.record import RecordFault, read_record
from benchmarks.verify import Finding, Skipped, examine, recorded, show


def test_a_claim_that_cannot_be_measured_has_failed_and_a_skipped_one_has_not() -> None:
    def fail() -> Finding:
        raise RecordFault("exit status 1: a benchmark")

    def skip() -> Finding:
        raise Skipped("no table")

    findings = [examine("a", lambda: Finding("", "1", "2", True)), examine("b", fail), examine("c", skip)]
    assert findings == [
        Finding("a", "1", "2", True),
        Finding("b", "-", "failed: exit status 1: a benchmark", False),
        Finding("c", "-", "skipped: no table", None),
    ]
    assert [line.split()[-1] for line in show(findings).splitlines()] == ["ok", "yes", "NO", "skipped"]


def test_a_slow_step_and_a_bad_network_fail(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    ratios = recorded("search-step-quick", "float32", "ratio")
    accuracy = min(
        min(run["values"]["test_accuracy"])
        for run in read_record("small-network")["runs"]
        if run["values"]["epochs"] == 4 and "test_accuracy" in run["values"]
    )
    assert len(ratios) > 1
    monkeypatch.setattr(verify, "find_cifar10", lambda data_dir: tmp_path)
    for worse, ok in ((0.0, True), (0.5, False)):
        told = {"float32": {"ratio": min(ratios) * (1 - worse)}}
        monkeypatch.setattr(verify, "last_line", lambda command, told=told: told)
        assert verify.check_step(2).ok is ok
        trained: dict[str, Any] = {"plain_test_accuracy": accuracy * (1 - worse)}
        monkeypatch.setattr(verify, "train", lambda words, seed, out, trained=trained: trained)
        assert verify.check_network(tmp_path).ok is ok


def test_other_parameters_than_published_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    (published,) = set(recorded("darts-v2-parameters", "authors"))
    assert 3.3e6 <= published <= 3.35e6
    for ours in (published, published + 1):
        monkeypatch.setattr(verify, "last_line", lambda command, ours=ours: {"authors": published, "ours": ours})
        assert verify.check_parameters().ok is (ours == published)


def test_without_cifar10_the_training_is_skipped(tmp_path: Path) -> None:
    with pytest.raises(Skipped, match=f"no CIFAR-10 in {tmp_path}"):
        verify.check_network(tmp_path)


@needs_the_real_one
@pytest.mark.slow
def test_one_search_of_the_table_finds_the_best_cell() -> None:
    assert verify.check_search(REAL).ok is True


def test_a_table_that_is_not_there_is_refused() -> None:
    done = run_benchmark("verify", "--nasbench", "nowhere.csv")
    assert done.returncode == 2
    assert done.stderr.endswith("error: --nasbench nowhere.csv: there is no such file\n")


def test_a_finished_training_is_not_done_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for seed in (0, 1):
        folder = tmp_path / f"seed-{seed}"
        folder.mkdir()
        told = {
            "epochs": 4,
            "plain_test_accuracy": 0.8,
            "mirrored_test_accuracy": 0.9,
            "seconds": seed,
            "parameters": 7,
            "precision": "float32",
        }
        (folder / "retrained.json").write_text(json.dumps(told))
    monkeypatch.setattr(sys, "executable", "no Python")
    assert retrain.train_all(["convnet32"], [0, 1], tmp_path) == {
        "epochs": 4,
        "test_accuracy": [0.8, 0.8],
        "test_accuracy_mirrored": [0.9, 0.9],
        "seconds": [0, 1],
        "parameters": [7],
        "precision": ["float32"],
    }


@pytest.mark.slow
def test_a_training_by_the_program_is_scored_both_ways(tmp_path: Path) -> None:
    words = ["convnet32", "--set", "width=16", "--epochs", "1", "--dataset", "digits"]
    told = retrain.train_all(words, [0], tmp_path)
    assert 0 < told["test_accuracy"][0] <= 1 and 0 < told["test_accuracy_mirrored"][0] <= 1
