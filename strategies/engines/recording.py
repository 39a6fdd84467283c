"""What our execution engines share.

Engines stand behind NNI's ``ExecutionEngine`` interface. NNI's own sequential engine stops at the first failure or goes on without a
word, cannot answer a configuration that was already tried, and NNI's training service hands results to the wrong trial as soon as two run
at once. Ours record every trial, failed ones too, end a trial early or reject a sample where they are told how to judge them, and answer
from the record whatever was measured before. That is also how an interrupted search is resumed: the strategy starts anew with its seed,
and the engine answers the trials that are already done.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nni.nas.execution.engine import ExecutionEngine
from nni.nas.execution.event import FinalMetricEvent, IntermediateMetricEvent, ModelEventType, TrainingEndEvent
from nni.nas.space import ExecutableModelSpace, ModelStatus

from common.trial import Sample, Trial, sample_key
from strategies.checkpoint import as_plain
from strategies.domain import chosen_sample, plain_sample

if TYPE_CHECKING:
    from strategies.optuna.pruning import Pruning

logger = logging.getLogger("retiarius.strategies")

END_STATUS = {"complete": ModelStatus.Trained, "pruned": ModelStatus.Interrupted, "failed": ModelStatus.Failed}
MAX_REPEATS = 200  # proposed again so often in a row: the strategy has nothing new to try
MAX_REJECTIONS = 200  # rejected so often since the last trial: the strategy finds nothing that is allowed


@dataclass(frozen=True)
class Rejection:
    """Why a sample is not tried.

    Attributes
    ----------
    excess
        How far outside it is, above 0.
    reason
        Why, in words.
    fault
        The same in two words.
    """

    excess: float
    reason: str
    fault: str = "too large"


@dataclass
class RejectedEvent(TrainingEndEvent):
    """The end of a model that was never trained: an ordinary end for NNI's strategies, and more for those that can learn from it."""

    rejection: Rejection


@dataclass
class ContinuedEvent(TrainingEndEvent):
    """The end of a model whose end was told before, with a score so far: it has gone on since, and its metric is the new one."""


