"""The charts of a search by trials. Each function gives a chart, or a sentence that says why there is none."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from common.trial import Trial
from records.formats import count_of, format_count, format_milliseconds, format_seconds
from records.metric import Metric
from records.pareto import ACCURACY, LATENCY, find_pareto_front
from records.report.collect import Run
from records.report.figure import Chart, limits, log_limits, steps
from records.report.labels import Scale, varied_labels
from records.report.text import as_number, bounded, clean, escape, paragraph, show_value
from records.report.times import ends_of, find_unit, scores_over_time

_MOST_AXES = 9
_MOST_BARS = 16


def last_value(trial: Trial) -> float | None:
    """Return the score, or for a trial without one the last finite value of its curve."""
    if trial.score is not None:
        return trial.score
    return next((value for value in reversed(trial.curve) if math.isfinite(value)), None)


def describe(trial: Trial, metric: Metric) -> str:
    """Return a trial in one line."""
    words = [f"trial {trial.number}, {trial.state}: {metric.show(last_value(trial))}"]
    parameters = as_number(trial.parameters)
    words += [f"{format_count(parameters)} parameters"] if parameters is not None else []
    words += [format_seconds(trial.seconds), *([trial.error] if trial.error else [])]
    return ", ".join(words)


def plot_history(name: str, run: Run, over: str = "time") -> Chart | str:
    """Draw the score of each trial, and the best so far, over the time or the number of ``trials`` that had ended."""
    trials, metric = run.trials, run.metric
    placed = [metric.result(value) for trial in trials if (value := last_value(trial)) is not None]
    if not placed:
        return "No trial has a score yet."
    xs, xlabel = places_of(run, over)
    low, high = limits(placed)
    chart = Chart(
        name,
        "Score of each trial, and the best so far",
        xlim=limits([0.0, *xs], margin=0.02),
        ylim=(low, high),
        percent=metric.percent,
        whole_x=over == "trials",
        xlabel=xlabel,
        ylabel=metric.name,
    )
    worst = low if metric.sign > 0 else high
    for trial, x in zip(trials, xs, strict=True):
        value = last_value(trial)
        shape, label = _MARKS[trial.state]
        y = worst if value is None else metric.result(value)
        chart.point(x, y, trial.state, describe(trial, metric), shape, label)
    longest = max(ends_of(run))
    is_timed = over == "time" and longest > 0
    size = find_unit(longest)[0] if is_timed else 1.0
    best = best_over(run, "time" if is_timed else "trials")
    if best:
        own = [x / size for x, _ in best]
        scores = [trial.score or 0.0 for _, trial in best]
        corners, ys = steps([*own, max(xs)], [*(metric.result(score) for score in [*scores, scores[-1]])])
        chart.line(corners, ys, "best", f"best so far: {metric.show(scores[-1])}", label="best so far")
    return chart


_MARKS = {"complete": ("round", "complete"), "pruned": ("diamond", "pruned (last value)"), "failed": ("cross", "failed")}


def places_of(run: Run, over: str) -> tuple[list[float], str]:
    """Return where each trial stands on an axis of ``time`` or of ``trials``, and what the axis is called; without times, of trials."""
    ends = ends_of(run)
    if over == "trials" or not max(ends) > 0:
        return [float(count) for count in range(1, len(run.trials) + 1)], "trials that have ended"
    size, unit = find_unit(max(ends))
    return [end / size for end in ends], f"time of the {'trainings, by the table' if run.looks_up else 'search'} ({unit})"


def best_so_far(trials: Sequence[Trial]) -> list[tuple[int, float]]:
    """Return for each trial that is better than all before it its place among ``trials``, and its score."""
    found: list[tuple[int, float]] = []
    for index, trial in enumerate(trials):
        if trial.score is not None and (not found or trial.score > found[-1][1]):
            found.append((index, trial.score))
    return found


def best_over(run: Run, over: str) -> list[tuple[float, Trial]]:
    """Return the trials that were better than all before them, each with its place over ``time``, in seconds, or over ``trials``."""
    moments = scores_over_time(run) if over == "time" else [(float(count), trial) for count, trial in enumerate(run.trials, start=1)]
    return [moments[index] for index, _ in best_so_far([trial for _, trial in moments])]


def plot_curves(name: str, trials: Sequence[Trial], metric: Metric) -> Chart | str:
    """Draw the curve of every trial, epoch by epoch."""
    curves = {trial.number: [(n, metric.result(y)) for n, y in enumerate(trial.curve, start=1) if math.isfinite(y)] for trial in trials}
    values = [y for curve in curves.values() for _, y in curve]
    if not values:
        return "No trial has reported an epoch yet."
    longest = max(n for curve in curves.values() for n, _ in curve)
    chart = Chart(
        name,
        f"Every trial, {metric.step} by {metric.step}",
        xlim=(0.8, longest + 0.2),
        ylim=limits(values),
        percent=metric.percent,
        whole_x=True,
        xlabel=metric.step,
        ylabel=metric.name,
    )
    best = max((trial for trial in trials if trial.score is not None), key=lambda trial: trial.score or 0.0, default=None)
    for trial in sorted(trials, key=lambda trial: trial is best):  # the best one is drawn over the others
        if curves[trial.number]:
            xs, ys = zip(*curves[trial.number], strict=True)
            css, label = (f"{trial.state} top", "the best trial") if trial is best else (trial.state, trial.state)
            chart.line(xs, ys, css, f"trial {trial.number}, {trial.state}", points=True, label=label)
    return chart


def plot_parallel(name: str, trials: Sequence[Trial], importance: Mapping[str, float], metric: Metric) -> Chart | str:
    """Draw parallel coordinates: an axis for each label, a line for each trial that has a value; the better, the stronger the line."""
    scored = [trial for trial in trials if last_value(trial) is not None]
    varied = varied_labels(scored)
    labels = sorted(varied, key=lambda label: -importance.get(label, 0.0))[:_MOST_AXES]
    if len(scored) < 2 or not labels:
        return "Parallel coordinates need two trials that differ in something."
    scales = {label: Scale.of([trial.sample.get(label) for trial in scored]) for label in labels}
    scores = [bounded(last_value(trial) or 0.0) for trial in scored]
    low, high = min(scores), max(scores)
    chart = Chart(name, "", xlim=(-0.25, len(labels) + 0.6), ylim=(-0.04, 1.04), width=1080, height=300)
    chart.axes.set_xticks(range(len(labels) + 1), [_short(clean(label)) for label in labels] + [metric.short])
    chart.axes.tick_params(bottom=False, labeltop=True, labelbottom=False)
    chart.axes.grid(visible=True, axis="x")
    chart.axes.grid(visible=False, axis="y")
    chart.axes.set_yticks([])
    for spine in chart.axes.spines.values():
        spine.set_visible(False)
    order = sorted(range(len(scored)), key=lambda index: scores[index])
    for rank, index in enumerate(order):
        trial, share = scored[index], (scores[index] - low) / ((high - low) or 1.0)
        places = [*(scales[label].place(trial.sample.get(label)) for label in labels), share]
        chosen = "; ".join(f"{label} {show_value(trial.sample.get(label))}" for label in labels)
        style = f"--share:{rank / (len(order) - 1):.3f}"
        chart.line(range(len(places)), places, trial.state, f"{describe(trial, metric)}; {chosen}", style)
    for index, label in enumerate(labels):
        for place, text in scales[label].ticks():
            chart.text(index, place, text, "tick")
    for place, value in ((0.0, low), (1.0, high)) if high > low else ((0.0, low),):
        chart.text(len(labels), place, metric.show(value), "tick")
    more = f"The {len(labels)} {'most important' if importance else 'first'} of {len(varied)} labels. " if len(varied) > len(labels) else ""
    chart.note = f"{more}A line is a trial: the better, the stronger; dashed where it was pruned."
    return chart


def _short(label: str) -> str:
    return label if len(label) <= 18 else label[:17] + "…"


def show_importance(importance: Mapping[str, float] | str, evaluator: str, ignored: int) -> str:
    """Draw bars, the longest first."""
    if isinstance(importance, str):
        return paragraph(importance)
    largest = max(importance.values()) or 1.0
    rows = "".join(
        f'<div class="bar"><span>{escape(label, 40)}</span><i style="width:{100 * share / largest * 0.6:.1f}%"></i>'
        f"<b>{100 * share:.1f}%</b></div>"
        for label, share in list(importance.items())[:_MOST_BARS]
    )
    left = f" Not shown: {count_of(len(importance) - _MOST_BARS, 'less important label')}." if len(importance) > _MOST_BARS else ""
    without = f" Not in it: {count_of(ignored, 'pruned or failed trial')}." if ignored else ""
    how = f"By {evaluator}: what sets the best tenth of the completed trials apart.{without}{left}"
    return f'<div class="bars">{rows}</div>' + paragraph(how)


@dataclass(frozen=True)
class Cost:
    """What accuracy is set against: an attribute of ``Trial``, its name, and the unit of the axis, which is ``scale`` times it."""

    attribute: str
    name: str
    unit: str = ""
    scale: float = 1.0

    def show(self, value: float) -> str:
        """Return ``value`` for the pointer that rests on a trial."""
        return format_milliseconds(value) if self.attribute == LATENCY else f"{format_count(value)} {self.name}"


SIZES = (Cost("parameters", "parameters"), Cost("flops", "multiply-adds"))
MEASURED_LATENCY = Cost(LATENCY, "latency of one image", "s", 1e-3)


def plot_pareto(name: str, trials: Sequence[Trial], cost: Cost, metric: Metric) -> Chart | str:
    """Draw the score against a cost, the trials that no other one beats in both joined by a line."""
    known = [(trial, as_number(getattr(trial, cost.attribute))) for trial in trials if trial.score is not None]
    sized = [(trial, value) for trial, value in known if value is not None and value > 0]
    if not sized:
        return f"No completed trial has its {cost.name} noted."
    front = find_pareto_front([trial for trial, _ in sized], (ACCURACY, cost.attribute))
    chart = Chart(
        name,
        f"{metric.short.capitalize()} against {cost.name}",
        xlabel=cost.name,
        ylabel=metric.name,
        xlim=log_limits(cost.scale * value for _, value in sized),
        ylim=limits(metric.result(trial.score or 0.0) for trial, _ in sized),
        log_x=True,
        percent=metric.percent,
        unit=cost.unit,
    )
    for trial, value in sized:
        css, label = ("front", "on the Pareto front") if trial in front else ("complete", "other trials")
        text = f"{describe(trial, metric)}; {cost.show(value)}{'; on the Pareto front' if css == 'front' else ''}"
        chart.point(cost.scale * value, metric.result(trial.score or 0.0), css, text, label=label)
    ordered = sorted({(cost.scale * value, trial.score or 0.0) for trial, value in sized if trial in front})
    if len(ordered) > 1:
        xs, ys = steps([x for x, _ in ordered], [metric.result(score) for _, score in ordered])
        chart.line(xs, ys, "best", "Pareto front: no trial costs less and is better")
    return chart
