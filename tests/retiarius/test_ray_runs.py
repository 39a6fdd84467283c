"""Searches on a Ray that is named: the same trials as in this process, on what a cluster has, and refusals in one line."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from ports import free_port
from project import PROJECT, SEARCH_PATH
from ray_cluster import QUIET, RayCluster

import retiarius as rt
from records.trials import TrialLog
from retiarius.engines import _device_of
from retiarius.ray_cluster import PACKAGES, as_workers, check_cluster, runtime_environment, workers_flag
from run_experiment import main

SEARCH = ["--space", "zoo", "--strategy", "tpe", "--dataset", "digits", "--device", "cpu", "--precision", "float32", "--epochs", "1"]
SEARCH += ["--model", "squeezenet1_1", "--trials", "3"]
OWN = """
import helper_of_mine
from torch import nn
from nni.nas.nn.pytorch import LayerChoice, ModelSpace

class Space(ModelSpace):
    def __init__(self):
        super().__init__()
        self.layer = LayerChoice({"wide": nn.Linear(3, 8), "narrow": nn.Linear(3, 2)}, label="layer")

    def forward(self, x):
        return self.layer(x)

def score(network):
    print("weighs")
    return helper_of_mine.weigh(network)
"""
HELPER = "def weigh(network):\n    return float(sum(each.numel() for each in network.parameters()))\n"


@pytest.fixture(scope="module")
def cluster() -> Iterator[RayCluster]:
    with RayCluster('{"num_cpus": 1}', '{"num_cpus": 2, "num_gpus": 1}') as cluster:
        yield cluster


def outcome(folder: Path) -> list[Any]:
    return [(t.number, t.sample, t.state, t.curve, t.score, t.parameters) for t in TrialLog(folder / "trials.jsonl").read()]


def run(folder: Path, *flags: str, **environment: str) -> subprocess.CompletedProcess[str]:
    told = {**os.environ, **QUIET, "OMP_NUM_THREADS": "1", **environment}
    command = [sys.executable, str(PROJECT / "run_experiment.py"), *flags]
    return subprocess.run(command, cwd=folder, env=told, capture_output=True, text=True, timeout=200, check=False)


def write_own_code(folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "code_of_mine.py").write_text(OWN)
    (folder / "helper_of_mine.py").write_text(HELPER)


@pytest.mark.slow
def test_one_worker_of_a_cluster_brings_what_one_process_brings(cluster: RayCluster, tmp_path: Path) -> None:
    assert run(tmp_path, *SEARCH, "--out", "here").returncode == 0
    done = run(tmp_path, *SEARCH, "--out", "there", "--ray", cluster.address, "--workers", "1")
    assert done.returncode == 0, done.stderr
    assert outcome(tmp_path / "there") == outcome(tmp_path / "here")
    assert run(tmp_path, *SEARCH, "--out", "there", "--resume").returncode == 0, "where it ran is no part of what was searched"


@pytest.mark.slow
def test_code_beside_the_run_reaches_the_nodes(cluster: RayCluster, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    write_own_code(mine)
    flags = ["--space", "code_of_mine:Space", "--evaluator", "code_of_mine:score", "--strategy", "random", "--trials", "2"]
    done = run(mine, *flags, "--out", str(tmp_path / "run"), "--ray", cluster.address, PYTHONPATH=str(mine))
    assert done.returncode == 0, done.stderr
    trials = TrialLog(tmp_path / "run" / "trials.jsonl").read()
    assert sorted((trial.sample["layer"], trial.score) for trial in trials) == [("narrow", 8.0), ("wide", 32.0)]


GPUS = """
import sys
from strategies.engines.ray_connection import cluster_ray
from strategies.engines.ray_pool import RayPool

def run(sample, report, note):
    import os, time
    note({"gpus": os.environ.get("CUDA_VISIBLE_DEVICES")})
    time.sleep(1)
    return 1.0

with cluster_ray(sys.argv[1]):
    pool = RayPool(run, needs={"num_cpus": 0, "num_gpus": 0.5})
    trials = [pool.start(number, {}) for number in range(2)]
    while not all(trial.outcome() for trial in trials):
        pool.wait()
    print(*(trial.facts["gpus"] for trial in trials))
    pool.close()
