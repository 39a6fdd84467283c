"""Ray on this machine alone, for one search: started with it, reachable from here only, and gone with it, also by ``kill -9``.

Ray is started by its own command under ``common/guard.py``, not by ``ray.init``: two of the processes that the latter starts outlive a
parent that is killed. All of them listen on 127.0.0.1, and a token that only this process and its trials know is asked for.
"""

from __future__ import annotations

import importlib.util
import os
import secrets
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from common.errors import SearchFailed
from common.guarded import start_guarded, stop_guarded

SECONDS_TO_START, SECONDS_TO_STOP = 90.0, 15.0
LEAST_STORE = 100 * 2**20  # bytes; Ray takes no less than 75 MiB
_LONGEST_TEMPORARY = 16  # characters; the names of Ray's sockets may have 107 with it
# Ray listens on this machine's other addresses unless it thinks that it cannot make a cluster, as on a Mac.
_LOOPBACK = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
# It tells nobody of itself, and a trial that asks for no GPU sees them all, as one in this process does.
_PLAIN = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class RayHead:
    """Ray's processes on this machine; call :meth:`close` when done.

    Parameters
    ----------
    slots
        Trials of one CPU that run at the same time, 1 or more. It is a number only: the machine may have fewer CPUs.
    store_bytes
        Room for what the trials share, such as images; 100 MiB at least.
    """

    def __init__(self, slots: int, store_bytes: int = 0) -> None:
        temporary = tempfile.gettempdir()
        self._folder = Path(tempfile.mkdtemp(prefix="retiarius-", dir=temporary if len(temporary) <= _LONGEST_TEMPORARY else "/tmp"))
        self._ray_folder = self._folder / "r"  # which Ray opens to everybody; nobody else gets into the folder around it
        self.authentication = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
        command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block", "--port=0", "--node-ip-address=127.0.0.1"]
        command += [f"--num-cpus={slots}", f"--object-store-memory={max(LEAST_STORE, store_bytes)}", f"--temp-dir={self._ray_folder}"]
        command += ["--include-dashboard=false", "--disable-usage-stats", "--min-worker-port=0", "--max-worker-port=0"]
        command += ["--no-monitor", "--include-log-monitor=false"]  # nothing grows here, and what trials print comes with their reports
        if importlib.util.find_spec("grpc") is not None:  # else Ray starts no server of its client, and refuses a port for one
            command += [f"--ray-client-server-port={_free_port()}"]  # else 10001, and a second search on this machine would fail
        self._out = self._folder / "out.txt"
        with self._out.open("wb") as out:
            where: dict[str, Any] = {"directory": Path.cwd(), "environment": self._environment(), "removed": self._folder}
            self._process: subprocess.Popen[bytes] = start_guarded("group", "0", shlex.join(command), **where, stdout=out, stderr=out)

    def _environment(self) -> Mapping[str, str]:
        """Return the variables that the trials see, too: they import what this process can import."""
        paths = os.pathsep.join(os.path.abspath(path) for path in sys.path)
        inherited = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
        return {**inherited, **_LOOPBACK, **_PLAIN, **self.authentication, "PYTHONPATH": paths}

    def wait(self) -> str:
        """Return the address once there is one.

        Raises
        ------
        SearchFailed
            Ray did not start; says the last it has said.
        """
        address, deadline = self._ray_folder / "ray_current_cluster", time.monotonic() + SECONDS_TO_START
        while not (address.exists() and address.read_text().strip()):
            if self._process.poll() is not None or time.monotonic() > deadline:
                said = self._out.read_text(encoding="utf-8", errors="replace").strip().splitlines() or ["nothing"]
                self.close()
                raise SearchFailed(f"Ray does not start on this machine; the last it said: {said[-1]}")
            time.sleep(0.02)
        return address.read_text().strip()

    def close(self) -> None:
        """End all of Ray's processes, and the trials that run in them, at once."""
        stop_guarded(self._process, SECONDS_TO_STOP)
        shutil.rmtree(self._folder, ignore_errors=True)
