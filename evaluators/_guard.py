"""Runs one command and sees to it that nothing of it outlives the process that asked for it, whatever becomes of that process.

Started as ``python -S _guard.py COMMAND`` in a process group of its own, with a pipe for standard input. The pipe ends when its other end
is closed or its process has died, also by ``kill -9``; then the whole group is ended. Exit status: the command's, as a shell gives it.
"""

import os
import signal
import subprocess
import sys
import threading
import time

SECONDS_TO_END = 2.0  # between SIGTERM and SIGKILL


def end_group_with(pipe: int, command: "subprocess.Popen[bytes]", ended: threading.Event) -> None:
    """Wait until ``pipe`` ends, then end this process's group."""
    while os.read(pipe, 1):
        pass
    ended.set()
    os.killpg(0, signal.SIGTERM)
    deadline = time.monotonic() + SECONDS_TO_END
    while command.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    os.killpg(0, signal.SIGKILL)


def main() -> int:
    """Run the command; never returns where the pipe ends first."""
    signal.signal(signal.SIGTERM, lambda *_: None)  # a handler, unlike SIG_IGN, is not handed down to the command
    command = subprocess.Popen(sys.argv[1], shell=True, stdin=subprocess.DEVNULL)
    ended = threading.Event()
    watcher = threading.Thread(target=end_group_with, args=(0, command, ended), daemon=True)
    watcher.start()
    status = command.wait()
    if ended.is_set():  # the command obeyed, but what it has started may not
        watcher.join()
    return status if status >= 0 else 128 - status


if __name__ == "__main__":
    sys.exit(main())
