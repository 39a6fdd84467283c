"""Kills a search with SIGKILL at random moments and goes on with it, again and again; ends with status 0 where nothing was lost.

Call ``kill_searches`` in an empty folder. The program is imported once and each run is a fork of this process, so that fifty restarts
take seconds. One thread: a fork of a process that has computed with several may hang.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from collections.abc import Sequence
from pathlib import Path

import torch

from evaluators.table import Table
from records.best import load_best
from records.trials import Trial, TrialLog
from run_experiment import main

TRIALS = 300
SEARCH = ["--space", "nasbench201", "--evaluator", "table", "--set", "edge_0_1=none"]  # so that a fifth of the table is read at each start
SECONDS_A_TRIAL = 0.01  # where it is to be killed: a table answers faster than one can kill
AMID_TRIALS = 0.2  # seconds at most that a search goes on with its trials before it is killed
SHARE_OF_STARTS = 0.3  # of the kills: already while the program starts or hears of the trials that are done


longest_start = 0.3  # seconds until a run has a trial of its own, as measured on the way


def start(arguments: Sequence[str], output: Path, pause: float = 0.0) -> int:
    """The process id of a run of the program; what it prints goes to ``output``. Each trial takes ``pause`` seconds more."""
    pid = os.fork()
    if pid:
        return pid
    status = 70
    with contextlib.suppress(BaseException):
        file = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(file, 1)
        os.dup2(file, 2)
        look_up = Table.steps
        Table.steps = lambda *given, **named: (time.sleep(pause), look_up(*given, **named))[1]  # type: ignore[method-assign]
        status = main(arguments)
    os._exit(status)


def run_for(arguments: Sequence[str], folder: Path, chance: random.Random) -> bool:
    """Run the program and kill it at a random moment; whether that was before its end. best.json is looked at again and again."""
    log = folder / "trials.jsonl"
    size, is_started = log.stat().st_size if log.exists() else 0, chance.random() > SHARE_OF_STARTS
    pid, begun = start(arguments, folder.with_suffix(".txt"), SECONDS_A_TRIAL), time.monotonic()
    while is_started and (log.stat().st_size if log.exists() else 0) <= size and time.monotonic() < begun + 60:
        time.sleep(0.002)
    global longest_start
    longest_start = max(longest_start, time.monotonic() - begun)
    deadline = time.monotonic() + chance.uniform(0, AMID_TRIALS if is_started else longest_start)
    while time.monotonic() < deadline:
        check_best(folder)
        time.sleep(0.01)
    os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0, folder.with_suffix(".txt").read_text()
    return os.WIFSIGNALED(status)


def check_best(folder: Path) -> None:
    """``best.json`` is readable, or there is none yet. Look first: it may be written between a failed reading and a look."""
    if (folder / "best.json").exists():
        load_best(folder / "best.json")


def check_record(folder: Path, before: list[Trial]) -> list[Trial]:
    """All trials of ``before`` are still there, none is doubled; the best of all but the last has been saved."""
    trials = TrialLog(folder / "trials.jsonl").read()
    assert trials[: len(before)] == before, "a finished trial is missing or has changed"
    assert [trial.number for trial in trials] == list(range(len(trials))), "a trial is doubled"
    samples = {str(trial.architecture) for trial in trials}
    assert len(samples) == len(trials), "a configuration was tried twice"
    check_best(folder)
    if len(trials) > 1:
        assert load_best(folder / "best.json").score["value"] >= max(trial.score or 0.0 for trial in trials[:-1]), "a better one is lost"
    return trials


def read(folder: Path) -> list[tuple[object, ...]]:
    """What a search has found, without the times."""
    return [(t.number, t.architecture, t.score, t.curve) for t in TrialLog(folder / "trials.jsonl").read()]


def kill_again_and_again(strategy: str, table: str, kills: int, chance: random.Random) -> int:
    """Kill a search ``kills`` times, let it end, and compare it with one that nobody disturbed. Returns how many kills hit its trials."""
    search = [*SEARCH, "--table", table, "--trials", str(TRIALS), "--strategy", strategy]
    folder, whole = Path(f"{strategy}-killed"), Path(f"{strategy}-whole")
    trials: list[Trial] = []
    killed = amid = 0
    while killed < kills:
        resume = ["--resume"] if (folder / "config.json").exists() else []
        if not run_for([*search, "--out", str(folder), *resume], folder, chance):
            print(f"{strategy}: it ended after {killed} kills: more trials are needed")
            return -1
        killed += 1
        found = check_record(folder, trials)
        amid += len(found) > len(trials)
        trials = found
    log = folder / "trials.jsonl"
    if trials:
        log.write_bytes(log.read_bytes()[: -chance.randrange(2, 60)])  # as a power cut leaves it
    for target, more in ((folder, ["--resume"]), (whole, [])):
        _, status = os.waitpid(start([*search, "--out", str(target), *more], target.with_suffix(".txt")), 0)
        assert status == 0, target.with_suffix(".txt").read_text()
    said = folder.with_suffix(".txt").read_text()
    assert not trials or "the last line was cut off" in said, said
    check_record(folder, trials[:-1])
    assert read(folder) == read(whole), "the search went another way than without the kills"
    best = [load_best(target / "best.json") for target in (folder, whole)]
    assert best[0].architecture == best[1].architecture and best[0].score == best[1].score
    assert not list(folder.glob(".*.tmp")), "a file that was being written when the search was killed is left behind"
    return amid


def kill_searches(table: str, kills: int, *strategies: str) -> None:
    """Do so with each strategy; fail where none of the kills has hit its trials."""
    torch.set_num_threads(1)
    for position, name in enumerate(strategies):
        warm_up = [*SEARCH, "--table", table, "--trials", "2", "--strategy", name, "--out", f"warm-up-{position}"]
        assert main(warm_up) == 0  # imports all that is needed
    hits = [kill_again_and_again(name, table, kills, random.Random(f"{name} 1")) for name in strategies]
    print("kills that hit running trials:", hits)
    assert min(hits) > 0
