"""Whole searches with ``--workers``: real trainings in processes of their own, Ctrl-C and kill -9 included."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from few_digits import use_few_digits
from program import Program
from trial_scripts import wait_until_gone

from records.trials import Trial, TrialLog
from run_experiment import main
from spaces import SPACES, build_network

SMALL = ["--dataset", "digits", "--device", "cpu", "--precision", "float32", "--epochs", "1", "--model", "squeezenet1_1"]
SEARCH = ["--space", "zoo", "--strategy", "random", *SMALL, "--trials", "4"]


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own_with_few_digits_and_one_thread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    use_few_digits(monkeypatch)
    before = torch.get_num_threads()
    torch.set_num_threads(1)  # as many as each worker has: sums in another order are other sums
    yield
    torch.set_num_threads(before)


def trials_of(folder: str) -> list[Trial]:
    return TrialLog(Path(folder) / "trials.jsonl").read()


def outcome(trials: list[Trial]) -> list[Any]:
    return sorted((t.number, t.state, json.dumps(t.hyperparameters), t.curve, t.score, t.parameters, t.flops) for t in trials)


@pytest.mark.slow
def test_two_workers_bring_what_one_process_brings_and_a_resumed_search_fills_the_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    assert main([*SEARCH, "--out", "one"]) == 0
    assert main([*SEARCH, "--out", "two", "--workers", "2"]) == 0
    assert outcome(trials_of("two")) == outcome(trials_of("one"))
    assert main([*SEARCH, "--out", "two", "--resume"]) == 2, "with another number of workers it would be another search"

    lines = Path("two/trials.jsonl").read_bytes().splitlines(keepends=True)
    kept = [line for line in lines if json.loads(line)["number"] in (0, 2)]  # trial 1 was still running when it was killed
    Path("two/trials.jsonl").write_bytes(b"".join(kept) + lines[-1][:50])
    assert main([*SEARCH, "--out", "two", "--workers", "2", "--resume"]) == 0
    assert outcome(trials_of("two")) == outcome(trials_of("one"))


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["tpe", "nsga2", "evolution", "hpo"])
def test_strategies_that_learn_hear_of_every_trial(strategy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    search = ["--space", "zoo", "--strategy", strategy, *SMALL, "--trials", "4", "--workers", "2", "--out", "run"]
    assert main(search) == 0
    trials = trials_of("run")
    assert sorted(trial.number for trial in trials) == [0, 1, 2, 3]
    assert json.loads(Path("run/best.json").read_text())["score"]["value"] == max(trial.score or 0 for trial in trials)


@pytest.mark.slow
def test_workers_build_networks_of_the_size_that_was_set(monkeypatch: pytest.MonkeyPatch) -> None:
    search = ["--space", "nasbench201", "--strategy", "random", *SMALL[:-2], "--trials", "2", "--workers", "2"]
    assert main([*search, "--set", "width=4", "--set", "cells=2", "--out", "run"]) == 0
    best = json.loads(Path("run/best.json").read_text())
    assert best["space"]["arguments"] == {"width": 4, "cells": 2, "num_classes": 10}
    space = SPACES["nasbench201"].load()
    for trial in trials_of("run"):
        network = build_network(space, best["space"]["arguments"], trial.architecture)
        assert trial.parameters == sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.slow
@pytest.mark.parametrize("how", ["Ctrl-C", "kill", "kill -9"])
def test_an_interrupted_search_leaves_its_trials_and_no_process(how: str) -> None:
    log = Path("run/trials.jsonl")
    with Program(*SEARCH, "--trials", "50", "--workers", "2", "--out", "run") as process:
        # The last may not be on the disk yet, and is then taken back.
        process.wait_until(lambda: log.exists() and log.read_bytes().count(b"\n") >= 3)
        pids = [child.pid for child in psutil.Process(process.pid).children(recursive=True)]
        assert len(pids) >= 2
        if how == "Ctrl-C":
            os.killpg(process.pid, signal.SIGINT)
        elif how == "kill":
            process.terminate()
        else:
            process.kill()
        _, error = process.communicate(timeout=60)
    if how != "kill -9":
        assert process.returncode == 130
        assert error == "error: interrupted; finished work is kept: to resume, use the same command with --out run --resume\n"
    assert wait_until_gone(pids)
    assert len(trials_of("run")) >= 2
