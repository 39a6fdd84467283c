"""How an error falls, as its benchmark tells it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from program import run_program

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "usual_errors.py"


@pytest.mark.slow
def test_a_finished_training_is_not_repeated(tmp_path: Path) -> None:
    code = f"import runpy, sys\nsys.argv[0] = {str(SCRIPT)!r}\nrunpy.run_path({str(SCRIPT)!r}, run_name='__main__')"
    told = []
    for _ in range(2):
        done = run_program("--quick", "--epochs", "2", "--runs", str(tmp_path), code=code, timeout=280)
        assert done.returncode == 0, done.stderr
        told.append(json.loads(done.stdout.splitlines()[-1]))
    assert told[0] == told[1]
    ((epochs, error),) = told[0]["errors"]
    assert epochs == 2 and 0 < error < 0.9, "it has learned something"
    assert len((tmp_path / "digits-2" / "trials.jsonl").read_text().splitlines()) == 1
