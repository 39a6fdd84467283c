"""An execution engine for several trials at a time, each in a process of its own, behind NNI's ``ExecutionEngine`` interface.

The processes are programs of one's own, or workers of Ray (``strategies/engines/ray_pool.py``). NNI's own training service hands results
to the wrong trial as soon as two run at once. Here a result can only come from the process that was started with the parameters.

What a strategy hears, and when, is the same whenever the trials end in the same order: it makes its first proposals without any result,
and hears of exactly one more trial, in the order of their ends, before each further proposal. The record has that order, so that a
resumed search hears the same and proposes the same, up to the interruption. Two runs with one seed may differ, as trials end earlier or
later; with one trial at a time they do not.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from nni.nas.execution.event import IntermediateMetricEvent
from nni.nas.space import ExecutableModelSpace

from common.trial import Trial, sample_key
from strategies.engines.recording import RecordingEngine

if TYPE_CHECKING:
    from strategies.optuna.pruning import Judged

logger = logging.getLogger("retiarius.strategies")
SECONDS_BETWEEN_LOOKS = 0.05


class RunningTrial(Protocol):
    """A trial that was started; higher scores are better.

    Attributes
    ----------
    start
        Reading of the monotonic clock at its beginning, in seconds.
    facts
        What else is known of it once it has ended.
    """

    start: float
    facts: dict[str, Any]

    def read_reports(self) -> list[float]:
        """Return the intermediate results that are new since the last call; NaN for what is no number."""
        ...

    def outcome(self) -> tuple[float | None, str | None] | None:
        """Return the score, or why there is none; ``None`` while the trial runs. After it, no more reports come."""
        ...

    def stop(self) -> None:
        """End the trial, with all that it has started. It may have ended already."""
        ...


@dataclass
class _Outstanding:
    """A trial that was submitted and of whose end the strategy has not heard."""

    number: int
    sample: dict[str, Any]
    models: list[ExecutableModelSpace]
    judged: Judged | None
    known: Trial | None = None
    running: RunningTrial | None = None
    curve: list[float] = field(default_factory=list)


class ConcurrentEngine(RecordingEngine):
    """Starts submitted models as they come, ``concurrency`` at a time.

    Parameters
    ----------
    start
        Starts the trial of a number and a (canonical) sample.
    concurrency
        Trials that run at the same time, 1 or more; a function that says it anew, where a cluster grows and shrinks.
    wait
        Returns when there may be something new of some trial, and after a few seconds otherwise; ``None``: waits 50 milliseconds.
    close
        Called by :meth:`shutdown`, after the trials were stopped.
    options
        As ``RecordingEngine`` takes them.
    """

    def __init__(
        self,
        start: Callable[[int, Mapping[str, Any]], RunningTrial],
        *,
        concurrency: int | Callable[[], int] = 1,
        wait: Callable[[], None] | None = None,
        close: Callable[[], None] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self._start, self._close = start, close
        self._wait = wait or partial(time.sleep, SECONDS_BETWEEN_LOOKS)
        self._concurrency = concurrency if callable(concurrency) else lambda: concurrency
        self._outstanding: dict[str, _Outstanding] = {}

    def _take_over(self, trials: Iterable[Trial]) -> None:
        super()._take_over(trials)
        self._order = {key: position for position, key in enumerate(self._known)}

    def _forget(self, key: str) -> None:
        super()._forget(key)
        self._order.pop(key, None)

    def _try(self, model: ExecutableModelSpace, sample: dict[str, Any]) -> None:
        """Answer what was heard of before, wait for what is outstanding, reject, or start a trial."""
        key = sample_key(sample)
        is_new = self._note_proposal(key)
        if key in self._outstanding:
            self._outstanding[key].models.append(model)
            self._hear_of_one()  # a strategy that comes back to an open trial has to hear something new before it can think of another
        elif key in self._known and not is_new:
            self._answer(model, self._known[key])
        elif key in self._known or not self._is_rejected(model, key, sample):
            self._begin(model, key, sample)

    def _begin(self, model: ExecutableModelSpace, key: str, sample: dict[str, Any]) -> None:
        self.idle_worker_available()  # a strategy may submit several models at once
        known = self._known.get(key)
        was_told = known is not None and self._replays_at_once
        judged = self._pruning.begin(sample.get("epochs")) if self._pruning is not None and not was_told else None
        if known is not None:
            self._rejected_in_a_row = 0
        number = self._next_number() if known is None else known.number
        trial = self._outstanding[key] = _Outstanding(number, sample, [model], judged, known)
        if known is None:
            trial.running = self._start(number, sample)

    def idle_worker_available(self) -> bool:
        """Return whether another trial can start; where none can, wait for the end of one, or for more room."""
        while not self._has_room():  # one that failed may be retried at once, and takes the place that it left
            self._hear_of_one(unless=self._has_room)
        return True

    @property
    def open_trials(self) -> int:
        return self._concurrency()

    def _has_room(self) -> bool:
        return len(self._outstanding) < self._concurrency()

    def wait_models(self, *models: ExecutableModelSpace) -> None:
        waited = {id(model) for model in models}
        while any(not waited or id(model) in waited for trial in self._outstanding.values() for model in trial.models):
            self._hear_of_one()

    def _count_trials(self) -> int:
        return super()._count_trials() + sum(trial.known is None for trial in self._outstanding.values())

    def shutdown(self) -> None:
        """End every trial that still runs; they are not recorded."""
        try:
            for trial in self._outstanding.values():
                if trial.running is not None:
                    trial.running.stop()
            self._outstanding.clear()
        finally:
            if self._close is not None:
                self._close()

    def _hear_of_one(self, unless: Callable[[], bool] = lambda: False) -> None:
        """Let the strategy hear of one trial's end: the next of the record, as long as there are such, else the first to end.

        It hears of none where ``unless()`` comes to hold while none ends.
        """
        recorded = [key for key, trial in self._outstanding.items() if trial.known is not None]
        key = min(recorded, key=self._order.__getitem__) if recorded else self._wait_for_one(unless)
        if key is None:
            return
        trial = self._outstanding.pop(key)
        result = trial.known
        assert result is not None
        if key in self._order:  # from an earlier run; otherwise the reports were told as they came
            self._tell_curve(trial, result.curve)
        if trial.judged is not None:
            trial.judged.end(result.state, result.score)
        for model in trial.models:
            self._end(model, result)

    def _wait_for_one(self, unless: Callable[[], bool]) -> str | None:
        """Return the key of the first trial to end, which is then known and recorded; ``None`` where ``unless()`` holds before."""
        while True:
            for key, trial in self._outstanding.items():
                result = self._look_at(trial)
                if result is not None:
                    trial.known = self._known[key] = result
                    if self._on_result is not None:
                        self._on_result(result)
                    return key
            if unless():
                return None
            self._wait()

    def _look_at(self, trial: _Outstanding) -> Trial | None:
        """Pass on what the trial has reported since; return its result, where it has ended or is ended here."""
        assert trial.running is not None
        outcome = trial.running.outcome()  # before the reports: those of a trial that has ended are then complete
        state: str | None = None
        score, error = outcome or (None, None)
        if self._tell_curve(trial, trial.running.read_reports()) and outcome is None:
            trial.running.stop()
            state = "pruned"
        elif outcome is not None:
            state = "failed" if score is None else "complete"
        if state is None:
            return None
        if error is not None:
            logger.warning("trial %d failed: %s", trial.number, error)
        seconds = time.monotonic() - trial.running.start
        how: dict[str, Any] = {"state": state, "score": score, "curve": list(trial.curve), "seconds": seconds, "error": error}
        return self._make_trial(trial.number, trial.sample, **how, facts=trial.running.facts)

    def _tell_curve(self, trial: _Outstanding, values: list[float]) -> bool:
        """Tell strategy and pruner of reports; return whether the trial should end."""
        stops = False
        for value in values:
            trial.curve.append(value)
            if math.isfinite(value):
                for model in trial.models:
                    self.dispatch_model_event(IntermediateMetricEvent(model, value))
            if trial.judged is not None:
                stops = trial.judged.stops(value) or stops
        return stops
