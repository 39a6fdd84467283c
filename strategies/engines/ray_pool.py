"""Trials as tasks of Ray, for ``ConcurrentEngine``: on this machine, or on a cluster that may grow and shrink meanwhile.

One task is one attempt at one trial. A worker that dies, alone or with its node, takes only its attempt with it; the trial is then tried
once more, on another node if there is one. What is running when the search ends is ended with it.

What runs a trial is pickled by cloudpickle: functions and classes of a notebook or of the program itself are sent as they are, by value.
"""

from __future__ import annotations

import itertools
import logging
import pickle
import queue
import time
from collections.abc import Callable, Mapping
from typing import Any

import cloudpickle
import numpy as np

from common.errors import EvaluatorError, describe_error
from common.trial import RunTrial
from strategies.engines.ray_connection import import_ray
from strategies.engines.ray_mailbox import Mailbox, News
from strategies.engines.ray_worker import AttemptEnd, Parcel, run_attempt

logger = logging.getLogger("retiarius.strategies")
MAX_ATTEMPTS = 2
_SECONDS_BETWEEN_LOOKS = 2.0  # at how large the cluster is, where nothing is heard
_SECONDS_TO_END = 1.0


class RayPool:
    """Calls ``run`` for one trial after another on the Ray that this process is connected to. Call :meth:`close` when done.

    Parameters
    ----------
    run
        Runs the trial of a sample; sent to each node once.
    threads
        Of torch, in each trial; ``None``: torch is not imported for that.
    prepare
        Called in each worker before all else, such as ``common.libraries.quiet_libraries``.
    needs
        What a trial takes, as Ray's tasks name it: ``num_cpus``, ``num_gpus``, ``resources``.

    Raises
    ------
    EvaluatorError
        ``run`` cannot be pickled.
    """

    def __init__(
        self,
        run: RunTrial,
        *,
        threads: int | None = None,
        prepare: Callable[[], None] | None = None,
        needs: Mapping[str, Any] | None = None,
    ) -> None:
        self._needs = {"num_cpus": 1, **(needs or {})}
        pickled, buffers = _pickle(run)
        self._ray = ray = import_ray()
        self._mailbox = ray.remote(Mailbox).options(num_cpus=0, scheduling_strategy=_here(ray)).remote()
        self._parcel = ray.put(Parcel(self._mailbox, pickled, buffers, cloudpickle.dumps(prepare), threads))
        self._attempt = ray.remote(run_attempt)
        self._tickets = itertools.count()
        self._heard: queue.SimpleQueue[tuple[int | None, Any]] = queue.SimpleQueue()  # Ray's threads put, the search takes
        self._running: dict[int, Any] = {}  # the task of each attempt that has not ended
        self._trials: dict[int, RayTrial] = {}  # whose attempt it is, unless it was stopped
        self._take_news()

    def start(self, number: int, sample: Mapping[str, Any]) -> RayTrial:
        """Start the trial of ``sample``; where there is no room, as soon as there is."""
        return RayTrial(self, number, sample)

    def begin(self, trial: RayTrial, sample: Mapping[str, Any], avoid: str | None) -> int:
        """Begin an attempt at ``trial`` and return its ticket; on another node than ``avoid`` where it can be."""
        ticket = next(self._tickets)
        where = {} if avoid is None else {"scheduling_strategy": _elsewhere(avoid)}
        task = self._attempt.options(max_retries=0, **self._needs, **where)
        reference = task.remote([self._parcel], self._parcel.hex(), ticket, dict(sample))
        self._running[ticket], self._trials[ticket] = reference, trial
        reference.future().add_done_callback(lambda done: self._heard.put((ticket, done)))
        return ticket

    def stop(self, ticket: int) -> None:
        """Let an attempt end when it next reports; no more is heard of it."""
        if self._trials.pop(ticket, None) is not None:
            self._mailbox.stop.remote(ticket)

    def wait(self) -> None:
        """Return when there may be something new of some trial."""
        try:
            self._hear(*self._heard.get(timeout=_SECONDS_BETWEEN_LOOKS))
        except queue.Empty:
            return
        self.collect()

    def collect(self) -> None:
        """Let the trials hear what has arrived."""
        while not self._heard.empty():
            self._hear(*self._heard.get())

    def close(self) -> None:
        """End all attempts: at once, or at the end of a computation that nothing interrupts; what goes on ends with the connection."""
        ray, running = self._ray, list(self._running.values())
        self._trials.clear()
        for reference in running:
            # Not by force: where an attempt ends in that moment, Ray 2.60 finds no task to complete, and aborts this process.
            ray.cancel(reference, force=False)
        if running:
            ray.wait(running, num_returns=len(running), timeout=_SECONDS_TO_END)
        self._running.clear()
        ray.kill(self._mailbox)

    def _take_news(self) -> None:
        self._mailbox.take.remote().future().add_done_callback(lambda done: self._heard.put((None, done)))

    def _hear(self, ticket: int | None, done: Any) -> None:
        """Pass on news, or the end of the attempt ``ticket``."""
        if ticket is None:
            if done.exception() is None:  # otherwise the mailbox is lost, and each attempt tells all at its end
                for message in done.result():
                    self._tell(message)
                self._take_news()
            return
        self._running.pop(ticket, None)
        trial = self._trials.pop(ticket, None)
        if trial is None:
            return
        error = done.exception()
        if error is None:
            trial.end(done.result())
        elif isinstance(error, _losses(self._ray)):
            trial.lose(_describe_loss(error))
        else:
            trial.fail(_describe_loss(error))

    def _tell(self, message: News) -> None:
        ticket, *news = message
        trial = self._trials.get(ticket)
        if trial is not None:
            trial.hear(*news)


