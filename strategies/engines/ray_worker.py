"""What a worker of Ray does for one trial. Nothing heavy is imported here: what a trial needs comes with the function that runs it.

Told to the mailbox of attempt ``ticket``: ``begin`` with the node's id, ``facts``, ``report`` with a score, ``line`` that was printed. All
of it comes back with the end as well, so that nothing is lost where an end is faster than the news before it.
"""

from __future__ import annotations

import itertools
import pickle
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from common.trial import RunTrial, Sample
from strategies.engines.ray_prints import prints_taken
from strategies.engines.trial_runner import TrialEnd, TrialPruned, run_trial


@dataclass(frozen=True)
class Parcel:
    """What every trial of a search needs, put into Ray's store once and read there by all workers of a node.

    Attributes
    ----------
    mailbox
        The handle of a ``Mailbox``.
    run, buffers
        What runs a trial, pickled by cloudpickle; its arrays, which are read where they lie.
    prepare
        Pickled: called before all else, or ``None``.
    threads
        Of torch; ``None``: torch is not imported for that.
    """

    mailbox: Any
    run: bytes
    buffers: list[Any]
    prepare: bytes
    threads: int | None


@dataclass
class AttemptEnd:
    """How an attempt at a trial ended, and all that it has told, by its number; ``seconds`` is its duration."""

    end: TrialEnd
    news: dict[int, tuple[str, Any]] = field(default_factory=dict)
    seconds: float = 0.0


_opened: dict[str, tuple[Any, RunTrial]] = {}  # of the search that this process works for, by the name of its parcel


def run_attempt(parcel: list[Any], name: str, ticket: int, sample: Sample) -> AttemptEnd:
    """Run the trial of ``sample`` in this process.

    Parameters
    ----------
    parcel
        The reference to a ``Parcel``, in a list: Ray is asked for what it refers to only where this process has not opened it yet.
    name
        Of the parcel.
    ticket
        Of the attempt.
    sample
        What is tried.
    """
    import ray

    if name not in _opened:
        _opened.clear()
        _opened[name] = _open(ray.get(parcel[0]))
    mailbox, run = _opened[name]
    told = AttemptEnd(TrialEnd("failed"))

    numbers = itertools.count()

    def tell(kind: str, value: Any) -> Any:
        number = next(numbers)  # lines of several threads are on their way at once
        told.news[number] = kind, value
        return mailbox.tell.remote(ticket, number, kind, value)

    def ask(kind: str, value: Any) -> None:
        """Tell it, and end the trial where the search says so."""
        try:
            stops = ray.get(tell(kind, value))
        except ray.exceptions.RayActorError:  # all is told again at the end
            return
        if stops:
            raise TrialPruned

    start = time.monotonic()
    try:
        ask("begin", ray.get_runtime_context().get_node_id())
    except TrialPruned:
        return told
    with prints_taken(partial(tell, "line")):
        told.end = run_trial(run, sample, partial(ask, "report"), partial(ask, "facts"))
    told.seconds = time.monotonic() - start
    return told


def _open(parcel: Parcel) -> tuple[Any, RunTrial]:
    """Return the mailbox and what runs a trial; where the latter cannot be had here, what fails every trial by the reason."""
    try:
        prepare: Callable[[], None] | None = pickle.loads(parcel.prepare)
        if prepare is not None:
            prepare()
        run = pickle.loads(parcel.run, buffers=parcel.buffers)
        if parcel.threads is not None:
            import torch

            torch.set_num_threads(parcel.threads)
    except Exception as error:
        run = partial(_fail, error)
    return parcel.mailbox, run


def _fail(error: Exception, *_: Any) -> float:
    raise error
