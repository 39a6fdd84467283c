"""One trial, run: what a score may be, how a trial ends early, what is made of an error. Nothing heavy is imported here."""

from __future__ import annotations

import math
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from common.errors import describe_error
from common.text import show
from common.trial import RunTrial, Sample


class TrialPruned(BaseException):
    """Raised out of a report to end the trial. No ``Exception``: an evaluator that catches those must not go on training."""


@dataclass(frozen=True)
class TrialEnd:
    """How a trial ended.

    Attributes
    ----------
    state
        ``complete``, ``pruned`` or ``failed``.
    score
        A finite number; ``None`` unless the trial is complete.
    error, traceback
        One line, and all lines; ``None`` unless the trial failed.
    """

    state: str
    score: float | None = None
    error: str | None = None
    traceback: str | None = None


def run_trial(run: RunTrial, sample: Sample, report: Callable[[float], None], note: Callable[[dict[str, Any]], None]) -> TrialEnd:
    """Run the trial of ``sample``, and return how it ended, whatever fails in it.

    Parameters
    ----------
    run
        What a trial does.
    sample
        Label to value.
    report
        Takes the score after each epoch, which may be no finite number; it may end the trial by raising ``TrialPruned``.
    note
        Takes facts.
    """
    try:
        score = read_number(run(sample, lambda value: report(read_number(value, "a reported score")), note), "the evaluator's score")
        if not math.isfinite(score):
            raise ValueError(f"the evaluator's score is {score}")
        return TrialEnd("complete", score)
    except TrialPruned:
        return TrialEnd("pruned")
    except Exception as error:  # a failing trial must not end the search
        return TrialEnd("failed", error=describe_error(error), traceback=traceback.format_exc())


def read_number(value: Any, what: str) -> float:
    """Return ``value``, a number or what holds a single one, such as a tensor, as a float; ``what`` it is.

    Raises
    ------
    TypeError
        It is no number, in one line that says what it is.
    """
    number = value
    try:
        if hasattr(value, "item"):  # numpy's and torch's; it fails where there are several
            number = value.item()
        if not isinstance(number, bool | str | bytes | bytearray):
            return float(number)
    except (TypeError, ValueError, RuntimeError, OverflowError):
        pass
    shape = getattr(value, "shape", None)
    told = f"a {type(value).__name__} of shape {show(tuple(shape))}" if shape else show(value)
    raise TypeError(f"{what} is {' '.join(told.split())}, and a number was expected")
