"""A pool of processes that run trials side by side, for ``ConcurrentEngine``.

Each worker is a fresh interpreter: a fork would inherit threads of torch and a GPU that it cannot use. It imports its libraries once, then
runs one trial after another. A worker that dies takes only its trial with it; that is tried once more, by another.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import multiprocessing
import multiprocessing.connection
import multiprocessing.resource_tracker
import signal
import time
from collections.abc import Iterator, Mapping
from typing import Any

from strategies.engines.worker import RunTrial, serve

logger = logging.getLogger("retiarius.strategies")
MAX_ATTEMPTS = 2
_SECONDS_TO_DIE = 10.0  # after SIGKILL; only a process that hangs in the kernel takes longer


class WorkerPool:
    """``size`` processes, each of which calls ``run`` for one trial after another. Call :meth:`close` when done.

    Parameters
    ----------
    size
        Number of processes, 1 or more: trials that run at the same time.
    run
        ``run(sample, report, note) -> score``, sent to each worker once, by pickle. ``report`` takes intermediate scores, and may end the
        trial by an exception; ``note`` takes what else is known of the trial.
    threads
        Of torch, in each worker; ``None``: torch is not imported for that.
    """

    def __init__(self, size: int, run: RunTrial, *, threads: int | None = None) -> None:
        self._run, self._threads = run, threads
        self._tickets = itertools.count()
        self._workers: list[_Worker] = []
        try:
            for _ in range(size):
                self._workers.append(self.make_worker())
        except BaseException:
            self.close()
            raise

    @property
    def pids(self) -> list[int]:
        """The process ids of the workers."""
        return [worker.pid for worker in self._workers]

    def start(self, number: int, sample: Mapping[str, Any]) -> PoolTrial:
        """Start the trial of ``sample`` on an idle worker. Raises ``RuntimeError`` where none is idle."""
        worker = next((worker for worker in self._workers if worker.trial is None), None)
        if worker is None:
            raise RuntimeError(f"all {len(self._workers)} workers are busy")
        return PoolTrial(self, worker, number, sample)

    def close(self) -> None:
        """End all workers at once, whatever they are doing."""
        for worker in self._workers:
            worker.kill()
        self._workers.clear()

    def make_worker(self) -> _Worker:
        """A new process; it is part of the pool only where it takes the place of another."""
        return _Worker(self._run, self._threads)

    def replace(self, dead: _Worker) -> _Worker:
        """Another worker in the place of one that has died."""
        worker = self.make_worker()
        self._workers[self._workers.index(dead)] = worker
        return worker

    def next_ticket(self) -> int:
        """A number for one attempt at one trial: what is told of any other attempt is passed over."""
        return next(self._tickets)


class PoolTrial:
    """One trial on a worker; make it by ``WorkerPool.start``."""

    def __init__(self, pool: WorkerPool, worker: _Worker, number: int, sample: Mapping[str, Any]) -> None:
        self.facts: dict[str, Any] = {}
        self.start = time.monotonic()  # until the worker, which may still be importing, says that it begins
        self._pool, self._number, self._sample = pool, number, dict(sample)
        self._reports: list[float] = []
        self._told = self._attempts = 0
        self._outcome: tuple[float | None, str | None] | None = None
        self._begin(worker)

    def _begin(self, worker: _Worker) -> None:
        self._worker, self._ticket = worker, self._pool.next_ticket()
        self._attempts += 1
        self._seen = 0
        worker.trial = self
        worker.send("run", self._ticket, self._sample)

    def read_reports(self) -> list[float]:
        """The intermediate scores since the last call. A second attempt repeats those of the first, which are told once."""
        self._read()
        reports, self._reports = self._reports, []
        return reports

    def outcome(self) -> tuple[float | None, str | None] | None:
        """The score, or one line that says why there is none; ``None`` while the trial runs."""
        self._read()
        if self._outcome is None and self._worker.has_died:
            why = self._worker.describe_end()
            worker = self._pool.replace(self._worker)
            if self._attempts < MAX_ATTEMPTS:
                logger.warning("trial %d: its worker died (%s); it is tried once more", self._number, why)
                self._begin(worker)
            else:
                self._outcome = None, f"its worker died {MAX_ATTEMPTS} times, the last time by {why}"
        return self._outcome

    def stop(self) -> None:
        """Let the trial end at its next report; its worker takes another trial then."""
        if self._worker.trial is self:
            self._worker.send("stop", self._ticket)
            self._worker.trial = None

    def _read(self) -> None:
        if self._worker.trial is not self:
            return
        for kind, ticket, *rest in self._worker.messages():
            if ticket != self._ticket:
                continue  # of a trial that was stopped
            if kind == "report":
                self._seen += 1
                if self._seen > self._told:
                    self._reports.append(rest[0])
                    self._told = self._seen
            elif kind == "begin":
                self.start = time.monotonic()
            elif kind == "facts":
                self.facts = rest[0]
            else:
                score, error, traceback = rest
                if traceback is not None:
                    logger.warning("trial %d failed\n%s", self._number, traceback)
                self._outcome = score, error
                self._worker.trial = None
                return


class _Worker:
    """A process and our end of the pipe to it."""

    def __init__(self, run: RunTrial, threads: int | None) -> None:
        self.trial: PoolTrial | None = None
        self.has_died = False
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=serve, args=(theirs, run, threads), daemon=True)
        with _without_ctrl_c():
            self._process.start()
        theirs.close()  # so that the pipe ends when the worker does

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    def send(self, *message: Any) -> None:
        """Send a message; a worker that has died is noticed by :meth:`messages`."""
        with contextlib.suppress(OSError):
            self._connection.send(message)

    def messages(self) -> Iterator[tuple[Any, ...]]:
        """What the worker has sent; ``has_died`` is set where that ends with its end."""
        try:
            while self._connection.poll():
                yield self._connection.recv()
        except (EOFError, OSError):
            self.has_died = True

    def describe_end(self) -> str:
        """How the worker died, such as ``SIGKILL``."""
        self.kill()
        code = self._process.exitcode
        if code is None or code >= 0:
            return f"exit status {code}"
        try:
            return signal.Signals(-code).name
        except ValueError:
            return f"signal {-code}"

    def kill(self) -> None:
        """End the process, if it has not ended by itself."""
        if self.has_died:
            self._process.join(_SECONDS_TO_DIE)  # it closed the pipe by ending: let its own exit status stand
        self._process.kill()
        self._process.join(_SECONDS_TO_DIE)
        self._connection.close()


@contextlib.contextmanager
def _without_ctrl_c() -> Iterator[None]:
    """Processes that are started meanwhile never see Ctrl-C, which a terminal sends to all: ending them is their parent's affair."""
    multiprocessing.resource_tracker.ensure_running()  # else the first worker starts it, and it lets the signal through again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
