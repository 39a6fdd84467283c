"""The lock on a run's folder: one process, whatever becomes of it and of its children."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from project import PROJECT

from common.errors import RecordError
from records.run_folder import RunFolder
from records.run_lock import is_locked


def create(out: Path, *, resume: bool = False) -> RunFolder:
    return RunFolder.create(out, space="darts", strategy="tpe", resume=resume)


HOLD = """
import os, sys, time
from pathlib import Path
from records.run_folder import RunFolder
folder = RunFolder.create(Path(sys.argv[1]), space="darts", strategy="tpe", identity={})
folder.write_config({})
what = sys.argv[2] if len(sys.argv) > 2 else ""
if what == "":
    print("ready", flush=True)
elif what == "orphan" and os.fork() == 0:
    print(os.getpid(), flush=True)
elif what == "close" and os.fork() == 0:
    folder.close()
    print("closed", flush=True)
    os._exit(0)
time.sleep(60)
"""


@contextlib.contextmanager
def running(*arguments: object) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The program HOLD with these arguments, and the first line it says."""
    command = [sys.executable, "-c", HOLD, *map(str, arguments)]
    with subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process, process.stdout.readline().strip()
        finally:
            process.kill()


def test_two_processes_never_write_one_run(tmp_path: Path) -> None:
    out = tmp_path / "run"
    with running(out) as (process, said):
        assert said == "ready"
        with pytest.raises(RecordError) as error:
            create(out, resume=True)
    assert f"another process (pid {process.pid}) is writing this run" in str(error.value)
    with create(out, resume=True), pytest.raises(RecordError) as error:
        create(out, resume=True)
    assert f"(pid {os.getpid()})" in str(error.value)
    create(out, resume=True).close()


def test_an_orphaned_worker_does_not_keep_the_lock(tmp_path: Path) -> None:
    with running(tmp_path, "orphan") as (process, child):
        process.kill()
        process.wait()
        try:
            os.kill(int(child), 0)  # it lives
            create(tmp_path, resume=True).close()
        finally:
            os.kill(int(child), signal.SIGKILL)


def test_a_worker_that_closes_leaves_its_parent_the_lock(tmp_path: Path) -> None:
    with running(tmp_path, "close") as (process, said):
        assert said == "closed"
        with pytest.raises(RecordError, match=f"another process .pid {process.pid}. is writing"):
            create(tmp_path, resume=True)


def test_a_file_system_without_locks_still_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", fail)
    with create(tmp_path / "run") as folder:
        folder.write_config({})
        assert not is_locked(folder.path), "it cannot be known"
    assert folder.config_path.exists()


def test_looking_at_a_lock_neither_takes_nor_spoils_it(tmp_path: Path) -> None:
    assert not is_locked(tmp_path)
    with create(tmp_path) as folder:
        assert is_locked(tmp_path) and is_locked(tmp_path)
        folder.write_config({})
        with pytest.raises(RecordError, match=f"pid {os.getpid()}"):
            create(tmp_path, resume=True)
    assert not is_locked(tmp_path) and (tmp_path / ".lock").exists()
    create(tmp_path, resume=True).close()
