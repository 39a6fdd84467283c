"""Runs one service and sees to it that neither it nor anything it has started outlives the process that asked for it.

Started as ``python _service_guard.py COMMAND ARGUMENT...`` with a pipe for standard input, which ends when its other end is closed or its
process has died, also by ``kill -9``. The service is then asked to end (SIGTERM, at which NNI's closes its files and ends its trials),
and what is there some seconds later is killed. Unlike ``_guard.py`` this one finds processes that have left the group: NNI's service
gives its trials groups of their own.
"""

import contextlib
import ctypes
import os
import subprocess
import sys
import threading

import psutil

SECONDS_TO_END = 15.0
PR_SET_CHILD_SUBREAPER = 36


def adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent ends, where the system can do this (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def end(service: "subprocess.Popen[bytes]") -> None:
    """End the service, then all that is left of it."""
    others = psutil.Process().children(recursive=True)
    service.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        service.wait(SECONDS_TO_END)
    for process in {*others, *psutil.Process().children(recursive=True)}:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()


def end_with(pipe: int, service: "subprocess.Popen[bytes]") -> None:
    """Wait until ``pipe`` ends, then end the service."""
    while os.read(pipe, 1):
        pass
    end(service)


def main() -> int:
    """Run the service until it or the pipe ends."""
    adopt_orphans()
    service = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL)
    threading.Thread(target=end_with, args=(0, service), daemon=True).start()
    status = service.wait()
    end(service)
    return status


if __name__ == "__main__":
    sys.exit(main())
