"""Trial commands on a cluster of Ray, of two nodes that see nothing of the search's folders."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from project import PROJECT
from ray_cluster import QUIET, RayCluster
from trial_scripts import is_alive, write_script

from records.trials import TrialLog

CANNOT_HIDE = sys.platform != "linux" or subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False).returncode != 0
pytestmark = [pytest.mark.slow, pytest.mark.skipif(CANNOT_HIDE, reason="only the superuser of Linux can hide a folder from a node")]

CODE = """
import secret_of_mine
open(os.path.join(os.environ["NNI_OUTPUT_DIR"], "where"), "w").write(os.getcwd())
print("x is", parameters["x"], "on", os.environ["RAY_RAYLET_PID"])
child = subprocess.Popen(["sleep", "300"])
print("child", child.pid)
for step in range(8):
    send("PERIODICAL", parameters["x"])
    time.sleep(0.1)
if parameters["x"] == 3:
    sys.exit("no luck with three")
send("FINAL", parameters["x"] * secret_of_mine.FACTOR)
"""
CONFIG = """
experimentName: mine
trialConcurrency: 2
maxTrialNumber: 5
searchSpaceFile: search_space.json
trialCommand: python -S main.py
trialCodeDirectory: .
tuner: {name: GridSearch, classArgs: {optimize_mode: minimize}}
trainingService: {platform: local}
"""


@pytest.fixture(scope="module")
def machines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RayCluster, Path]]:
    mine = tmp_path_factory.mktemp("mine")
    with RayCluster('{"num_cpus": 1}', '{"num_cpus": 1}', hidden=mine) as cluster:
        yield cluster, mine


def test_a_config_of_nnis_on_two_nodes(machines: tuple[RayCluster, Path]) -> None:
    cluster, mine = machines
    write_script(mine, CODE)
    (mine / "secret_of_mine.py").write_text("FACTOR = 2\n")
    (mine / "large.bin").write_bytes(b"0" * 1_000)
    (mine / ".nniignore").write_text("# not needed\nlarge.bin\n")
    (mine / "search_space.json").write_text('{"x": {"_type": "choice", "_value": [1, 2, 3, 4, 5]}}')
    (mine / "config.yml").write_text(CONFIG)
    command = [sys.executable, str(PROJECT / "run_experiment.py"), "--config", "config.yml", "--ray", cluster.address, "--out", "run"]
    done = subprocess.run(command, cwd=mine, env={**os.environ, **QUIET}, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr
    trials = TrialLog(mine / "run/trials.jsonl").read()
    assert sorted((trial.sample["x"], trial.state, trial.score) for trial in trials) == [
        (1, "complete", -2.0),
        (2, "complete", -4.0),
        (3, "failed", None),
        (4, "complete", -8.0),
        (5, "complete", -10.0),
    ]
    (failed,) = (trial for trial in trials if trial.state == "failed")
    assert failed.error == "exit status 1; the end of stderr: no luck with three"
    assert json.loads((mine / "run/best_parameters.json").read_text())["parameters"] == {"x": 1}
    nodes, copies = set(), set()
    for trial in trials:
        assert trial.curve == [-trial.sample["x"]] * 8
        assert "files" not in trial.facts
        folder = mine / "run/trials" / str(trial.number)
        printed = (folder / "stdout").read_text()
        assert printed.startswith(f"x is {trial.sample['x']} on"), "parameters, results and files belong together"
        nodes.add(printed.split()[4])
        assert not is_alive(int(printed.split()[-1])), "what a trial started ends with it"
        copies.add((folder / "where").read_text())
    assert len(nodes) == 2, "two at a time, on two nodes"
    (copy,) = map(Path, copies)  # which both of them share here
    assert not copy.is_relative_to(mine)
    assert (copy / "secret_of_mine.py").exists()
    assert not (copy / "large.bin").exists() and not (copy / "run").exists()
