"""A pool of processes that run trials side by side, for ``ConcurrentEngine``.

Each worker is a fresh interpreter: a fork would inherit threads of torch and a GPU that it cannot use. It imports its libraries once, then
runs one trial after another. A worker that dies takes only its trial with it; that is tried once more, by another.

What runs a trial is pickled by cloudpickle: functions and classes of a notebook or of the program itself are sent as they are, by value.
The program's own file is not run again in a worker, so that it needs no ``if __name__ == "__main__"``.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import multiprocessing
import multiprocessing.connection
import multiprocessing.resource_tracker
import signal
import sys
import time
import types
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import cloudpickle

from common.errors import EvaluatorError, describe_error
from common.trial import RunTrial
from strategies.engines.worker import serve

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
        Runs the trial of a sample; sent to each worker once, by cloudpickle.
    threads
        Of torch, in each worker; ``None``: torch is not imported for that.
    prepare
        Called in each worker before all else, such as ``common.libraries.quiet_libraries``: what it prints goes to this one's terminal.

    Raises
    ------
    EvaluatorError
        ``run`` cannot be pickled.
    """

    def __init__(self, size: int, run: RunTrial, *, threads: int | None = None, prepare: Callable[[], None] | None = None) -> None:
        self._run, self._threads, self._prepare = run, threads, prepare
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
        """Start the trial of ``sample`` on an idle worker; raise ``RuntimeError`` where none is idle."""
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
        """Return a new process; it is part of the pool only where it takes the place of another."""
        return _Worker(self._run, self._threads, self._prepare)

    def replace(self, dead: _Worker) -> _Worker:
        """Return another worker in the place of one that has died."""
        worker = self.make_worker()
        self._workers[self._workers.index(dead)] = worker
        return worker

    def next_ticket(self) -> int:
        """Return a number for one attempt at one trial: what is told of any other attempt is passed over."""
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
        """Return the intermediate scores since the last call. A second attempt repeats those of the first, which are told once."""
        self._read()
        reports, self._reports = self._reports, []
        return reports

    def outcome(self) -> tuple[float | None, str | None] | None:
        """Return the score, or one line that says why there is none; ``None`` while the trial runs."""
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
                self.facts |= rest[0]
            else:
                score, error, traceback = rest
                if traceback is not None:
                    logger.warning("trial %d failed\n%s", self._number, traceback)
                self._outcome = score, error
                self._worker.trial = None
                return


class _Sent:
    """What runs a trial, on its way to a process that is being started, where it arrives as bytes.

    It is pickled as the process is started, neither before nor after: only then a data set can hand over its file.
    """

    def __init__(self, run: RunTrial) -> None:
        self._run = run

    def __reduce__(self) -> tuple[Callable[..., bytes], tuple[bytes]]:
        try:
            return bytes, (cloudpickle.dumps(self._run),)
        except Exception as error:  # whatever an object's own pickling raises
            why = describe_error(error)
            raise EvaluatorError(
                f"trials side by side are sent to other processes, and this cannot be: {why}; one worker needs no sending"
            ) from error


class _Worker:
    """A process and our end of the pipe to it."""

    def __init__(self, run: RunTrial, threads: int | None, prepare: Callable[[], None] | None) -> None:
        self.trial: PoolTrial | None = None
        self.has_died = False
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=serve, args=(theirs, _Sent(run), threads, prepare), daemon=True)
        with _without_ctrl_c(), _without_main():
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
        """Yield what the worker has sent; ``has_died`` is set where that ends with its end."""
        try:
            while self._connection.poll():
                yield self._connection.recv()
        except (EOFError, OSError):
            self.has_died = True

    def describe_end(self) -> str:
        """Return how the worker died, such as ``SIGKILL``."""
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
    """Keep Ctrl-C, which a terminal sends to all, from processes that are started meanwhile: ending them is their parent's affair."""
    multiprocessing.resource_tracker.ensure_running()  # else the first worker starts it, and it lets the signal through again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextlib.contextmanager
def _without_main() -> Iterator[None]:
    """Keep processes that are started meanwhile from running the program's file again, as multiprocessing would have them do."""
    program = sys.modules["__main__"]
    sys.modules["__main__"] = types.ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = program