"""


@pytest.mark.slow
def test_a_fraction_of_a_gpu(cluster: RayCluster) -> None:
    environment = {**os.environ, **QUIET, "PYTHONPATH": str(PROJECT)}
    done = subprocess.run([sys.executable, "-c", GPUS, cluster.address], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["0", "0"], "both have a half of the only one"


CLIENT = """
import sys
import code_of_mine
import retiarius as rt

cluster = rt.Ray(sys.argv[1], workers=1)
found = rt.search(code_of_mine.Space, "random", evaluator=code_of_mine.score, trials=2, workers=cluster, out=sys.argv[2])
print(sorted((trial.sample["layer"], trial.score, trial.error) for trial in found.trials))
"""


@pytest.mark.slow
def test_a_machine_outside_of_the_cluster_searches_by_rays_client(tmp_path: Path) -> None:
    write_own_code(tmp_path)
    environment = {**os.environ, **QUIET, "PYTHONPATH": os.pathsep.join([str(tmp_path), SEARCH_PATH])}
    port = free_port()
    with RayCluster(json.dumps({"num_cpus": 1, "ray_client_server_port": port})):
        command = [sys.executable, "-W", "ignore", "-c", CLIENT, f"ray://127.0.0.1:{port}", "run"]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=200, check=False)
    assert done.stdout == "[('narrow', 8.0, None), ('wide', 32.0, None)]\n", done.stderr
    assert (done.returncode, done.stderr) == (0, "")
    assert "trial 0: weighs" in (tmp_path / "run" / "log.txt").read_text(), "what it prints arrives, too"


@pytest.mark.parametrize(
    ("cluster", "device", "where"),
    [
        (rt.Ray("auto"), "auto", "cpu"),
        (rt.Ray("auto", gpus_per_trial=0.5), "auto", "cuda"),
        (rt.Ray(gpus_per_trial=1), "auto", "cuda"),
        (rt.Ray(workers=2), "auto", None),
        (rt.Ray("auto"), "cuda:1", None),
    ],
)
def test_a_trial_on_a_cluster_is_on_a_gpu_that_was_asked_for_or_on_a_cpu(cluster: rt.Ray, device: str, where: str | None) -> None:
    told = _device_of(SimpleNamespace(device=device), cluster)  # type: ignore[arg-type]
    assert told == ({} if where is None else {"device": torch.device(where)}), "what is not told is as on the search's machine"


def test_what_is_said_of_workers() -> None:
    assert as_workers(3) == 3
    assert as_workers("auto") == rt.Ray()
    assert [workers_flag(each) for each in (1, 4, rt.Ray("auto", 1), rt.Ray("auto", 4), rt.Ray("auto"))] == [None, 4, None, 4, "auto"]
    for wrong in ("many", 0, True, 1.5):
        with pytest.raises(rt.RecordError, match="not a whole number of at least 1"):
            as_workers(wrong)
    with pytest.raises(rt.StrategyError, match=r"`gpus_per_trial=99`: this machine has .*GPU.*, so no trial could begin"):
        check_cluster(rt.Ray(gpus_per_trial=99), None)
    with pytest.raises(rt.RecordError, match=r"gpus_per_trial: 1\.5 is neither a fraction from 0 to 1 nor a whole number"):
        rt.Ray("auto", gpus_per_trial=1.5)
    for address in ("auto", "10.0.0.1:6379", "ray://[::1]:10001", "ray://head.cluster:10001"):
        assert rt.Ray(address).address == address
    for address in ("", "local", "head", "ray://head", "http://head:8265"):  # by "local", Ray would start one that listens everywhere
        with pytest.raises(rt.RecordError, match="is no address of a Ray cluster"):
            rt.Ray(address)


def test_the_project_goes_to_the_nodes_and_a_package_does_not() -> None:
    told = runtime_environment("torch.nn:Linear", "zoo")
    assert {Path(path).name for path in told["py_modules"]} >= {"retiarius", "strategies", "kernels"}
    assert "working_dir" not in told


def test_code_of_two_folders_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a_space_of_mine", "a_score_of_mine"):
        module = ModuleType(name)
        module.__file__ = str(tmp_path / name / f"{name}.py")
        monkeypatch.setitem(sys.modules, name, module)
    assert runtime_environment("a_space_of_mine:Space", "torch.nn:Linear")["working_dir"] == str(tmp_path / "a_space_of_mine")
    with pytest.raises(rt.StrategyError, match=r"a_score_of_mine and .*a_space_of_mine, and nodes get one folder: put both into one$"):
        runtime_environment("a_space_of_mine:Space", "a_score_of_mine:score")


SENT = """
import sys
from pathlib import Path
from retiarius.engines import _device_of
from retiarius.ray_cluster import PACKAGES, Ray, connected