class RecordingEngine(ExecutionEngine):
    """What our engines share: the record, the budget, and one trial for all samples that mean the same.

    Parameters
    ----------
    max_trials
        Number of trials to run, those of ``known`` included; ``None``: no limit.
    time_budget
        Seconds after which no further trial starts; ``None``: no limit.
    canonical
        Maps a sample to the one that stands for all that mean the same; two samples with one canonical form are one trial.
    known
        Trials of an earlier run, in the order of their ends, answered without running anything.
    architecture_labels
        Those labels of a sample that belong to the architecture; every new trial is told of them.
    pruning, replays_at_once
        Told every score that a trial reports; it may end the trial there. Trials in ``known`` are told to it as they are answered, or all
        at once: a strategy that learns of them in another way may never propose them again.
    reject
        Called with each canonical sample before it is tried: why it is not to be, or ``None``. A rejected sample costs no trial. When 200
        were rejected since the last trial, the budget ends.
    on_result
        Called with each new trial as soon as it has ended.
    on_epoch
        Called with each score that a trial reports, those answered from the record included: which of its scores this is, from 1, and
        the score.

    Use it in a ``with`` block, or call :meth:`shutdown`: whatever still runs then is ended.
    """

    def __init__(
        self,
        *,
        max_trials: int | None = None,
        time_budget: float | None = None,
        canonical: Callable[[dict[str, Any]], dict[str, Any]] = dict,
        known: Iterable[Trial] = (),
        architecture_labels: Collection[str] = (),
        pruning: Pruning | None = None,
        replays_at_once: bool = False,
        reject: Callable[[Sample], Rejection | None] | None = None,
        on_result: Callable[[Trial], None] | None = None,
        on_epoch: Callable[[int, float], None] | None = None,
    ) -> None:
        super().__init__()
        self._max_trials, self._canonical, self._pruning, self._on_result = max_trials, canonical, pruning, on_result
        self._reject, self._architecture_labels = reject, frozenset(architecture_labels)
        self._deadline = None if time_budget is None else time.monotonic() + time_budget
        self._known: dict[str, Trial] = {}
        self._retried: list[Trial] = []  # whose sample was tried again
        self._number, self._taken = 0, set[int]()
        self._replays_at_once = replays_at_once
        self._take_over(known)
        self._repeats = self._rejected_in_a_row = 0
        self._proposed: set[str] = set()
        self._rejections: dict[str, Rejection] = {}
        self._models: list[ExecutableModelSpace] = []
        if on_epoch is not None:
            self.register_model_event_callback(
                ModelEventType.IntermediateMetric,
                lambda event: on_epoch(len(event.model.metrics.intermediates) + 1, event.metric),  # it is counted after this
            )

    @property
    def results(self) -> list[Trial]:
        """All trials that have ended so far, in the order of their numbers."""
        return sorted([*self._known.values(), *self._retried], key=lambda trial: trial.number)

    @property
    def open_trials(self) -> int:
        """How many trials may be open at a time."""
        return 1

    @property
    def unfinished(self) -> list[Trial]:
        """Trials that an interruption cut off, in the order of their numbers; each goes on when its sample is submitted."""
        return []

    @property
    def rejections(self) -> list[Rejection]:
        """Of all samples that were rejected, in their order."""
        return list(self._rejections.values())

    @property
    def found_nothing_allowed(self) -> bool:
        """Whether so many samples were rejected since the last trial that the search has ended."""
        return self._rejected_in_a_row >= MAX_REJECTIONS

    @property
    def found_nothing_new(self) -> bool:
        """Whether so many samples in a row had been proposed before that the search has ended."""
        return self._repeats >= MAX_REPEATS

    @property
    def out_of_time(self) -> bool:
        """Whether the time budget is spent."""
        return self._deadline is not None and time.monotonic() >= self._deadline

    @property
    def left_over(self) -> int:
        """How many trials the budget would still allow; 0 where their number has no limit."""
        return self._max_trials - self._count_trials() if self._max_trials is not None and self.budget_available() else 0

    def facts_of(self, sample: Sample) -> dict[str, Any]:
        """Return the facts of the trial of ``sample``; raise ``KeyError`` where there was none."""
        return self._known[sample_key(sample)].facts

    def result_of(self, sample: Sample) -> Trial | None:
        """Return the trial of ``sample``, or of one that means the same; ``None`` where none has ended yet."""
        return self._known.get(sample_key(self._canonical(plain_sample(sample))))

    def _take_over(self, trials: Iterable[Trial]) -> None:
        """Count the trials of an earlier run as known."""
        trials = list(trials)
        self._known |= {sample_key(trial.sample): trial for trial in trials}
        self._taken |= {trial.number for trial in trials}
        if self._pruning is not None and self._replays_at_once:
            for trial in self._known.values():
                self._pruning.replay(trial.curve, trial.state, trial.score, trial.sample.get("epochs"))

    def state_dict(self) -> dict[str, Any]:
        """Return the trials that have ended, as plain data: NNI's ``NasExperiment`` keeps it in its checkpoints."""
        return {"trials": as_plain([vars(trial) for trial in self.results])}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Count the trials of a state as known. The pruner hears of all at once: a restored strategy does not propose them again."""
        labels = "architecture_labels"
        self._replays_at_once = True
        self._take_over(Trial(**{**told, labels: frozenset(told[labels])}) for told in state_dict["trials"])

    def submit_models(self, *models: ExecutableModelSpace) -> None:
        """Try frozen models, or those of status ``Retrying`` once more; what was measured before is answered."""
        for model in models:
            if model.status not in (ModelStatus.Frozen, ModelStatus.Retrying) or model.sample is None:
                raise RuntimeError(f"only a frozen model with its sample can be submitted, not {model}")
            model.sample = self._canonical(chosen_sample(model))
            if model.status == ModelStatus.Retrying:
                self._forget(sample_key(model.sample))
            model.status = ModelStatus.Training
            self._models.append(model)
            self._try(model, model.sample)

    def _forget(self, key: str) -> None:
        """Let the sample of ``key`` be tried anew: what it came to so far stays in the record, and counts against the budget."""
        trial = self._known.pop(key, None)
        if trial is not None:
            self._retried.append(trial)
        self._proposed.discard(key)

    def _next_number(self) -> int:
        """Return the lowest that no trial has: a resumed search fills the gap of a trial that was lost, and never gives a number twice."""
        while self._number in self._taken:
            self._number += 1
        self._taken.add(self._number)
        return self._number

    def _try(self, model: ExecutableModelSpace, sample: dict[str, Any]) -> None:
        """Answer from the record, or run; ``sample`` is canonical."""
        raise NotImplementedError

    def _note_proposal(self, key: str) -> bool:
        """Return whether the sample of ``key`` is proposed for the first time in this run."""
        is_new = key not in self._proposed
        self._repeats = 0 if is_new else self._repeats + 1
        self._proposed.add(key)
        return is_new

    def forget_proposals(self) -> None:
        """Count nothing as proposed so far: what was submitted is no repeat when the strategy proposes it."""
        self._proposed.clear()
        self._repeats = 0

    def _is_rejected(self, model: ExecutableModelSpace, key: str, sample: dict[str, Any]) -> bool:
        """Return whether ``sample``, of ``key``, is not to be tried, which is then noted and ends ``model``."""
        try:
            rejection = self._reject(sample) if self._reject is not None else None
        except Exception:  # what cannot be measured cannot be trained, either: the trial fails by the same fault, and is recorded
            logger.warning("cannot be measured: %s", sample, exc_info=True)
            rejection = None
        if rejection is None:
            self._rejected_in_a_row = 0
            return False
        self._rejected_in_a_row += 1
        self._rejections[key] = rejection
        logger.info("not tried: %s: %s", rejection.reason, sample)
        self.dispatch_model_event(RejectedEvent(model, ModelStatus.Invalid, rejection))
        return True

    def _answer(self, model: ExecutableModelSpace, trial: Trial) -> None:
        for value in trial.curve:
            self.dispatch_model_event(IntermediateMetricEvent(model, value))
        self._end(model, trial)

    def _end(self, model: ExecutableModelSpace, trial: Trial) -> None:
        if trial.score is not None:
            self.dispatch_model_event(FinalMetricEvent(model, trial.score))
        status = END_STATUS["complete" if trial.score is not None else trial.state]  # a trial that waits has a score so far
        self.dispatch_model_event(TrainingEndEvent(model, status))

    def _make_trial(self, number: int, sample: Sample, **how: Any) -> Trial:
        """Return a trial that has ended; ``how`` are the other attributes of ``Trial``."""
        return Trial(number, dict(sample), **how, architecture_labels=self._architecture_labels)

    def list_models(self, status: ModelStatus | None = None) -> list[ExecutableModelSpace]:
        return [model for model in self._models if status is None or model.status == status]

    def _count_trials(self) -> int:
        """Trials that count against ``max_trials``."""
        return len(self._known) + len(self._retried)

    def budget_available(self) -> bool:
        return (
            (self._max_trials is None or self._count_trials() < self._max_trials)
            and not self.out_of_time
            and not self.found_nothing_new
            and not self.found_nothing_allowed
        )

    def finish(self) -> None:
        """Wait for what runs; the strategy proposes nothing more."""
        self.wait_models()

    def __enter__(self) -> RecordingEngine:
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
