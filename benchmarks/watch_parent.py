"""Processes of a benchmark that do not outlive it."""

from __future__ import annotations

import multiprocessing
import os
import threading


def watch_parent() -> None:
    """Let this process end at once where the one that started it has ended."""
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()  # its end of a pipe closes, also by kill -9
    os._exit(1)
