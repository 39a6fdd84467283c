"""Run one command and see to it that nothing of it outlives the process that asked for it, whatever becomes of that process.

Started as ``python guard.py WHOM SECONDS COMMAND [FOLDER]`` in a process group of its own, with a pipe for standard input. The pipe ends
when its other end is closed or its process has died, also by ``kill -9``. Then WHOM (``group``: the whole group; ``command``: the command
alone, such as a service that ends in good order what it has started) gets SIGTERM. What is there SECONDS later is killed, and FOLDER is
removed. What the command has left behind when it ends by itself is killed, too. Processes that have left the group are found: where the
system can do this (Linux), this process becomes the parent of every descendant whose own parent ends. Exit status: the command's, as a
shell gives it.
"""

import contextlib
import ctypes
import os
import shutil
import signal
import subprocess
import sys
import threading
import time

import psutil

PR_SET_CHILD_SUBREAPER = 36
ROUNDS, SECONDS_A_ROUND = 5, 0.5  # a process may start another one between a look and its end


def adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent ends."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def descendants() -> "list[psutil.Process]":
    """Return those that run; one that has ended and waits to be collected does not."""
    found = []
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            found += [process] if process.status() != psutil.STATUS_ZOMBIE else []
    return found


def kill_descendants() -> None:
    """Kill all that the command has started and that still runs."""
    for _ in range(ROUNDS):
        left = descendants()
        if not left:
            return
        for process in left:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(left, SECONDS_A_ROUND)


def remove_folder() -> None:
    """Remove the folder that is the command's alone, where one was named."""
    for folder in sys.argv[4:]:
        shutil.rmtree(folder, ignore_errors=True)


def end_with(pipe: int, command: "subprocess.Popen[bytes]", ended: threading.Event) -> None:
    """Wait until ``pipe`` ends, then end all, this process included."""
    while os.read(pipe, 1):
        pass
    ended.set()
    if sys.argv[1] == "group":
        os.killpg(0, signal.SIGTERM)
    else:
        command.terminate()
    deadline = time.monotonic() + float(sys.argv[2])
    while command.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    kill_descendants()
    remove_folder()
    os.killpg(0, signal.SIGKILL)


def main() -> int:
    """Run the command; never returns where the pipe ends first."""
    signal.signal(signal.SIGTERM, lambda *_: None)  # a handler, unlike SIG_IGN, is not handed down to the command
    adopt_orphans()
    command = subprocess.Popen(sys.argv[3], shell=True, stdin=subprocess.DEVNULL)
    ended = threading.Event()
    watcher = threading.Thread(target=end_with, args=(0, command, ended), daemon=True)
    watcher.start()
    status = command.wait()
    if ended.is_set():  # the command obeyed, but what it has started may not
        watcher.join()
    kill_descendants()
    return status if status >= 0 else 128 - status


if __name__ == "__main__":
    sys.exit(main())
