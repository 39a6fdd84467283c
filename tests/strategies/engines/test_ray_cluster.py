"""Searches on a cluster of Ray, three nodes on this machine: what dies takes little with it, and nothing is lost or done twice."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import stat
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cluster_search
import psutil
import pytest
from project import SEARCH_PATH
from ray_cluster import QUIET, RayCluster
from trial_scripts import wait_until_gone

from common.errors import StrategyError
from strategies.engines import ray_connection
from strategies.engines.ray_connection import cluster_ray
from strategies.engines.ray_head import RayHead
from strategies.engines.ray_room import Room

pytestmark = pytest.mark.slow
SECONDS = 120.0
ONE = '{"num_cpus": 1}'


@pytest.fixture(scope="module")
def cluster() -> Iterator[RayCluster]:
    with RayCluster(ONE, ONE, ONE) as cluster:
        yield cluster


def start_search(cluster: RayCluster, folder: Path) -> subprocess.Popen[bytes]:
    environment = {**os.environ, **QUIET, "PYTHONPATH": SEARCH_PATH}
    return subprocess.Popen([sys.executable, cluster_search.__file__, cluster.address, str(folder)], env=environment)


def lines_of(path: Path) -> list[Any]:
    whole = path.read_bytes().rpartition(b"\n")[0] if path.exists() else b""
    return [json.loads(line) for line in whole.splitlines()]


def wait_until(condition: Callable[[], Any]) -> Any:
    """Return what ``condition`` gives as soon as that is true."""
    deadline = time.monotonic() + SECONDS
    while not (found := condition()):
        assert time.monotonic() < deadline, "it takes too long"
        time.sleep(0.01)
    return found


def check_whole(folder: Path) -> None:
    """Check that all trials ended once, each with the score and the curve of its own sample."""
    trials = lines_of(folder / "trials")
    assert sorted(trial["number"] for trial in trials) == list(range(cluster_search.TRIALS))
    for trial in trials:
        x = trial["sample"]["x"]
        assert (trial["state"], trial["error"]) == ("complete", None)
        assert trial["score"] == x * trial["sample"]["n"]
        assert trial["curve"] == [x + step for step in range(10)], "what the first attempt had told is not told again"


def test_a_worker_is_killed_a_node_goes_and_another_comes(cluster: RayCluster, tmp_path: Path) -> None:
    started, ended = tmp_path / "started", tmp_path / "trials"

    def one_that_runs() -> int | None:
        """Return its process; on a busy machine there are moments at which the last trials have ended and the next have not begun."""
        known = {trial["sample"]["x"] for trial in lines_of(ended)}
        return next((pid for x, pid, _ in reversed(lines_of(started)) if x not in known), None)

    search = start_search(cluster, tmp_path)
    try:
        wait_until(lambda: len(lines_of(ended)) >= 6)
        os.kill(wait_until(one_that_runs), signal.SIGKILL)
        wait_until(lambda: len(lines_of(ended)) >= 14)
        cluster.ask("remove 2")
        wait_until(lambda: len(lines_of(ended)) >= 20)
        before = {node for _, _, node in lines_of(started)}
        cluster.ask(f"add {ONE}")
        assert search.wait(SECONDS) == 0
    finally:
        search.kill()
        search.wait()
    check_whole(tmp_path)
    attempts = Counter(x for x, _, _ in lines_of(started))
    assert len(attempts) == cluster_search.TRIALS
    assert max(attempts.values()) == 2
    assert sum(attempts.values()) <= cluster_search.TRIALS + 2, "one for the worker, one for the node, and no more"
    assert {node for _, _, node in lines_of(started)} - before, "the node that came has trials"


KILLED = """
import os, signal, sys
from strategies.engines import ray_connection
from strategies.engines.ray_connection import cluster_ray
from strategies.engines.ray_pool import RayPool

def run(sample, report, note):
    import os, ray, time
    from pathlib import Path
    mark = Path(sample["mark"])
    is_first = not mark.exists()
    mark.touch()
    note({ray.get_runtime_context().get_node_id(): os.getpid()})
    time.sleep(60 if is_first else 0)
    return 1.0

with cluster_ray(sys.argv[1]):
    pool = RayPool(run)
    for number in range(3):
        trial = pool.start(number, {"mark": sys.argv[2] + str(number)})
        while not trial.facts:
            pool.wait()
        os.kill(*trial.facts.values(), signal.SIGKILL)
        while trial.outcome() is None:
            pool.wait()
        print(*trial.outcome(), len(trial.facts))
    pool.close()
