"""A model's own NNI evaluator, as a trial that an engine runs."""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from nni.common.serializer import is_traceable
from nni.nas.evaluator.evaluator import Evaluator, FrozenEvaluator
from nni.nas.space import ExecutableModelSpace

from common.errors import EvaluatorError
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
            returned = unused_evaluator(evaluator).evaluate(network)
        return finals[-1] if finals else returned


def unused_evaluator(evaluator: Evaluator) -> Evaluator:
    """Return an evaluator that has evaluated nothing: one of Lightning's is built again, with its trainer and its module.

    NNI gives the same one to every model where nothing in it is searched, and a trainer that has come to its last epoch trains no more.
    Data are shared: they are not changed by a trial.
    """
    if "nni.nas.evaluator.pytorch.lightning" not in sys.modules:
        return evaluator
    from nni.nas.evaluator.pytorch.lightning import Lightning

    traced = evaluator.frozen_obj if isinstance(evaluator, FrozenEvaluator) else evaluator
    return FrozenEvaluator(_unused(traced)) if is_traceable(traced) and _builds(traced, Lightning) else evaluator


def _unused(value: Any) -> Any:
    """Return ``value`` with all in it that a training changes as it was: what is traced as its arguments alone, else a copy."""
    from nni.nas.evaluator.pytorch.lightning import Lightning, pl

    if is_traceable(value, must_be_instance=True) and _builds(value, Lightning, pl.Trainer, pl.LightningModule):
        arguments = value.trace_copy()
        # NNI builds what stands in keywords when it is needed, and takes positions as they are.
        arguments.trace_kwargs.update({name: _unused(part) for name, part in arguments.trace_kwargs.items()})
        arguments.trace_args[:] = [FrozenEvaluator.recursive_instantiate(_unused(part)) for part in arguments.trace_args]
        return arguments
    changes = isinstance(value, pl.LightningModule | pl.Callback) or (
        isinstance(value, list) and any(isinstance(part, pl.Callback) for part in value)
    )
    return copy.deepcopy(value) if changes else value


def _builds(traced: Any, *kinds: Any) -> bool:
    """Return whether what was traced is an object of one of ``kinds``, which may be traced classes themselves."""
    plain = tuple(getattr(kind, "__wrapped__", kind) for kind in kinds)
    return isinstance(traced.trace_symbol, type) and issubclass(traced.trace_symbol, plain)
