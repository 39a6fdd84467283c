"""How an error falls, as its benchmark tells it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from benchmark_program import run_benchmark


@pytest.mark.slow
def test_a_finished_training_is_not_repeated(tmp_path: Path) -> None:
    told = []
    for _ in range(2):
        done = run_benchmark("usual_errors", "--quick", "--epochs", "2", "--runs", str(tmp_path), timeout=280)
        assert done.returncode == 0, done.stderr
        told.append(json.loads(done.stdout.splitlines()[-1]))
    assert told[0] == told[1]
    ((epochs, error),) = told[0]["errors"]
    assert epochs == 2 and 0 < error < 0.9, "it has learned something"
    assert len((tmp_path / "digits-2" / "trials.jsonl").read_text().splitlines()) == 1
