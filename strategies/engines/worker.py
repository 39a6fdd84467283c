"""One worker of ``strategies/engines/pool.py``: a process that runs trials, one after another, as they come through a pipe.

Nothing heavy is imported here: what a trial needs comes with the function that runs it.

Messages to the worker: ``("run", ticket, sample)``, ``("stop", ticket)``. Messages from it, of the trial of that ticket: ``("begin",
ticket)``, ``("facts", ticket, facts)``, ``("report", ticket, score)``, and at last ``("end", ticket, score, error, traceback)``.
"""

from __future__ import annotations

import math
import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
import traceback
from collections.abc import Callable, Mapping
from typing import Any

from common.errors import describe_error

# run(sample, report, note) -> score: `report` takes intermediate scores, `note` what else is known of the trial.
RunTrial = Callable[[Mapping[str, Any], Callable[[float], None], Callable[[dict[str, Any]], None]], float]


class _Stopped(BaseException):
    """Raised out of a report to end the trial. No ``Exception``: an evaluator that catches those must not go on training."""


def serve(connection: multiprocessing.connection.Connection, run: RunTrial, threads: int | None) -> None:
    """Run trials until the pipe ends; the process ends with the one that started it, however that one ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in the terminal reaches all; the parent ends its workers
    watch_parent()
    if threads is not None:
        import torch

        torch.set_num_threads(threads)
    while True:
        try:
            kind, ticket, *rest = connection.recv()
        except EOFError:
            return
        if kind == "run":  # a stop that came too late for its trial is passed over
            connection.send(("end", ticket, *_run(connection, run, ticket, rest[0])))


def watch_parent() -> None:
    """This process ends at once where the one that started it has ended."""
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()  # its end of a pipe closes, also by kill -9
    os._exit(1)


def _run(connection: multiprocessing.connection.Connection, run: RunTrial, ticket: int, sample: Mapping[str, Any]) -> tuple[Any, ...]:
    """Score, error and traceback; the last two are ``None`` where there is a score."""

    def report(score: float) -> None:
        connection.send(("report", ticket, float(score)))
        if connection.poll():  # the next trial is sent only after this one's end, or after its stop
            connection.recv()
            raise _Stopped

    try:
        connection.send(("begin", ticket))
        score = run(sample, report, lambda facts: connection.send(("facts", ticket, facts)))
        if not math.isfinite(score):
            raise ValueError(f"the evaluator's score is {score}")
        return float(score), None, None
    except _Stopped:
        return None, "stopped", None
    except Exception as error:  # a failing trial must not end the worker, whatever fails in it
        return None, describe_error(error), traceback.format_exc()
