"""The engine that runs one trial after another in this process."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from typing import Any

from nni.nas.execution.event import IntermediateMetricEvent
from nni.nas.space import ExecutableModelSpace

from common.trial import RunTrial, Trial, sample_key
from strategies.engines.nni_evaluator import EvaluatorRun
from strategies.engines.recording import RecordingEngine
from strategies.engines.trial_runner import TrialPruned, run_trial

logger = logging.getLogger("retiarius.strategies")


class InProcessEngine(RecordingEngine):
    """Runs each submitted model at once, in this process.

    Parameters
    ----------
    run
        Runs the trial of a (canonical) sample; ``None``: each model's own NNI evaluator does, as ``EvaluatorRun`` has it.
    describe, seed, gpus
        Of ``EvaluatorRun``, where there is no ``run``.
    options
        As ``RecordingEngine`` takes them.
    """

    def __init__(
        self,
        run: RunTrial | None = None,
        *,
        describe: Callable[[Any], dict[str, Any]] | None = None,
        seed: int = 0,
        gpus: Sequence[int] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self._runner, self._describe, self._seed, self._gpus = run, describe, seed, gpus

    def _try(self, model: ExecutableModelSpace, sample: dict[str, Any]) -> None:
        """Answer from the record, reject, or run."""
        key = sample_key(sample)
        is_new = self._note_proposal(key)
        if key in self._known:
            trial = self._known[key]
            if is_new:
                self._rejected_in_a_row = 0
                if self._pruning is not None and not self._replays_at_once:
                    self._pruning.replay(trial.curve, trial.state, trial.score, sample.get("epochs"))
            self._answer(model, trial)
            return
        if not self._is_rejected(model, key, sample):
            self._run(model)

    def _run(self, model: ExecutableModelSpace) -> None:
        assert model.sample is not None
        number, start = self._next_number(), time.monotonic()
        curve: list[float] = []
        facts: dict[str, Any] = {}
        judged = self._pruning.begin(model.sample.get("epochs")) if self._pruning is not None else None

        def report(score: float) -> None:
            curve.append(score)
            self.dispatch_model_event(IntermediateMetricEvent(model, score))
            if judged is not None and judged.stops(score):
                raise TrialPruned

        run = self._runner or EvaluatorRun(model, self._seed, self._gpus, self._describe)
        end = run_trial(run, dict(model.sample), report, facts.update)
        if end.traceback is not None:
            logger.warning("trial %d failed\n%s", number, end.traceback)
        if judged is not None:
            judged.end(end.state, end.score)
        how: dict[str, Any] = {"state": end.state, "score": end.score, "curve": curve, "error": end.error, "facts": facts}
        self._record(model, self._make_trial(number, model.sample, **how, seconds=time.monotonic() - start))

    def _record(self, model: ExecutableModelSpace, trial: Trial) -> None:
        self._known[sample_key(trial.sample)] = trial
        if self._on_result is not None:
            self._on_result(trial)
        self._end(model, trial)

    def idle_worker_available(self) -> bool:
        return True

    def shutdown(self) -> None:
        """Stop nothing: no trial outlives its submission."""
