"""The engine of a search with a time budget: trials wait on their way, and the best of them go on where they left off."""

from __future__ import annotations

import contextlib
import logging
import math
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from nni.nas.execution.event import IntermediateMetricEvent
from nni.nas.space import ExecutableModelSpace, ModelStatus

from common.trial import AT_ONE_GO, PLANNED_EPOCHS, RunTrial, Sample, Trial, sample_key
from strategies.engines.in_process import InProcessEngine
from strategies.engines.recording import ContinuedEvent
from strategies.engines.trial_runner import TrialPruned, run_trial
from strategies.engines.unfinished import drop_unfinished, keep_unfinished, read_unfinished
from strategies.rungs import Length, Rungs

logger = logging.getLogger("retiarius.strategies")


class PacedEngine(InProcessEngine):
    """Runs each submitted model at once, as far as its first rung; whenever there is time for a trial, one that waits may come first.

    A strategy hears of a trial when it waits, with its score so far, and again (``ContinuedEvent``) whenever it has gone on. When less than
    ``share`` is left no new trial begins, and the best that wait go on until the time is up. What then runs is stopped after an epoch, and
    counts with that. One that an interruption cut off goes on after its last epoch, as soon as its sample is submitted.

    Parameters
    ----------
    run
        Runs a trial of a sample in which ``epochs``, ``since``, ``until`` and ``checkpoint`` stand beside the rest, as
        ``evaluators.training.loop.train_and_validate`` takes them.
    length
        Says how long the trial of a (canonical) sample is.
    share
        Seconds of a whole trial.
    checkpoints
        A folder, in which trials that wait or were cut off have their state.
    time_budget
        Seconds that are left to the search after the trials in ``known``. What else was spent on trials that were cut off is taken off.
    clock
        Says the time, in seconds.
    options
        As ``RecordingEngine`` takes them. There is no pruner.
    """

    def __init__(
        self,
        run: RunTrial,
        *,
        length: Callable[[Sample], Length],
        share: float,
        checkpoints: Path,
        time_budget: float,
        clock: Callable[[], float] = time.monotonic,
        **options: Any,
    ) -> None:
        self._length, self._share, self._checkpoints, self._clock = length, share, checkpoints, clock
        self._rungs = Rungs()
        self._is_closing = self._ended_by_time = False
        self._model_of: dict[str, ExecutableModelSpace] = {}
        super().__init__(run, **options)
        self._unfinished: dict[str, Trial] = {}
        self._end_of_time = clock() + time_budget - self._take_over_unfinished()

    def _take_over_unfinished(self) -> float:
        """Count the trials that were cut off as begun, and return how many of their seconds are not on record."""
        seconds = 0.0
        for trial in read_unfinished(self._checkpoints):
            before = self._known.get(sample_key(trial.sample))
            is_new = before is None and trial.number not in self._taken
            if is_new or (before is not None and before.number == trial.number and len(before.curve) < len(trial.curve)):
                self._unfinished[sample_key(trial.sample)] = trial
                self._taken.add(trial.number)
                seconds += trial.seconds - (0.0 if before is None else before.seconds)
            elif before is not None and before.number == trial.number:  # on record since, and what it left is not taken away yet
                self._clean_up(before)
        return seconds

    @property
    def unfinished(self) -> list[Trial]:
        return list(self._unfinished.values())

    @property
    def seconds_left(self) -> float:
        """Seconds until the time is up, less than 0 after it."""
        return self._end_of_time - self._clock()

    @property
    def out_of_time(self) -> bool:
        """Whether less than a share is left; once the search was closed, whether it was so then: what waits takes the rest."""
        return self._ended_by_time if self._is_closing else self.seconds_left < self._share

    def _take_over(self, trials: Iterable[Trial]) -> None:
        trials = list(trials)
        super()._take_over(trials)
        for trial in trials:
            for epoch, rung in _length_of(trial).rungs.items():
                if epoch <= len(trial.curve):
                    self._rungs.note(sample_key(trial.sample), rung, trial.curve[epoch - 1])

    def _try(self, model: ExecutableModelSpace, sample: dict[str, Any]) -> None:
        key = sample_key(sample)
        is_first = self._model_of.setdefault(key, model) is model
        if key in self._unfinished:
            self._note_proposal(key)
            self._take_up(model, self._unfinished.pop(key))
            return
        if is_first and key in self._known:
            self._wait_again(self._known[key])
        super()._try(model, sample)

    def _wait_again(self, trial: Trial) -> None:
        """Let a trial of an earlier run wait, if it did: only now there is a model with which it can go on."""
        rung = _length_of(trial).rungs.get(len(trial.curve))
        if rung is not None and trial.state == "pruned":
            self._rungs.wait(sample_key(trial.sample), rung, trial.curve[-1])

    def _take_up(self, model: ExecutableModelSpace, trial: Trial) -> None:
        """Let a trial that was cut off come to where it waits or ends; without time for an epoch it counts with its last one."""
        for score in trial.curve:
            self.dispatch_model_event(IntermediateMetricEvent(model, score))
        length = _length_of(trial)
        if length.seconds_per_epoch < self.seconds_left:
            trial = self._train(model, trial, length)
        else:
            trial = replace(trial, state="complete", architecture_labels=self._architecture_labels)
        self._record(model, trial)

    def _run(self, model: ExecutableModelSpace) -> None:
        assert model.sample is not None
        sample = dict(model.sample)
        trial = self._make_trial(self._next_number(), sample, state="failed")
        try:
            length = self._length(sample)
        except Exception as error:
            self._record(model, replace(trial, error=f"{type(error).__name__}: {error}"))
            return
        why = {} if length.at_one_go is None else {AT_ONE_GO: length.at_one_go}
        trial = replace(trial, facts={PLANNED_EPOCHS: length.epochs, **why})
        self._record(model, self._train(model, trial, length))

    def _record(self, model: ExecutableModelSpace, trial: Trial) -> None:
        super()._record(model, trial)
        self._clean_up(trial)

    def _clean_up(self, trial: Trial) -> None:
        """Take away what an interruption would have needed of a trial that is on record now, but for the state of one that waits."""
        drop_unfinished(self._checkpoints, trial.number)
        if trial.state != "pruned":
            self._checkpoint(trial).unlink(missing_ok=True)

    def _checkpoint(self, trial: Trial) -> Path:
        return self._checkpoints / f"trial-{trial.number}.ckpt"

    def _go_on(self, key: str) -> None:
        """Train a trial that waits as far as its next rung."""
        self._rungs.take(key)
        before, model = self._known[key], self._model_of[key]
        trial = self._train(model, before, _length_of(before))
        self._known[key] = trial
        if self._on_result is not None:
            self._on_result(trial)
        self._clean_up(trial)
        if trial.score is not None:
            model.metrics.final = trial.score  # NNI's event warns where there is one already
            self.dispatch_model_event(ContinuedEvent(model, ModelStatus.Trained))

    def _train(self, model: ExecutableModelSpace, before: Trial, length: Length) -> Trial:
        """Return ``before`` as it is after the next leg of its training."""
        begin, key = self._clock(), sample_key(before.sample)
        curve, facts = list(before.curve), dict(before.facts)
        until = length.next_stop(len(curve))
        checkpoint = self._checkpoint(before)
        if not curve:  # that of another trial, which was interrupted before it could be recorded
            checkpoint.unlink(missing_ok=True)
        epoch_begin = begin

        def report(score: float) -> None:
            nonlocal epoch_begin
            curve.append(score)
            self.dispatch_model_event(IntermediateMetricEvent(model, score))
            now = self._clock()
            is_up, epoch_begin = self.seconds_left < now - epoch_begin, now
            if len(curve) == until:
                return
            if is_up:
                raise TrialPruned
            if all(map(math.isfinite, curve)):
                so_far = replace(before, curve=list(curve), facts=dict(facts), seconds=before.seconds + now - begin)
                with contextlib.suppress(OSError):  # on a full disk an interruption costs a few epochs, and nothing else does
                    keep_unfinished(self._checkpoints, so_far)

        leg = {"epochs": length.epochs, "since": len(curve), "until": until, "checkpoint": str(checkpoint)}
        assert self._runner is not None
        end = run_trial(self._runner, {**before.sample, **leg}, report, facts.update)
        told: dict[str, Any] = {"curve": curve, "facts": facts, "seconds": before.seconds + self._clock() - begin, "error": end.error}
        if end.traceback is not None:
            logger.warning("trial %d failed\n%s", before.number, end.traceback)
        if end.score is not None:
            curve += [end.score] * (until - len(curve))  # of an evaluator that did not report all its epochs
        waits = end.state == "complete" and until < length.epochs
        if waits:
            self._rungs.wait(key, length.rungs[until], curve[-1])
        state = "pruned" if waits else "failed" if end.state == "failed" else "complete"
        score = end.score if end.state == "complete" else curve[-1] if end.state == "pruned" else None
        return self._make_trial(before.number, before.sample, state=state, score=score, **told)

    def _next_to_go_on(self) -> str | None:
        if not self._is_closing and not self.out_of_time:
            return self._rungs.promoted()
        return next((key for key in self._rungs.waiting if _length_of(self._known[key]).seconds_per_epoch < self.seconds_left), None)

    def idle_worker_available(self) -> bool:
        """Let trials that wait go on, as long as they come before a new one; return true."""
        while (key := self._next_to_go_on()) is not None:
            self._go_on(key)
        return True

    def give_time(self, seconds: float) -> None:
        """Put so many seconds to the time budget."""
        self._end_of_time += seconds

    def finish(self) -> None:
        """Let the best trials that wait go on until the time is up; the strategy begins no new one."""
        if not self._is_closing:
            self._ended_by_time = self.out_of_time
        self._is_closing = True
        self.idle_worker_available()


def _length_of(trial: Trial) -> Length:
    """Return how long a trial is that has begun."""
    return Length(trial.planned_epochs or 0, trial.seconds / max(1, len(trial.curve)), at_one_go=trial.facts.get(AT_ONE_GO))
