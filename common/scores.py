"""What an evaluator may give for a score."""

from __future__ import annotations

import math
from collections.abc import Mapping
from numbers import Real
from typing import Any

from common.errors import EvaluatorError
from common.text import show

EXPECTED = "expected a finite number, higher is better"


def read_score(value: Any, how: str = "returned") -> float:
    """Return ``value`` as a float, which may be infinite or NaN.

    Parameters
    ----------
    value
        A number; an array or a tensor of one number; or a metric of NNI's, ``{"default": number}``.
    how
        What the evaluator did with it: ``returned`` or ``reported``.

    Raises
    ------
    EvaluatorError
        It is no number, in one line that says what it is.
    """
    if isinstance(value, Mapping) and "default" in value:
        value = value["default"]  # of NNI's metrics the one that counts
    shape = getattr(value, "shape", None)
    if isinstance(shape, tuple) and math.prod(shape) == 1:  # numpy's and torch's
        value, shape = value.item(), None
    if isinstance(value, Real) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError:
            return math.inf
    if value is None:
        raise EvaluatorError(f"the evaluator {how} nothing; {EXPECTED}, returned or given to nni.report_final_result")
    kind = type(value).__name__
    what = f"a {kind} of shape {tuple(shape)}" if isinstance(shape, tuple) else f"{' '.join(show(value).split())}, of type {kind}"
    raise EvaluatorError(f"the evaluator {how} {what}; {EXPECTED}")


def check_score(value: Any) -> float:
    """Return what an evaluator returned as a finite float.

    Raises
    ------
    EvaluatorError
        It is no number.
    ValueError
        It is not finite.
    """
    score = read_score(value)
    if not math.isfinite(score):
        raise ValueError(f"the evaluator's score is {score}")
    return score


def to_stored(scores: Mapping[str, float]) -> dict[str, float | None]:
    """Return scores by name as they stand in a file: null where one could not be had, as JSON has no infinity."""
    return {name: value if math.isfinite(value) else None for name, value in scores.items()}


def from_stored(scores: Mapping[str, float | None]) -> dict[str, float]:
    """Return scores by name as they stood in a file: what could not be had is minus infinity."""
    return {name: -math.inf if value is None else float(value) for name, value in scores.items()}
