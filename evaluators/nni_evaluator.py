"""NNI's own evaluators, a function with its arguments or Lightning's trainings, as functions of ours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from common.nni_evaluators import evaluate_by_nni, is_lightning, told_arguments


@dataclass(frozen=True)
class NniEvaluation:
    """An evaluator of NNI's, as a function of a network and its hyperparameters.

    Attributes
    ----------
    evaluator
        Of NNI's; it is never changed. What is to be chosen of its arguments (``nni.choice``, ...) is a hyperparameter.
    """

    evaluator: Any

    @property
    def hyperparameters(self) -> dict[str, Any]:
        """What is to be chosen of its arguments, as mutables by label."""
        chosen: dict[str, Any] = self.evaluator.simplify() if hasattr(self.evaluator, "simplify") else {}
        return chosen

    def describe(self) -> dict[str, Any]:
        """Return its arguments, as far as a file can hold them."""
        return told_arguments(self.evaluator)

    def __call__(self, network: Any, **hyperparameters: Any) -> Any:
        """Evaluate ``network`` with these ``hyperparameters``; what comes of it is returned, or reported to NNI."""
        evaluator = self.evaluator.freeze(hyperparameters) if self.hyperparameters else self.evaluator
        result = evaluate_by_nni(evaluator, network)
        return None if is_lightning(self.evaluator) else result  # Lightning's result is told by the module's reports