class RayTrial:
    """One trial on Ray; make it by ``RayPool.start``."""

    def __init__(self, pool: RayPool, number: int, sample: Mapping[str, Any]) -> None:
        self.facts: dict[str, Any] = {}
        self.start = time.monotonic()  # until the worker, which may still be importing, says that it begins
        self._pool, self._number, self._sample = pool, number, dict(sample)
        self._reports: list[float] = []
        self._reported = self._attempts = 0
        self._node: str | None = None
        self._outcome: tuple[float | None, str | None] | None = None
        self._begin()

    def _begin(self) -> None:
        self._attempts += 1
        self._seen = 0
        self._heard: set[int] = set()  # numbers of this attempt's news
        self._ticket = self._pool.begin(self, self._sample, self._node)

    def read_reports(self) -> list[float]:
        """Return the intermediate scores since the last call. A second attempt repeats those of the first, which are told once."""
        self._pool.collect()
        reports, self._reports = self._reports, []
        return reports

    def outcome(self) -> tuple[float | None, str | None] | None:
        """Return the score, or one line that says why there is none; ``None`` while the trial runs."""
        self._pool.collect()
        return self._outcome

    def stop(self) -> None:
        """Let the trial end at its next report; there is room for another then."""
        self._pool.stop(self._ticket)

    def hear(self, number: int, kind: str, value: Any) -> None:
        """Take news of the attempt that runs."""
        self._heard.add(number)
        if kind == "begin":
            self.start, self._node = time.monotonic(), value
        elif kind == "facts":
            self.facts |= value
        elif kind == "line":
            logger.info("trial %d: %s", self._number, value)
        else:
            self._seen += 1
            if self._seen > self._reported:
                self._reports.append(value)
                self._reported = self._seen

    def end(self, told: AttemptEnd) -> None:
        """Take the end of the attempt, and what of its news has not arrived yet."""
        for number in sorted(told.news.keys() - self._heard):
            self.hear(number, *told.news[number])
        self.start = time.monotonic() - told.seconds
        if told.end.traceback is not None:
            logger.warning("trial %d failed\n%s", self._number, told.end.traceback)
        self._outcome = told.end.score, told.end.error

    def lose(self, why: str) -> None:
        """Try once more, as a worker or its node died."""
        if self._attempts < MAX_ATTEMPTS:
            logger.warning("trial %d: its worker died (%s); it is tried once more", self._number, why)
            self._begin()
        else:
            self.fail(f"its worker died {MAX_ATTEMPTS} times; the last time: {why}")

    def fail(self, why: str) -> None:
        """Fail by what another attempt would not change."""
        self._outcome = None, why


def _pickle(run: RunTrial) -> tuple[bytes, list[Any]]:
    """Return what runs a trial as bytes, and its arrays beside them, which are not copied on their way."""
    buffers: list[pickle.PickleBuffer] = []
    try:
        pickled = cloudpickle.dumps(run, protocol=5, buffer_callback=buffers.append)
    except Exception as error:  # whatever an object's own pickling raises
        why = describe_error(error)
        raise EvaluatorError(
            f"trials side by side are sent to other processes, and this cannot be: {why}; one worker needs no sending"
        ) from error
    return pickled, [np.frombuffer(buffer.raw(), dtype=np.uint8) for buffer in buffers]


def _losses(ray: Any) -> tuple[type[Exception], ...]:
    """Return the errors that another attempt may not meet again."""
    errors = ray.exceptions
    return errors.WorkerCrashedError, errors.NodeDiedError, errors.LocalRayletDiedError, errors.ObjectLostError


def _describe_loss(error: BaseException) -> str:
    import ray

    if isinstance(error, ray.exceptions.OutOfMemoryError):
        return "out of memory: Ray ended it before its node had none left; give a trial more room, or run fewer at a time"
    cause = getattr(error, "cause", None)  # Ray's own text begins with the task's name
    return describe_error(cause if isinstance(cause, BaseException) else error)


def _here(ray: Any) -> Any:
    """Return the strategy that keeps an actor on the node of this process."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    return NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)


def _elsewhere(node: str) -> Any:
    """Return the strategy that prefers every node to this one."""
    from ray.util.scheduling_strategies import NodeLabelSchedulingStrategy, NotIn

    return NodeLabelSchedulingStrategy(hard={}, soft={"ray.io/node-id": NotIn(node)})
