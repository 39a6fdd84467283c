"""When things happened and how long they took, in words and as places on an axis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timezone

from common.trial import Trial
from records.report.collect import Run
from records.report.text import as_number, as_object

_AFTER_EPOCHS = ("inherited", "trained", "nearest")  # ways to select an architecture that take long, and tell no seconds
_UNITS = ((7200.0, 3600.0, "h"), (120.0, 60.0, "min"), (0.0, 1.0, "s"))  # from how many seconds on, how many seconds it has, its name


def ends_of(run: Run) -> list[float]:
    """Return for each trial, in the order of ``run.trials``, how many seconds of search had passed when it ended.

    Pauses between a run and its resumption do not count: what counts is the time in which at least one trial ran. Of a table it is
    the sum of the times that the table tells of its trainings. Trials that wait run one after another: it is the sum of all parts of them.
    """
    if _waits(run):
        last = {leg.number: moment for moment, leg in scores_over_time(run)}
        return [last[trial.number] for trial in run.trials]
    lengths = [max(as_number(trial.seconds) or 0.0, 0.0) for trial in run.trials]
    moments = [_read_moment(trial.finished) for trial in run.trials]
    known = [moment.timestamp() for moment in moments if moment is not None]
    if run.looks_up or len(known) < len(lengths):
        return _sums(lengths)
    return _busy(known, lengths)


def scores_over_time(run: Run) -> list[tuple[float, Trial]]:
    """Return all trials, each with the seconds of search that had passed, in the order of time: one that has waited once for each part.

    A part counts with the score that it kept: one that the trial lost when it went on was none.
    """
    if not _waits(run):
        return sorted(zip(ends_of(run), run.trials, strict=True), key=lambda pair: pair[0])
    spent: dict[int, float] = {}
    total, moments = 0.0, list[float]()
    for leg in run.legs:
        total += max(leg.seconds - spent.get(leg.number, 0.0), 0.0)
        spent[leg.number] = leg.seconds
        moments.append(total)
    kept: dict[int, float | None] = {}
    legs: list[Trial] = []
    for leg in reversed(run.legs):
        later = kept.get(leg.number, leg.score)
        kept[leg.number] = None if later is None or leg.score is None else min(later, leg.score)
        legs.append(replace(leg, score=kept[leg.number]) if leg.state == "pruned" else leg)
    return list(zip(moments, reversed(legs), strict=True))


def _waits(run: Run) -> bool:
    return any(leg.planned_epochs is not None for leg in run.legs)


def _sums(lengths: Sequence[float]) -> list[float]:
    total, sums = 0.0, []
    for length in lengths:
        total += length
        sums.append(total)
    return sums


def _busy(moments: Sequence[float], lengths: Sequence[float]) -> list[float]:
    """Return the length of the union of the trials' times, up to the end of each."""
    stretches: list[tuple[float, float]] = []  # without overlap, in order
    total, ends = 0.0, [0.0] * len(moments)
    for index in sorted(range(len(moments)), key=lambda index: moments[index]):
        start, end = moments[index] - lengths[index], moments[index]
        while stretches and stretches[-1][1] >= start:
            first, last = stretches.pop()
            total -= last - first
            start = min(start, first)
        stretches.append((start, end))
        total += end - start
        ends[index] = total
    return ends


def seconds_of(run: Run) -> float | None:
    """Return how long a search or a training took, without the pauses of a resumed one; None where that cannot be known.

    Of a one-shot search that was resumed it is the time of its epochs, unless an evolutionary search of unknown length came after them.
    """
    if run.is_retraining:
        return as_number(run.retrained.get("seconds"))
    if run.trials:
        return max(ends_of(run))
    epochs = [as_number(epoch.get("seconds")) for epoch in run.epochs]
    selected = as_object(as_object(run.best.strategy).get("selected")) if run.best is not None else {}
    if run.config.get("resumed") and selected.get("by") in _AFTER_EPOCHS:
        return None
    if run.config.get("resumed") and epochs and None not in epochs:
        return sum(seconds for seconds in epochs if seconds is not None)
    begun, ended = _read_moment(run.config.get("created")), _read_moment(run.config.get("ended"))
    if begun is None or ended is None or run.config.get("resumed"):
        return None
    return max((ended - begun).total_seconds(), 0.0)


def find_unit(seconds: float) -> tuple[float, str]:
    """Return how many seconds the unit has in which so many seconds are best read, and its name: ``(60.0, "min")``."""
    return next((size, name) for least, size, name in _UNITS if seconds >= least)


def show_moment(text: object) -> str:
    """Return a time of ISO 8601 as people write it: ``31 January 2026, 12:00 UTC``; what is none as it is."""
    moment = _read_moment(text)
    return str(text or "") if moment is None else f"{moment.day} {moment:%B %Y, %H:%M} UTC"


def _read_moment(text: object) -> datetime | None:
    try:
        moment = datetime.fromisoformat(str(text))
        return moment.replace(tzinfo=timezone.utc) if moment.tzinfo is None else moment.astimezone(timezone.utc)
    except (ValueError, OverflowError):
        return None
