"""Nothing is lost: searches that are killed by SIGKILL at random moments and gone on with."""

from __future__ import annotations

import json
import random
import signal
import time
from pathlib import Path

import pytest
from nasbench201_table import make_rows, write_made_up, write_table
from program import Program, run_program

from records.best import load_best
from records.lines import EpochLog
from records.run_folder import RunFolder
from records.trials import Trial, TrialLog


@pytest.mark.slow
def test_fifty_kills_at_random_moments_lose_no_trial_and_double_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    header, *rows = make_rows()
    write_table(Path("table.csv.gz"), [header, *(row for row in rows if row[0].startswith("|none~0|"))])
    kills = "import kill_search; kill_search.kill_searches('table.csv.gz', 13, 'random', 'evolution', 'tpe', 'local')"
    done = run_program(code=kills, timeout=290)
    assert done.returncode == 0, done.stdout[-500:] + done.stderr


@pytest.mark.slow
def test_the_program_itself_killed_five_times(tmp_path: Path) -> None:
    table = write_made_up(tmp_path / "table.csv.gz")
    search = ["--space", "nasbench201", "--evaluator", "table", "--table", str(table), "--strategy", "random", "--trials", "3000"]
    search += ["--out", str(tmp_path / "run")]
    log, chance = TrialLog(tmp_path / "run" / "trials.jsonl"), random.Random(0)
    before: list[Trial] = []
    for kill in range(5):
        size = log.path.stat().st_size if kill else 0
        with Program(*search, *(["--resume"] if kill else [])) as process:
            process.wait_until(lambda size=size: log.path.exists() and log.path.stat().st_size > size)
            time.sleep(chance.uniform(0, 0.3))
            process.kill()
        assert process.returncode == -signal.SIGKILL, "it was killed amid its trials"
        trials = log.read()
        assert trials[: len(before)] == before
        assert [trial.number for trial in trials] == list(range(len(trials)))
        if (tmp_path / "run" / "best.json").exists():
            assert load_best(tmp_path / "run" / "best.json").score is not None
        before = trials
    done = run_program(*search, "--resume")
    assert done.returncode == 0, done.stderr
    trials = log.read()
    assert trials[: len(before)] == before
    assert len({str(trial.architecture) for trial in trials}) == len(trials) == 3000
    best = load_best(tmp_path / "run" / "best.json")
    assert best.score is not None and best.score["value"] == max(trial.score or 0 for trial in trials)


def test_epochs_of_a_one_shot_search_after_a_power_cut(tmp_path: Path) -> None:
    path = tmp_path / "epochs.jsonl"
    log = EpochLog(path)
    assert log.read() == []
    for number in (1, 2):
        log.append({"number": number, "loss": 0.5})
    whole = path.read_bytes()
    path.write_bytes(whole[:-5])
    assert len(log.read()) == 1
    log.append({"number": 2, "loss": 0.5})
    assert path.read_bytes() == whole
    path.write_bytes(whole[:-1])
    assert len(log.read()) == 2, "only the line end is missing"
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
