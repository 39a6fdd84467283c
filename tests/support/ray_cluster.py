"""A cluster of Ray on this machine, as a process that adds and removes nodes: ``python ray_cluster.py`` and words on its input."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path
from types import TracebackType

import psutil
from project import SEARCH_PATH

QUIET = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "disabled"}
SPACE_FOR_STORE = 80 * 2**20


class RayCluster:
    """Nodes on 127.0.0.1, a head among them; use it by ``with``, which ends them all.

    Parameters
    ----------
    nodes
        The options of each node, the head first, as ``ray.cluster_utils.Cluster.add_node`` takes them.
    hidden
        A folder that none of them sees, as other machines would not; this needs Linux and its superuser.
    """

    def __init__(self, *nodes: str, hidden: Path | None = None) -> None:
        environment = {**os.environ, **QUIET, "PYTHONPATH": SEARCH_PATH, "PYTHONUNBUFFERED": "1"}
        command = [sys.executable, __file__, *nodes]
        if hidden is not None:
            mounted = f"mount -t tmpfs none {shlex.quote(str(hidden))} && exec {shlex.join(command)}"
            command = ["unshare", "--mount", "sh", "-c", mounted]
        self._process = subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        self.address = self._answer()

    def ask(self, word: str) -> str:
        """``add OPTIONS`` adds a node, ``remove N`` kills the node of that number, as a power cut would."""
        assert self._process.stdin is not None
        self._process.stdin.write(word + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> str:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith("answer "):
                return line.split()[1]
        raise AssertionError("the cluster ended")

    def __enter__(self) -> RayCluster:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        started = psutil.Process(self._process.pid).children(recursive=True)
        self._process.kill()
        self._process.communicate()
        for process in started:
            if process.is_running():
                process.kill()


def main() -> None:
    import json

    from ray.cluster_utils import Cluster

    cluster = Cluster()
    fixed = {"node_ip_address": "127.0.0.1", "include_dashboard": False, "object_store_memory": SPACE_FOR_STORE}
    nodes = [cluster.add_node(**fixed, **json.loads(options)) for options in sys.argv[1:]]
    print("answer", cluster.address)
    for line in sys.stdin:
        word, _, rest = line.strip().partition(" ")
        if word == "add":
            nodes.append(cluster.add_node(**fixed, **json.loads(rest)))
        else:
            cluster.remove_node(nodes[int(rest)], allow_graceful=False)
        print("answer", len(nodes))


if __name__ == "__main__":
    main()
