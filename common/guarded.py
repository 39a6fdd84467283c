"""Commands that do not outlive the process that asked for them, whatever becomes of it: started and ended under ``guard.py``."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import IO

GUARD = Path(__file__).with_name("guard.py")


def start_guarded(
    whom: str,
    seconds: str,
    command: str,
    *,
    directory: Path,
    environment: Mapping[str, str],
    stdout: IO[bytes],
    stderr: IO[bytes],
    removed: Path | None = None,
) -> subprocess.Popen[bytes]:
    """Run ``command`` by a shell in ``directory``, under ``guard.py``, which says what ``whom`` and ``seconds`` are.

    ``python`` in it is the one that runs this. The folder ``removed`` goes when this ends the command, or is killed.
    """
    path = os.pathsep.join([str(Path(sys.executable).parent), environment.get("PATH", os.defpath)])
    return subprocess.Popen(
        [sys.executable, str(GUARD), whom, seconds, command, *([] if removed is None else [str(removed)])],
        stdin=subprocess.PIPE,
        cwd=directory,
        env={**environment, "PATH": path},
        start_new_session=True,  # Ctrl-C in the terminal reaches this program alone, which then ends what it has started
        stdout=stdout,
        stderr=stderr,
    )


def stop_guarded(process: subprocess.Popen[bytes], seconds: float) -> None:
    """End what runs under ``guard.py``, the leader of its group: it is told to, and killed with its group where it takes longer."""
    if process.stdin is not None and not process.stdin.closed:
        with contextlib.suppress(OSError):
            process.stdin.close()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(seconds)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)  # the guard itself may have been killed
    process.wait()
