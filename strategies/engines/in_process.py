"""The engine that trains one trial after another in this process."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Sequence
from typing import Any

import nni
import torch
from nni.nas.evaluator import FunctionalEvaluator
from nni.nas.evaluator.evaluator import FrozenEvaluator
from nni.nas.execution.engine import ExecutionEngine
from nni.nas.execution.event import FinalMetricEvent, IntermediateMetricEvent
from nni.nas.space import ExecutableModelSpace
from nni.runtime.trial_command_channel import TrialCommandChannel, get_default_trial_command_channel, set_default_trial_command_channel

from common.errors import describe_error
from strategies.engines.recording import RecordingEngine, TrialResult, sample_key

logger = logging.getLogger("retiarius.strategies")


class TrialPruned(BaseException):
    """Raised out of a report to end the trial. No ``Exception``: an evaluator that catches those must not go on training."""


class _Channel(TrialCommandChannel):
    """Where ``nni.report_intermediate_result`` leads while a trial runs; ``stops`` says of a score whether the trial ends with it."""

    def __init__(self, engine: ExecutionEngine, model: ExecutableModelSpace, stops: Callable[[float], bool] | None) -> None:
        self._engine, self._model, self._stops = engine, model, stops

    def receive_parameter(self) -> Any:
        return {"parameter_id": 0, "parameters": self._model}

    def send_metric(self, type: str, parameter_id: int | None, trial_job_id: str, sequence: int, value: Any) -> None:
        event = FinalMetricEvent if type == "FINAL" else IntermediateMetricEvent
        self._engine.dispatch_model_event(event(self._model, value))
        if type != "FINAL" and self._stops is not None and self._stops(float(value)):
            raise TrialPruned


class InProcessEngine(RecordingEngine):
    """Runs each submitted model at once, in this process.

    Parameters
    ----------
    describe
        Called with the network of each trial before its evaluation; what it returns stands in ``TrialResult.facts``.
    seed
        Seeds torch's generator before each trial (initial weights, dropout), so that a trial's result does not depend on those before it.
    gpus
        Those whose generators are put back after a trial; ``None``: all.
    options
        As ``RecordingEngine`` takes them.
    """

    def __init__(
        self,
        *,
        describe: Callable[[Any], dict[str, Any]] | None = None,
        seed: int = 0,
        gpus: Sequence[int] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self._describe, self._seed, self._gpus = describe, seed, gpus

    def _try(self, model: ExecutableModelSpace, sample: dict[str, Any]) -> None:
        """Answer from the record, reject, or run."""
        key = sample_key(sample)
        is_new = self._note_proposal(key)
        if key in self._known:
            result = self._known[key]
            if is_new:
                self._rejected_in_a_row = 0
                if self._pruning is not None and not self._replays_at_once:
                    self._pruning.replay(result.curve, result.status, result.score, sample.get("epochs"))
            self._answer(model, result)
            return
        if not self._is_rejected(model, key, sample):
            self._run(model)

    def _run(self, model: ExecutableModelSpace) -> None:
        assert model.sample is not None
        number, start, facts, error, score = self._next_number(), time.monotonic(), {}, None, None
        status = "complete"
        previous = get_default_trial_command_channel()
        judged = self._pruning.begin(model.sample.get("epochs")) if self._pruning is not None else None
        set_default_trial_command_channel(_Channel(self, model, judged.stops if judged is not None else None))
        try:
            nni.get_next_parameter()
            # Torch builds networks and drops paths with its own generator: seeded for this trial, put back as it was afterwards.
            with torch.random.fork_rng(devices=self._gpus):
                torch.manual_seed(self._seed)
                network = model.executable_model()
                facts = self._describe(network) if self._describe is not None else {}
                score = self._score(model, network)
        except TrialPruned:
            status = "pruned"
        except Exception as exception:  # a failing trial must not end the search, whatever fails in it
            logger.warning("trial %d failed", number, exc_info=True)
            status, error = "failed", describe_error(exception)
        finally:
            set_default_trial_command_channel(previous)
        if judged is not None:
            judged.end(status, score)
        curve = [float(value) for value in model.metrics.intermediates]
        self._record(model, TrialResult(number, dict(model.sample), status, score, curve, time.monotonic() - start, error, facts))

    def _record(self, model: ExecutableModelSpace, result: TrialResult) -> None:
        self._known[sample_key(result.sample)] = result
        if self._on_result is not None:
            self._on_result(result)
        self._end(model, result)

    @staticmethod
    def _score(model: ExecutableModelSpace, network: Any) -> float:
        evaluator = model.evaluator.get() if isinstance(model.evaluator, FrozenEvaluator) else model.evaluator
        assert isinstance(evaluator, FunctionalEvaluator)
        score = float(evaluator.evaluate(network))
        if not math.isfinite(score):
            raise ValueError(f"the evaluator's score is {score}")
        return score

    def idle_worker_available(self) -> bool:
        return True

    def shutdown(self) -> None:
        """Nothing to stop: no trial outlives its submission."""
