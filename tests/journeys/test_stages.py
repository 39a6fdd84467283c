"""A search in stages from a shell: killed by SIGKILL in its second stage, resumed, and its network trained."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest
from few_digits import use_few_digits
from noted_epochs import read_epochs
from program import Program, run_program

SEARCH = ["--space", "darts", "--strategy", "p_darts", "--dataset", "digits", "--device", "cpu", "--epochs", "6"]
SEARCH += ["--set", "width=2", "--set", "num_nodes=2", "--set", "batch_size=32", "--set", "stage_cells=[3,4,5]"]


def read(path: str) -> Any:
    return json.loads(Path(path).read_text())


@pytest.mark.slow
def test_a_search_in_stages_killed_in_its_second_stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    use_few_digits(monkeypatch)
    with Program(*SEARCH, "--out", "run") as process:
        process.wait_until(Path("run/checkpoints/stage_2/supernet.ckpt").exists)
        process.kill()
    assert process.returncode == -signal.SIGKILL and not Path("run/best.json").exists()
    for out, more in (("run", ["--resume"]), ("whole", [])):
        done = run_program(*SEARCH, "--out", out, *more)
        assert done.returncode == 0, done.stderr
    assert read_epochs("run") == read_epochs("whole")
    assert [epoch["stage"] for epoch in read_epochs("run")] == [1, 1, 2, 2, 3, 3]
    for name in ("architecture", "score", "strategy", "space"):
        assert read("run/best.json")[name] == read("whole/best.json")[name]
    done = run_program("--report", "run")
    assert done.returncode == 0, done.stderr
    done = run_program("--retrain", "run/best.json", "--epochs", "1", "--device", "cpu", "--set", "width=2", "--out", "final")
    assert done.returncode == 0, done.stderr
    arguments = read("final/retrained.json")["space"]["arguments"]
    assert arguments["num_cells"] == 5 and arguments["num_nodes"] == 2, "the preset's depth, not that of the last supernet's stage"
    done = run_program(*SEARCH[:-1], "stage_cells=[3,4]", "--set", "kept_operations=[3]", "--out", "run", "--resume")
    assert done.returncode == 2
