"""One trial, run: how it ends early, and what is made of its score or its error. Nothing heavy is imported here."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from common.errors import describe_error
from common.scores import check_score, read_score
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
        return TrialEnd("complete", check_score(run(sample, lambda value: report(read_score(value, "reported")), note)))
    except TrialPruned:
        return TrialEnd("pruned")
    except (Exception, SystemExit) as error:  # a failing trial must not end the search
        return TrialEnd("failed", error=describe_error(error), traceback=traceback.format_exc())
