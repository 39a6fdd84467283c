"""One worker of ``strategies/engines/pool.py``: a process that runs trials, one after another, as they come through a pipe.

Nothing heavy is imported here: what a trial needs comes with the function that runs it.

Messages to the worker: ``("run", ticket, sample)``, ``("stop", ticket)``. Messages from it, of the trial of that ticket: ``("begin",
ticket)``, ``("facts", ticket, facts)``, ``("report", ticket, score)``, and at last ``("end", ticket, score, error, traceback)``.
"""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import os
import pickle
import signal
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

from common.trial import RunTrial, Sample
from strategies.engines.trial_runner import TrialEnd, TrialPruned, run_trial


def serve(
    connection: multiprocessing.connection.Connection, pickled: bytes, threads: int | None, prepare: Callable[[], None] | None
) -> None:
    """Run trials until the pipe ends; the process ends with the one that started it, however that one ends.

    Parameters
    ----------
    connection
        To the pool.
    pickled
        What runs a trial, a ``RunTrial``, as ``strategies.engines.pool`` sends it.
    threads
        Of torch; ``None``: torch is not imported for that.
    prepare
        Called first; ``None``: nothing is.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in the terminal reaches all; the parent ends its workers
    watch_parent()
    if prepare is not None:
        prepare()
    run = _load(pickled)
    if threads is not None:
        import torch

        torch.set_num_threads(threads)
    while True:
        try:
            kind, ticket, *rest = connection.recv()
        except EOFError:
            return
        if kind == "run":  # a stop that came too late for its trial is passed over
            end = _run(connection, run, ticket, rest[0])
            connection.send(("end", ticket, end.score, end.error, end.traceback))


def watch_parent() -> None:
    """Let this process end at once where the one that started it has ended."""
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()  # its end of a pipe closes, also by kill -9
    os._exit(1)


def _load(pickled: bytes) -> RunTrial:
    """Return what runs a trial; where it cannot be had here, what fails every trial by the reason."""
    try:
        return pickle.loads(pickled)
    except Exception as error:
        return partial(_fail, error)


def _fail(error: Exception, *_: Any) -> float:
    raise error


def _run(connection: multiprocessing.connection.Connection, run: RunTrial, ticket: int, sample: Sample) -> TrialEnd:
    def report(score: float) -> None:
        connection.send(("report", ticket, score))
        if connection.poll():  # the next trial is sent only after this one's end, or after its stop
            connection.recv()
            raise TrialPruned

    connection.send(("begin", ticket))
    return run_trial(run, sample, report, lambda facts: connection.send(("facts", ticket, facts)))
