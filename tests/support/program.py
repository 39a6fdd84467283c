"""The program, or a piece of code, in a process of its own that starts at once: forked from one that has imported the libraries.

To import them takes seconds. A run is as real as one from a shell: a session of its own, its own folder and environment, no terminal,
signals, an exit status. What it lacks is a fresh interpreter: a few tests start ``python run_experiment.py`` for that.
"""

from __future__ import annotations

import atexit
import contextlib
import multiprocessing
import multiprocessing.resource_tracker
import os
import signal
import subprocess
import sys
import tempfile
import time
import types
from collections.abc import Callable, Iterator, Mapping
from multiprocessing import forkserver
from pathlib import Path
from types import TracebackType

import few_digits
import pytest
from project import PROJECT, SEARCH_PATH

SECONDS = 120.0  # within which a run ends, or hangs
SERVER_ENVIRONMENT = {"PYTHONPATH": SEARCH_PATH, "OMP_NUM_THREADS": "1"}  # what has computed with several threads must not be forked
_CONTEXT = multiprocessing.get_context("forkserver")


class Program:
    """One run of the program, with what ``subprocess.Popen`` has of it; use it by ``with``, which ends the run.

    Parameters
    ----------
    arguments
        The flags.
    environment
        Variables beside those of this process.
    code
        Python code to run in the place of the program, as ``python -c`` does.
    """

    def __init__(self, *arguments: str, environment: Mapping[str, str] | None = None, code: str | None = None) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="program-")
        self.out, self.err = (Path(self._folder.name) / name for name in ("out", "err"))
        for path in (self.out, self.err):
            path.touch()
        surroundings = {**os.environ, **(environment or {})}
        self._process = _CONTEXT.Process(target=_run, args=(arguments, code, os.getcwd(), surroundings, str(self.out), str(self.err)))
        _start_server()
        with _without_main():
            self._process.start()
        assert self._process.pid is not None
        self.pid = self._process.pid

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

    def wait(self, timeout: float = SECONDS) -> int:
        self._process.join(timeout)
        if self._process.exitcode is None:
            self.kill()
            raise subprocess.TimeoutExpired("the program", timeout)
        return self._process.exitcode

    def communicate(self, timeout: float = SECONDS) -> tuple[str, str]:
        """What it has printed on its standard output and error, once it has ended."""
        self.wait(timeout)
        return self.out.read_text(encoding="utf-8"), self.err.read_text(encoding="utf-8")

    def wait_until(self, condition: Callable[[], object], seconds: float = SECONDS) -> None:
        """Wait until ``condition()`` holds; fail where the program ends before, or after so many seconds."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert self.poll() is None, f"the program ended too early: {self.communicate()}"
            assert time.monotonic() < deadline, "it takes too long"
            time.sleep(0.01)

    def __enter__(self) -> Program:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        if self._process.exitcode is None:
            self.kill()
        self._process.join()
        self._folder.cleanup()


def run_program(
    *arguments: str, environment: Mapping[str, str] | None = None, code: str | None = None, timeout: float = SECONDS
) -> subprocess.CompletedProcess[str]:
    """Run the program, or ``code``, to its end."""
    with Program(*arguments, environment=environment, code=code) as program:
        out, err = program.communicate(timeout)
        return subprocess.CompletedProcess(list(arguments), program.wait(), out, err)


def run_code(code: str, *arguments: str, environment: Mapping[str, str] | None = None) -> str:
    """What ``code`` prints in a process of its own, which must end well."""
    done = run_program(*arguments, environment=environment, code=code)
    assert done.returncode == 0, done.stderr
    return done.stdout


def _start_server() -> None:
    """Start the process that is forked, once; it ends with this one."""
    _CONTEXT.set_forkserver_preload(["program_libraries"])
    before = {name: os.environ.get(name) for name in SERVER_ENVIRONMENT}
    os.environ.update(SERVER_ENVIRONMENT)
    try:
        forkserver.ensure_running()
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextlib.contextmanager
def _without_main() -> Iterator[None]:
    """Keep a process that is started meanwhile from importing what runs here, pytest, as multiprocessing would have it do."""
    here = sys.modules["__main__"]
    sys.modules["__main__"] = types.ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = here


def _run(arguments: tuple[str, ...], code: str | None, folder: str, environment: Mapping[str, str], out: str, err: str) -> None:
    os.setsid()
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.pycache_prefix, tempfile.tempdir = environment.get("PYTHONPYCACHEPREFIX"), None  # as an interpreter reads them
    for path, descriptor in ((os.devnull, 0), (out, 1), (err, 2)):
        opened = os.open(path, os.O_RDWR | os.O_APPEND)
        os.dup2(opened, descriptor)
        os.close(opened)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(encoding="utf-8", line_buffering=True)  # type: ignore[union-attr]
    if few_digits.VARIABLE in environment:
        few_digits.use_few_digits(pytest.MonkeyPatch(), int(environment[few_digits.VARIABLE]))
    try:
        if code is not None:
            sys.argv = ["-c", *arguments]
            main = sys.modules["__main__"] = types.ModuleType("__main__")
            exec(compile(code, "<string>", "exec"), main.__dict__)
        else:
            sys.argv = [str(PROJECT / "run_experiment.py"), *arguments]
            import run_experiment

            sys.exit(run_experiment.main(list(arguments)))
    finally:
        atexit._run_exitfuncs()  # which multiprocessing leaves out where it forks
