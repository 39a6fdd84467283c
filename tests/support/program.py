"""The program in a process of its own that starts at once: forked from a server that has imported the libraries, as that takes seconds.

A run is as real as one from a shell: a session of its own, its own folder and environment, signals, an exit status.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from project import PROJECT, SEARCH_PATH

_CONTEXT = multiprocessing.get_context("forkserver")


class Program:
    """One run of the program, with what ``subprocess.Popen`` has of it.

    Parameters
    ----------
    arguments
        The flags.
    environment
        Variables beside those of this process.
    """

    def __init__(self, *arguments: str, environment: Mapping[str, str] | None = None) -> None:
        _start_server()
        self._folder = tempfile.TemporaryDirectory(prefix="program-")
        out, err = (str(Path(self._folder.name) / name) for name in ("out", "err"))
        told = (list(arguments), os.getcwd(), {**os.environ, **(environment or {})}, out, err)
        self._process = _CONTEXT.Process(target=_run, args=told)
        self._process.start()
        assert self._process.pid is not None
        self.pid = self._process.pid
        self._files = [Path(out), Path(err)]

    @property
    def returncode(self) -> int | None:
        """The exit status, minus the signal where one has ended it; None while it runs."""
        return self._process.exitcode

    def poll(self) -> int | None:
        return self._process.exitcode

    def send_signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def wait(self, timeout: float = 120.0) -> int:
        self._process.join(timeout)
        if self._process.exitcode is None:
            self.kill()
            raise subprocess.TimeoutExpired("the program", timeout)
        return self._process.exitcode

    def communicate(self, timeout: float = 120.0) -> tuple[str, str]:
        """What it has printed on its standard output and error, once it has ended."""
        self.wait(timeout)
        out, err = (path.read_text(encoding="utf-8", errors="replace") if path.exists() else "" for path in self._files)
        return out, err

    def __enter__(self) -> Program:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.exitcode is None:
            self.kill()
        self._process.join()
        self._folder.cleanup()


def run_program(*arguments: str, environment: Mapping[str, str] | None = None, timeout: float = 120.0) -> subprocess.CompletedProcess[str]:
    """Run the program to its end."""
    with Program(*arguments, environment=environment) as program:
        out, err = program.communicate(timeout)
        return subprocess.CompletedProcess(list(arguments), program.wait(), out, err)


def wait_for(condition: Any, program: Program, seconds: float = 120.0) -> None:
    """Wait until ``condition()`` holds; fail where the program ends before, or after so many seconds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert program.poll() is None, f"the program ended too early: {program.communicate()[1]}"
        assert time.monotonic() < deadline, "it takes too long"
        time.sleep(0.02)


def _start_server() -> None:
    """Start the server, once in this process; it finds the project, and computes with one thread, as one that forks must."""
    from multiprocessing import forkserver

    _CONTEXT.set_forkserver_preload(["program_libraries"])
    before = {name: os.environ.get(name) for name in ("PYTHONPATH", "OMP_NUM_THREADS")}
    os.environ.update({"PYTHONPATH": SEARCH_PATH, "OMP_NUM_THREADS": "1"})
    try:
        forkserver.ensure_running()
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _run(arguments: Sequence[str], folder: str, environment: Mapping[str, str], out: str, err: str) -> None:
    os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    for path, descriptor in ((os.devnull, 0), (out, 1), (err, 2)):
        opened = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(opened, descriptor)
        os.close(opened)
    sys.argv = [str(PROJECT / "run_experiment.py"), *arguments]
    import run_experiment

    status = run_experiment.main(list(arguments))
    sys.stdout.flush()
    sys.exit(status)
