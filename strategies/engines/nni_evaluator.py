"""A model's own NNI evaluator, as a trial that an engine runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from nni.nas.space import ExecutableModelSpace

from common.errors import EvaluatorError
from common.nni_evaluators import evaluate_by_nni
from common.nni_reports import nni_reports_to
from common.trial import Sample


@dataclass(frozen=True)
class EvaluatorRun:
    """Builds the network of a model, and scores it by the evaluator that the model brings.

    What the evaluator reports by ``nni.report_final_result`` is the score; where it reports nothing, what it returns is. NNI hears reports
    alone: its Lightning evaluators may return something else.

    Attributes
    ----------
    model
        Frozen, with an evaluator of any kind.
    seed
        Of torch's generator, from which first weights and dropout are drawn: a trial does not depend on those before it.
    gpus
        Those whose generators are put back after the trial; ``None``: all.
    describe
        Called with the network before its evaluation; what it returns are facts of the trial.
    """

    model: ExecutableModelSpace
    seed: int = 0
    gpus: Sequence[int] | None = None
    describe: Callable[[Any], dict[str, Any]] | None = None

    def __call__(self, sample: Sample, report: Callable[[float], None], note: Callable[[dict[str, Any]], None]) -> Any:
        """Return what the evaluator gives for a score; raise what building and evaluating raise."""
        evaluator = self.model.evaluator
        if evaluator is None:
            raise EvaluatorError("the model has no evaluator: give the space one, or the engine a run")
        with nni_reports_to(report, self.model) as finals, torch.random.fork_rng(devices=self.gpus):
            torch.manual_seed(self.seed)
            network = self.model.executable_model()
            if self.describe is not None:
                note(self.describe(network))
            returned = evaluate_by_nni(evaluator, network)
        return finals[-1] if finals else returned
