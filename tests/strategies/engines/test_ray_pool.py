"""Trials side by side on Ray: results belong to their samples, and what dies takes little with it."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pool_functions
import psutil
import pytest
import torch
from fake_trials import SPACE
from nni.nas.space import SimplifiedModelSpace
from small_spaces import built
from trial_scripts import is_alive

from common.errors import EvaluatorError
from common.scores import EXPECTED
from common.trial import Trial
from evaluators.data.dataset import Dataset, Split
from evaluators.data.shared import SharedDataset
from nni_compat.trial_program import TrialProgram
from strategies import STRATEGIES, Median
from strategies.engines.concurrent import ConcurrentEngine
from strategies.engines.ray_pool import RayPool, RayTrial
from strategies.optuna.pruning import make_pruning

MULTI_TRIAL = [name for name, kind in STRATEGIES.items() if not kind.one_shot]


@pytest.fixture(autouse=True)
def connected(one_ray: None) -> None:
    """Of the tests of this process, which share it."""


@contextmanager
def pool_of(run: Any, **options: Any) -> Iterator[RayPool]:
    pool = RayPool(run, **options)
    try:
        yield pool
    finally:
        pool.close()


def wait_for(trial: RayTrial) -> tuple[float | None, str | None]:
    deadline = time.monotonic() + 60
    while (outcome := trial.outcome()) is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return outcome


def wait_for_pid(trial: RayTrial) -> int:
    while "pid" not in trial.facts:
        assert trial.outcome() is None
        time.sleep(0.01)
    return int(trial.facts["pid"])


@pytest.mark.parametrize("strategy", MULTI_TRIAL)
def test_results_belong_to_their_samples(strategy: str) -> None:
    heard: list[Trial] = []
    pool = RayPool(pool_functions.product)
    with ConcurrentEngine(pool.start, concurrency=3, wait=pool.wait, close=pool.close, max_trials=12, on_result=heard.append) as engine:
        search = built(strategy, seed=1, trials=12, open_trials=3, costs=["parameters"])
        search(SimplifiedModelSpace(TrialProgram(), SPACE.mutables, None), engine)
        engine.wait_models()
    assert len(heard) == 12
    assert [result.number for result in engine.results] == list(range(len(heard)))
    for result in heard:
        x = result.sample["x"]
        assert (result.state, result.error) == ("complete", None)
        assert result.score == x * result.sample["n"]
        assert result.curve == [x, 2 * x]
        assert result.facts["parameters"] == round(1000 * x)
    for model in engine.list_models():
        assert model.sample is not None
        assert model.metric == model.sample["x"] * model.sample["n"], "and the strategy hears the same"
    if strategy != "local":  # whose every step needs the one before
        assert len({result.facts["pid"] for result in heard}) > 1


def test_a_worker_that_dies_takes_its_trial_alone_which_is_tried_once_more(tmp_path: Path) -> None:
    def sample(name: int, deaths: int) -> dict[str, Any]:
        return {"name": name, "deaths": deaths, "folder": str(tmp_path)}

    with pool_of(pool_functions.fragile) as pool:
        once, never = pool.start(0, sample(10, 1)), pool.start(1, sample(11, 0))
        assert wait_for(once) == (10.0, None)
        assert once.read_reports() == [0.25, 0.5], "what the first attempt had told is not told again"
        assert wait_for(never) == (11.0, None)
        twice, other = pool.start(2, sample(12, 2)), pool.start(3, sample(13, 0))
        score, error = wait_for(twice)
        assert score is None and error is not None and error.startswith("its worker died 2 times; the last time: WorkerCrashedError: ")
        assert wait_for(other) == (13.0, None)
        assert wait_for(pool.start(4, sample(14, 0))) == (14.0, None), "there are as many workers as before"


def test_a_worker_that_is_killed_from_outside() -> None:
    with pool_of(pool_functions.patient) as pool:
        first, second = (pool.start(number, {"x": float(number), "reports": 50}) for number in (1, 2))
        pid, before = wait_for_pid(first), list[float]()
        while not before:
            before += first.read_reports()
            time.sleep(0.01)
        os.kill(pid, signal.SIGKILL)
        assert wait_for(first) == (1.0, None)
        assert wait_for(second) == (2.0, None)
        assert len(before + first.read_reports()) == 50, "what the first attempt had told is not told again"
        assert len(second.read_reports()) == 50
        os.kill(second.facts["pid"], signal.SIGKILL)  # one that is idle
        third, fourth = (pool.start(number, {"x": float(number), "reports": 1}) for number in (3, 4))
        assert wait_for(third) == (3.0, None)
        assert wait_for(fourth) == (4.0, None)


def test_a_hopeless_trial_ends_and_its_worker_goes_on() -> None:
    pool = RayPool(pool_functions.patient)
    heard: list[Trial] = []
    pruning = make_pruning(Median(start_step=1), epochs=None)
    with ConcurrentEngine(pool.start, concurrency=1, wait=pool.wait, close=pool.close, pruning=pruning, on_result=heard.append) as engine:
        space = SimplifiedModelSpace(TrialProgram(), SPACE.mutables, None)
        # The sample's mutables are x and n; how long a trial is, the function is not told: by its x alone.
        run = [{"x": x, "reports": 3} for x in (0.5, 0.6, 0.7, 0.8)] + [{"x": 0.1, "reports": 10_000}, {"x": 0.9, "reports": 3}]
        for sample in run:
            model = space.freeze({"x": sample["x"], "n": 1})
            model.sample = sample
            engine.submit_models(model)
        engine.wait_models()
        pid = heard[4].facts["pid"]
        assert is_alive(pid)
        assert wait_until_idle(pid), "its trial has ended"
    assert [result.state for result in heard] == ["complete"] * 4 + ["pruned", "complete"]
    assert heard[4].curve[:1] == [0.1]
    assert heard[5].curve == [0.9] * 3


def wait_until_idle(pid: int) -> bool:
    """Whether a worker of Ray, which calls its process by what it does, comes to do nothing within a while."""
    deadline = time.monotonic() + 20
    while psutil.Process(pid).cmdline()[0].strip() != "ray::IDLE" and time.monotonic() < deadline:
        time.sleep(0.01)
    return time.monotonic() < deadline


def test_what_is_running_ends_with_the_pool() -> None:
    with pool_of(pool_functions.endless) as pool:
        pids = [wait_for_pid(pool.start(number, {})) for number in range(2)]
    assert all(wait_until_idle(pid) for pid in pids), "Ray keeps its processes, for other trials"


def test_a_trial_that_fails_says_why_and_ends_nothing(caplog: pytest.LogCaptureFixture) -> None:
    with pool_of(pool_functions.failing) as pool:
        assert wait_for(pool.start(0, {"n": 1})) == (None, "RuntimeError: does not fit")
        assert wait_for(pool.start(1, {"n": 2})) == (None, "ValueError: the evaluator's score is nan")
    assert 'raise RuntimeError("does not fit\\nsecond line")' in caplog.text


def test_what_trials_print_is_logged_with_their_numbers(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level("INFO", logger="retiarius")
    with pool_of(pool_functions.talkative) as pool:
        trials = [pool.start(number, {"x": 10 + number, "dies": number == 1, "folder": str(tmp_path)}) for number in range(2)]
        assert [wait_for(trial) for trial in trials] == [(10.0, None), (11.0, None)]
    said = [record.getMessage() for record in caplog.records]
    for number, attempts in ((0, 1), (1, 2)):
        own = [line for line in said if line.startswith(f"trial {number}: ")]
        assert own.count(f"trial {number}: begins with {10 + number}") == attempts, "also what a worker said before it died"
        assert any(line.endswith("UserWarning: slow here") for line in own)
        assert own[-1] == f"trial {number}: ends"
    assert capfd.readouterr() == ("", ""), "nothing breaks the progress display"


def test_a_trial_out_of_memory_fails_at_once_and_says_so() -> None:
    import ray

    ended: Future[Any] = Future()
    ended.set_exception(ray.exceptions.OutOfMemoryError("Task was killed due to the node running low on memory."))
    with pool_of(pool_functions.patient) as pool:
        trial = pool.start(0, {"x": 0.5, "reports": 3})
        pool._heard.put((0, ended))  # what Ray tells of the first attempt
        score, error = wait_for(trial)
    assert score is None and error is not None and error.startswith("out of memory: ")


def test_what_is_no_number_fails_as_it_does_in_this_process() -> None:
    with pool_of(pool_functions.echo) as pool:
        for value, what in (("0.9", "'0.9', of type str"), (True, "True, of type bool")):
            error = f"EvaluatorError: the evaluator returned {what}; {EXPECTED}"
            assert wait_for(pool.start(0, {"value": value})) == (None, error)
        assert wait_for(pool.start(0, {"value": 1})) == (1.0, None)


def test_what_cannot_be_sent_is_refused_in_one_line() -> None:
    lock = threading.Lock()
    with pytest.raises(
        EvaluatorError, match=r"sent to other processes, and this cannot be: TypeError: .*lock.*; one worker needs no "
    ) as caught:
        RayPool(lambda sample, report, note: float(lock.locked()))
    assert "\n" not in str(caught.value)


def test_what_cannot_be_had_in_a_worker_fails_its_trials_and_says_why() -> None:
    with pool_of(pool_functions.Stranger()) as pool:
        for number in range(2):
            assert wait_for(pool.start(number, {})) == (None, "ImportError: not installed here")


def test_a_worker_is_prepared_before_all_else() -> None:
    with pool_of(pool_functions.prepared, prepare=pool_functions.prepare) as pool:
        assert wait_for(pool.start(0, {})) == (1.0, None)


@pytest.mark.slow
def test_a_data_set_is_shared() -> None:
    images = (torch.arange(64 * 3 * 32 * 32) % 256).to(torch.uint8).reshape(64, 3, 32, 32)
    train, test = Split(images, torch.arange(64) % 2), Split(images[-1:], torch.tensor([1]))
    nothing = Split(images[:0], torch.empty(0, dtype=torch.int64))
    data = Dataset("ours", ("a", "b"), train, nothing, test, (0.1, 0.2, 0.3), (1.0, 1.0, 1.0), "0" * 32)
    with pool_of(partial(pool_functions.pixel_sum, data=SharedDataset(data)), threads=1) as pool:
        trials = [pool.start(number, {}) for number in range(2)]
        for trial in trials:
            assert wait_for(trial) == (float(images.sum()), None)
            assert trial.facts == {"described": data.describe(), "labels": [1], "mean": data.mean, "is_shared": True}
