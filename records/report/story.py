"""How a search by trials went: when it found something better, what each gain cost, and what was dropped when, or never begun."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from common.trial import Trial
from records.formats import count_of, format_seconds
from records.report.collect import Run
from records.report.labels import varied_labels
from records.report.text import as_number, escape, paragraph, plain_table, show_value
from records.report.trial_plots import best_over, last_value
from records.skipped import SKIPPED

_MOST_GAINS = 12  # the latest, where there were more
_MOST_LABELS = 4


def show_story(run: Run) -> str:
    """Return the tables for which there is something to tell; empty where there is nothing."""
    return "".join((_show_gains(run), _show_dropped(run), _show_skipped(run)))


def _show_gains(run: Run) -> str:
    """Return a line for each trial that was better than all before it."""
    metric = run.metric
    labels = varied_labels(run.trials)[:_MOST_LABELS]
    rows: list[list[str]] = []
    before: tuple[float, float] | None = None
    for end, trial in best_over(run, "time"):
        score = trial.score or 0.0
        gained, rate = ("-", "-") if before is None else _gain(score - before[0], end - before[1], metric.percent)
        what = ", ".join(f"{label} {show_value(trial.sample.get(label))}" for label in labels if label in trial.sample)
        rows.append([format_seconds(end), str(trial.number), metric.show(score), gained, rate, what])
        before = score, end
    left_out = len(rows) - _MOST_GAINS
    note = f"The first {count_of(left_out, 'one')} of them are left out." if left_out > 0 else ""
    heads = ("time", "trial", metric.short, "gain", "gain per hour", "what")
    return _table("Whenever something better was found", heads, rows[-_MOST_GAINS:], note)


def _gain(points: float, seconds: float, percent: bool) -> tuple[str, str]:
    """Return by how much a score has risen, and how fast that is, in words."""
    scale, unit = (100.0, " points") if percent else (1.0, "")
    rate = f"{scale * points * 3600 / seconds:,.3g}{unit}" if seconds > 0 else "-"
    return f"{scale * points:.2f}{unit}", rate


def _show_dropped(run: Run) -> str:
    """Return a line for each part of the training after which trials were dropped; empty where each came to its end."""
    early = [trial for trial in run.trials if trial.state == "pruned"]
    ended = [trial for trial in run.trials if trial.state == "complete"]
    stopped = [trial for trial in ended if trial.planned_epochs is not None and len(trial.curve) < trial.planned_epochs]
    if not early and not stopped:
        return ""
    groups: dict[str, list[Trial]] = {}
    for trial in sorted(early, key=_share):
        groups.setdefault(_words_of(trial), []).append(trial)
    groups |= {"until the time was up": stopped, "to their end": [trial for trial in ended if trial not in stopped]}
    rows = [[words, str(len(trials)), _best_of(run, trials), _seconds_of(trials)] for words, trials in groups.items() if trials]
    waits = any(trial.planned_epochs is not None for trial in (*early, *stopped))
    why = (
        "the best third of those that had come as far went on, until the time was up" if waits else "the pruner saw that they could not win"
    )
    heads = ("trained", "trials", f"best {run.metric.short}", "time")
    return _table("What was dropped, and when", heads, rows, f"Why: {why}.")


def _show_skipped(run: Run) -> str:
    """Return a line for each reason for which configurations were proposed and never begun."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for line in run.skipped:
        groups.setdefault(str(line.get("fault", "?")), []).append(line)
    rows = []
    for fault, lines in sorted(groups.items(), key=lambda group: -len(group[1])):
        rows.append([fault, f"{len(lines):,}", str(min(lines, key=_excess).get("reason", "?"))])
    return _table("What was not tried", ("why", "configurations", "of the nearest to the limit"), rows, f"{SKIPPED} lists all of them.")


def _excess(line: Mapping[str, Any]) -> float:
    excess = as_number(line.get("excess"))
    return math.inf if excess is None else excess


def _share(trial: Trial) -> float:
    """Return which part of its training a trial has had, or its epochs where nobody knows of how many."""
    return len(trial.curve) / trial.planned_epochs if trial.planned_epochs else float(len(trial.curve))


def _words_of(trial: Trial) -> str:
    if trial.planned_epochs:
        return "up to a ninth" if _share(trial) < 0.2 else "up to a third" if _share(trial) < 0.45 else "up to a half or more"
    return count_of(len(trial.curve), "epoch")


def _best_of(run: Run, trials: Sequence[Trial]) -> str:
    values = [value for value in map(last_value, trials) if value is not None]
    return run.metric.show(max(values)) if values else "-"


def _seconds_of(trials: Sequence[Trial]) -> str:
    return format_seconds(sum(trial.seconds for trial in trials))


def _table(heading: str, heads: Sequence[str], rows: Sequence[Sequence[str]], note: str) -> str:
    if not rows:
        return ""
    return f"<h4>{escape(heading)}</h4>{plain_table(heads, rows)}{paragraph(note) if note else ''}"
