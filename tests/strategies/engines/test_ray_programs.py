"""Programs that start a Ray of their own: what of the program itself is sent to its workers, and that nothing outlives it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pool_functions
import pytest
from program import run_program
from project import SEARCH_PATH
from trial_scripts import is_alive, wait_until_gone

PROGRAM = Path(pool_functions.__file__)

pytestmark = pytest.mark.usefixtures("one_ray")  # theirs is another one, beside that of this process

# Neither has a guard: a worker that ran it again would start workers, too.
PLAIN = """
from dataclasses import dataclass
from strategies.engines.ray_connection import own_ray
from strategies.engines.ray_pool import RayPool

@dataclass(frozen=True)
class Scale:
    by: float

SCALE = Scale(2.0)

def double(x):
    return SCALE.by * x

def run(sample, report, note):
    report(sample["x"])
    note({"scale": SCALE.by})
    return double(sample["x"])

print("begun")
with own_ray(2):
    pool = RayPool(run)
    trials = [pool.start(number, {"x": number}) for number in range(2)]
    while not all(trial.outcome() for trial in trials):
        pool.wait()
    print([(trial.outcome(), trial.read_reports(), trial.facts) for trial in trials])
    pool.close()
"""
MODEL_SPACE = """
from common.libraries import quiet_libraries
quiet_libraries()
import torch
from nni.nas.nn.pytorch import LayerChoice, ModelSpace
from nni.nas.space import SimplifiedModelSpace, model_context
from strategies import Random, SearchContext
from strategies.engines.concurrent import ConcurrentEngine
from strategies.engines.ray_connection import own_ray
from strategies.engines.ray_pool import RayPool

class Space(ModelSpace):
    def __init__(self, width=2):
        super().__init__()
        self.layer = LayerChoice({"wide": torch.nn.Linear(3, 4 * width), "narrow": torch.nn.Linear(3, width)}, label="layer")

    def forward(self, x):
        return self.layer(x)

def evaluate(network):
    return float(network(torch.zeros(1, 3)).shape[1])

def run(sample, report, note):
    with model_context(sample):
        return evaluate(Space(width=3))

print("begun")
with own_ray(1):
    pool = RayPool(run, threads=1, prepare=quiet_libraries)
    with ConcurrentEngine(pool.start, concurrency=1, wait=pool.wait, close=pool.close, max_trials=2) as engine:
        Random().build(SearchContext(trials=2))(SimplifiedModelSpace.from_model(Space()), engine)
        engine.wait_models()
print(sorted((trial.sample["layer"], trial.score, trial.error) for trial in engine.results))
"""
PROGRAMS = {
    "plain": (PLAIN, "[((0.0, None), [0.0], {'scale': 2.0}), ((2.0, None), [1.0], {'scale': 2.0})]"),
    "model space": (MODEL_SPACE, "[('narrow', 3.0, None), ('wide', 12.0, None)]"),
}


@pytest.mark.slow
@pytest.mark.parametrize("how", ["file", "no file"])
@pytest.mark.parametrize("program", ["plain", "model space"])
def test_functions_and_classes_of_the_program_itself_are_sent_as_they_are(program: str, how: str, tmp_path: Path) -> None:
    """Those of a file, and those of a notebook, which has none."""
    code, expected = PROGRAMS[program]
    if how == "no file":
        done = run_program(code=code)
    else:
        (tmp_path / "program.py").write_text(code)
        options: dict[str, Any] = {"cwd": tmp_path, "env": {**os.environ, "PYTHONPATH": SEARCH_PATH}, "timeout": 120}
        done = subprocess.run([sys.executable, "program.py"], capture_output=True, text=True, **options)
    assert done.stdout.splitlines() == ["begun", expected], done.stderr
    assert done.stderr == ""


@pytest.mark.slow
@pytest.mark.parametrize("how", ["kill -9", "end of input", "Ctrl-C"])
def test_nothing_of_ray_outlives_the_search(how: str) -> None:
    environment = {**os.environ, "PYTHONPATH": SEARCH_PATH, "PYTHONUNBUFFERED": "1"}
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, str(PROGRAM)], env=environment, start_new_session=True, **pipes) as process:
        assert process.stdout is not None and process.stdin is not None
        pids = [int(word) for word in process.stdout.readline().split()]
        assert len(pids) > 4 and all(is_alive(pid) for pid in pids), "Ray's own, the mailbox, and the workers"
        folders = {folder for pid in pids for folder in re.findall(r"/\w+/retiarius-\w+", Path(f"/proc/{pid}/cmdline").read_text())}
        assert len(folders) == 1
        if how == "kill -9":
            process.kill()
        elif how == "Ctrl-C":
            os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to all
        _, error = process.communicate(timeout=60)
    assert wait_until_gone(pids)
    folder, deadline = Path(folders.pop()), time.monotonic() + 10
    while folder.exists():
        assert time.monotonic() < deadline, "its folder is left"
        time.sleep(0.05)
    assert error.count("Traceback") == (1 if how == "Ctrl-C" else 0), "the parent's alone"


CLOSES = """
import time
from strategies.engines.ray_connection import own_ray
from strategies.engines.ray_pool import RayPool

def brief(sample, report, note):
    time.sleep(0.01)
    return 1.0

with own_ray(2):
    for _ in range(6):
        pool = RayPool(brief)
        trials = [pool.start(number, {}) for number in range(2)]
        while all(trial._node is None for trial in trials):
            pool.wait()
        pool.close()
print("closed")
"""


@pytest.mark.slow
def test_a_pool_is_closed_while_its_trials_end() -> None:
    # Ray aborts a process that ends a task by force in the moment in which that ends.
    done = run_program(code=CLOSES)
    assert done.returncode == 0 and done.stdout.splitlines()[-1] == "closed", done.stderr[-2000:]
