"""Nothing is lost: searches that are killed by SIGKILL at random moments and gone on with."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from nasbench201_table import make_rows, write_table
from project import PROJECT, SEARCH_PATH, SUPPORT

from records.best import load_best
from records.lines import EpochLog
from records.run_folder import RunFolder
from records.trials import Trial, TrialLog

PROGRAM = PROJECT / "run_experiment.py"
ENVIRONMENT = {**os.environ, "PYTHONPATH": SEARCH_PATH, "OMP_NUM_THREADS": "1"}


@pytest.mark.slow
def test_fifty_kills_at_random_moments_lose_no_trial_and_double_none(tmp_path: Path) -> None:
    table = write_table(tmp_path / "table.csv.gz", make_rows())
    command = [sys.executable, str(SUPPORT / "kill_search.py"), str(table), "13", "random", "evolution", "tpe", "local"]
    done = subprocess.run(command, cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True, timeout=290)
    assert done.returncode == 0, done.stdout[-500:] + done.stderr


@pytest.mark.slow
def test_the_program_itself_killed_five_times(tmp_path: Path) -> None:
    table = write_table(tmp_path / "table.csv.gz", make_rows())
    search = ["--space", "nasbench201", "--evaluator", "table", "--table", str(table), "--strategy", "random", "--trials", "3000"]
    command = [sys.executable, str(PROGRAM), *search, "--out", "run"]
    log, chance = TrialLog(tmp_path / "run" / "trials.jsonl"), random.Random(0)
    before: list[Trial] = []
    for kill in range(5):
        size, deadline = log.path.stat().st_size if kill else 0, time.monotonic() + 100
        with subprocess.Popen(
            [*command, *(["--resume"] if kill else [])], cwd=tmp_path, env=ENVIRONMENT, stdout=subprocess.DEVNULL
        ) as process:
            while not log.path.exists() or log.path.stat().st_size <= size:
                assert process.poll() is None, "the search ended before it could be killed"
                assert time.monotonic() < deadline
                time.sleep(0.005)
            time.sleep(chance.uniform(0, 0.3))
            process.kill()
        assert process.returncode == -signal.SIGKILL, "it was killed amid its trials"
        trials = log.read()
        assert trials[: len(before)] == before
        assert [trial.number for trial in trials] == list(range(len(trials)))
        if (tmp_path / "run" / "best.json").exists():
            assert load_best(tmp_path / "run" / "best.json").score is not None
        before = trials
    subprocess.run([*command, "--resume"], cwd=tmp_path, env=ENVIRONMENT, check=True, stdout=subprocess.DEVNULL)
    trials = log.read()
    assert trials[: len(before)] == before
    assert len({str(trial.architecture) for trial in trials}) == len(trials) == 3000
    best = load_best(tmp_path / "run" / "best.json")
    assert best.score is not None and best.score["value"] == max(trial.score or 0 for trial in trials)


def test_epochs_of_a_one_shot_search_after_a_power_cut(tmp_path: Path) -> None:
    path = tmp_path / "epochs.jsonl"
    log = EpochLog(path)
    assert log.count() == 0
    for number in (1, 2):
        log.append({"number": number, "loss": 0.5})
    whole = path.read_bytes()
    path.write_bytes(whole[:-5])
    assert log.count() == 1
    log.append({"number": 2, "loss": 0.5})
    assert path.read_bytes() == whole
    path.write_bytes(whole[:-1])
    assert log.count() == 2, "only the line end is missing"
    log.append({"number": 3})
    assert [json.loads(line)["number"] for line in path.read_text().splitlines()] == [1, 2, 3]


def test_what_a_killed_run_was_writing_is_taken_away(tmp_path: Path) -> None:
    out = tmp_path / "run"
    with RunFolder.create(out, space="s", strategy="t") as folder:
        folder.write_config({})
    leftovers = [out / ".best.json.123.tmp", out / "checkpoints" / "supernet.ckpt.partial"]
    for path in leftovers:
        path.write_text("{")
    with RunFolder.create(out, space="s", strategy="t", resume=True):
        assert not any(path.exists() for path in leftovers)
        assert (out / "config.json").exists()