"""


def test_the_second_attempt_is_on_another_node(cluster: RayCluster, tmp_path: Path) -> None:
    environment = {**os.environ, **QUIET, "PYTHONPATH": SEARCH_PATH}
    command = [sys.executable, "-c", KILLED, cluster.address, str(tmp_path / "mark")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert done.stdout.splitlines() == ["1.0 None 2"] * 3, done.stderr


def test_the_search_is_killed_and_resumed(cluster: RayCluster, tmp_path: Path) -> None:
    started, ended = tmp_path / "started", tmp_path / "trials"
    search = start_search(cluster, tmp_path)
    wait_until(lambda: len(lines_of(ended)) >= 12)
    search.kill()
    search.wait()
    # What it had running ends with it, on every node.
    assert wait_until_gone([pid for _, pid, _ in lines_of(started)])
    done = {trial["sample"]["x"] for trial in lines_of(ended)}
    first = len(lines_of(started))
    assert start_search(cluster, tmp_path).wait(SECONDS) == 0
    check_whole(tmp_path)
    rest = [x for x, _, _ in lines_of(started)[first:]]
    assert len(rest) == len(set(rest)) == cluster_search.TRIALS - len(done)
    assert not done & set(rest), "only what was unfinished runs"


def test_ctrl_c_ends_the_trials_and_leaves_the_cluster(cluster: RayCluster, tmp_path: Path) -> None:
    search = start_search(cluster, tmp_path)
    wait_until(lambda: len(lines_of(tmp_path / "started")) >= 3)
    search.send_signal(signal.SIGINT)
    assert search.wait(SECONDS) != 0
    assert wait_until_gone([pid for _, pid, _ in lines_of(tmp_path / "started")])
    assert start_search(cluster, tmp_path).wait(SECONDS) == 0, "another search finds the cluster as it was"
    check_whole(tmp_path)


def test_nothing_listens_beyond_this_machine(one_ray: None) -> None:
    processes = [psutil.Process(), *psutil.Process().children(recursive=True)]
    listening = [
        (process.name(), connection.laddr.ip)
        for process in processes
        for connection in process.net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN
    ]
    assert len(listening) >= 3, "Ray's head, its node, and this process"
    assert {address.removeprefix("::ffff:") for _, address in listening} == {"127.0.0.1"}, listening


def test_nobody_else_reaches_its_sockets() -> None:
    head = RayHead(1)
    try:
        head.wait()
        folder = head._folder
        assert list(folder.rglob("plasma_store"))
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    finally:
        head.close()
    assert not folder.exists()


@pytest.fixture
def without_grpc(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As ``pip install ray`` leaves it: grpcio comes with other packages."""
    (tmp_path / "grpc.py").write_text("raise ModuleNotFoundError('not installed here')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == "grpc" else find(name, *rest))


def test_ray_starts_where_its_client_is_not_installed(without_grpc: None) -> None:
    head = RayHead(1)
    try:
        assert head.wait().startswith("127.0.0.1:")
    finally:
        head.close()


def test_an_address_that_needs_rays_client_says_so(without_grpc: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_connection, "is_connected", lambda: False)  # other tests of this process may have connected it
    expected = r"^ray://127\.0\.0\.1:9 is reached by Ray's client, .*pip install 'ray\[client\]'$"
    with pytest.raises(StrategyError, match=expected), cluster_ray("ray://127.0.0.1:9"):
        raise AssertionError("it is not connected")


@pytest.mark.parametrize(
    ("needs", "room"),
    [
        ({"num_cpus": 1}, 6),
        ({"num_cpus": 2}, 3),
        ({"num_cpus": 3}, 1),
        ({"num_cpus": 1, "num_gpus": 0.5}, 4),
        ({"num_cpus": 0, "num_gpus": 0.25}, 8),
        ({"num_cpus": 9}, 1),
    ],
)
def test_the_room_for_trials_is_counted_node_by_node(needs: dict[str, Any], room: int, monkeypatch: pytest.MonkeyPatch) -> None:
    import ray

    told = [{"Alive": alive, "Resources": {"CPU": cpus, "GPU": 2.0}} for alive, cpus in ((True, 4.0), (True, 2.0), (False, 8.0))]
    told[1]["Resources"] = {"CPU": 2.0}
    monkeypatch.setattr(ray, "nodes", lambda: told)
    assert Room(needs)() == room
    assert Room(needs, None, 2)() == min(room, 2)


def test_that_no_node_has_room_is_said_once(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    import ray

    import strategies.engines.ray_room as ray_room

    nodes = [{"Alive": True, "Resources": {"CPU": 4.0}}]
    clock = iter((100.0, 105.0, 130.0, 140.0))
    monkeypatch.setattr(ray, "nodes", lambda: nodes)
    monkeypatch.setattr(ray_room.time, "monotonic", lambda: next(clock))
    room, said = Room({"num_cpus": 2, "num_gpus": 0.5}), list[int]()
    for _ in range(4):
        assert room() == 1
        said.append(len(caplog.records))
    assert said == [0, 0, 1, 1]
    assert caplog.messages == ["no node of the cluster has what a trial takes (2 CPU, 0.5 GPU): waiting for one that has"]
