"""What the trials of a search are compared by. A score is kept higher where better; people are told what was reported."""

from __future__ import annotations

from dataclasses import dataclass, replace

from records.formats import format_accuracy, format_number


@dataclass(frozen=True)
class Metric:
    """A measure of trials.

    Attributes
    ----------
    name, short
        What people call it, in full and where there is little room.
    final
        What the last value of a trial is called, where its curve is beside it.
    sign
        -1 where lower results are better, so that a score is a result turned round; else 1.
    percent
        Whether it is a fraction, which is shown as percent.
    step
        What there is one value of in a curve.
    """

    name: str = "validation accuracy"
    short: str = "accuracy"
    final: str = "score"
    sign: int = 1
    percent: bool = True
    step: str = "epoch"

    def format(self, result: float | None) -> str:
        """Return a result as people read it."""
        return format_accuracy(result) if self.percent else format_number(result)

    def result(self, score: float) -> float:
        """Return the result that a score stands for."""
        return self.sign * score + 0.0  # + 0.0: no minus before a zero

    def show(self, score: float | None) -> str:
        """Return the result that a score stands for, as people read it."""
        return self.format(None if score is None else self.result(score))


ACCURACY = Metric()


INHERITED = Metric("validation accuracy by inherited weights")  # of a supernet, in which nothing more is trained
SCORE = Metric("score", "score", "score", percent=False)  # of a function of one's own, which may return anything


def own_metric(optimize_mode: object) -> Metric:
    """Return that of a function of one's own; ``optimize_mode`` is ``maximize``, the default, or ``minimize``."""
    return replace(SCORE, sign=-1) if optimize_mode == "minimize" else SCORE


def table_metric(score: object, optimize_mode: object) -> Metric:
    """Return that of a table that is looked up.

    Parameters
    ----------
    score
        What the table calls its score, a number of any kind; None: an accuracy, which is a fraction.
    optimize_mode
        ``maximize``, the default, or ``minimize``.
    """
    if score is None:
        return replace(ACCURACY, step="report")
    name, sign = str(score), -1 if optimize_mode == "minimize" else 1
    return Metric(name, name, f"final {name}", sign, percent=False, step="report")


def result_metric(optimize_mode: object) -> Metric:
    """Return that of a user program, whose results may be anything; ``optimize_mode`` is ``maximize`` or ``minimize``."""
    return Metric("result", "result", "final result", -1 if optimize_mode == "minimize" else 1, percent=False)