def list_files():
    import os
    found = []
    for each in os.environ["PYTHONPATH"].split(":"):
        for package in PACKAGES if "_ray_pkg_" in each else ():
            found += [path.relative_to(each).as_posix() for path in Path(each, package).rglob("*.*") if path.parent.name != "__pycache__"]
    return sorted({*found}), sorted(path.name for path in Path().iterdir())

with connected(Ray(sys.argv[1]), 0, code=Path(sys.argv[2]) if sys.argv[2:] else None):
    import ray
    ours, theirs = ray.get(ray.remote(list_files).remote())
    print(*ours, "and", *(theirs if sys.argv[2:] else ()))
"""


def sent(cluster: RayCluster, *code: str) -> tuple[set[str], set[str]]:
    environment = {**os.environ, **QUIET, "PYTHONPATH": str(PROJECT)}
    command = [sys.executable, "-c", SENT, cluster.address, *code]
    ours, _, theirs = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.partition(" and")
    return set(ours.split()), set(theirs.split())


def files_of(*packages: str) -> set[str]:
    files = (path for package in packages for path in (PROJECT / package).rglob("*.*") if path.parent.name != "__pycache__")
    return {path.relative_to(PROJECT).as_posix() for path in files}


@pytest.mark.slow
def test_all_of_our_packages_reach_the_nodes(cluster: RayCluster) -> None:
    assert sent(cluster)[0] == files_of(*PACKAGES)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("ignored", "theirs"), [("engines\ncommon\n*.txt\n", {".nniignore", "main.py", "other.py"}), ("*\n!main.py\n", {"main.py"})]
)
def test_what_a_program_ignores_is_not_left_out_of_our_packages(
    cluster: RayCluster, tmp_path: Path, ignored: str, theirs: set[str]
) -> None:
    for name in ("main.py", "other.py", "notes.txt"):
        (tmp_path / name).touch()
    (tmp_path / ".nniignore").write_text(ignored)
    ours, of_program = sent(cluster, str(tmp_path))
    assert files_of("common", "strategies", "nni_compat") <= ours
    assert of_program == theirs


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (
            ["--ray", "auto", "--storage", "sqlite:///a.db"],
            [
                "a Ray cluster runs the trials of one search; --storage shares one study among searches without Ray: leave one out",
            ],
        ),
        (["--workers", "some"], ["--workers", "'some'", "from 1 to"]),
        (["--ray", "local"], ["--ray", "'local' is no address of a Ray cluster", "HOST:PORT"]),
        (["--ray", "auto", "--gpus-per-trial", "1.5"], ["--gpus-per-trial", "neither a fraction"]),
        (["--ray", "auto", "--objectives", "accuracy,latency"], ["leave out --objectives"]),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(flags: list[str], words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*SEARCH, *flags]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert all(word in line for word in words), line


def test_without_ray_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    import importlib.util

    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == "ray" else find(name, *rest))
    assert main([*SEARCH, "--workers", "2"]) == 2
    assert capsys.readouterr().err == "error: --workers needs Ray, which is not installed: pip install 'retiarius[ray]'\n"


@pytest.mark.slow
def test_no_ray_at_an_address_is_said_in_one_line(tmp_path: Path) -> None:
    done = run(tmp_path, *SEARCH, "--out", "run", "--ray", "127.0.0.1:9")
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: no Ray answers at '127.0.0.1:9' (ConnectionRefusedError: ")


def test_a_ray_that_cannot_be_joined_is_not_called_one_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    import strategies.engines.ray_connection as ray_connection

    def refuse(address: str, **_: object) -> None:
        raise ConnectionError("Failed to connect to Ray cluster")  # what Ray raises where the token is another

    monkeypatch.setattr(ray_connection, "is_connected", lambda: False)
    monkeypatch.setattr(ray_connection, "_connected", refuse)
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        with (
            pytest.raises(rt.StrategyError, match=r"^cannot join the Ray at '127.*Failed to connect.*with the same token"),
            ray_connection.cluster_ray(address),
        ):
            pass
