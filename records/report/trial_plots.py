"""The charts of a search by trials. Each function gives HTML: a chart, or a line that says why there is none."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from common.trial import Trial
from records.formats import count_of, format_count, format_milliseconds, format_seconds
from records.metric import Metric
from records.pareto import ACCURACY, LATENCY, find_pareto_front
from records.report.figure import Chart, limits, log_limits
from records.report.labels import Scale, varied_labels
from records.report.text import as_number, bounded, clean, escape, paragraph, show_value

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


def plot_history(name: str, trials: Sequence[Trial], metric: Metric) -> str:
    """Draw score by trial, and the best so far."""
    placed = [metric.result(value) for trial in trials if (value := last_value(trial)) is not None]
    if not placed:
        return paragraph("No trial has a score yet.")
    low, high = limits(placed)
    ends = (min(trial.number for trial in trials) - 0.7, max(trial.number for trial in trials) + 0.7)
    chart = Chart(
        name,
        "score of each trial, and the best so far",
        xlim=ends,
        ylim=(low, high),
        percent=metric.percent,
        whole_x=True,
        xlabel="trial",
        ylabel=metric.name,
    )
    chart.settle()
    steps = list(_best_so_far(trials))
    if steps:
        xs = [*[x for number, _ in steps for x in (number, number)][1:], ends[1]]
        ys = [metric.result(y) for _, score in steps for y in (score, score)]
        chart.line(xs, ys, "best", f"best so far: {metric.show(steps[-1][1])}")
    worst = low if metric.sign > 0 else high
    for trial in trials:
        value = last_value(trial)
        shape = {"failed": "cross", "pruned": "diamond"}.get(trial.state, "round")
        chart.point(trial.number, worst if value is None else metric.result(value), trial.state, describe(trial, metric), shape)
    return chart.render()


def _best_so_far(trials: Sequence[Trial]) -> Iterator[tuple[int, float]]:
    best = -math.inf
    for trial in sorted(trials, key=lambda trial: trial.number):
        if trial.state == "complete" and trial.score is not None and trial.score > best:
            best = trial.score
            yield trial.number, best


def plot_curves(name: str, trials: Sequence[Trial], metric: Metric) -> str:
    """Draw the curve of every trial, epoch by epoch."""
    curves = {trial.number: [(n, metric.result(y)) for n, y in enumerate(trial.curve, start=1) if math.isfinite(y)] for trial in trials}
    values = [y for curve in curves.values() for _, y in curve]
    if not values:
        return paragraph("No trial has reported an epoch yet.")
    longest = max(n for curve in curves.values() for n, _ in curve)
    chart = Chart(
        name,
        "the curves of all trials",
        xlim=(0.8, longest + 0.2),
        ylim=limits(values),
        percent=metric.percent,
        whole_x=True,
        xlabel=metric.step,
        ylabel=metric.name,
    )
    chart.settle()
    best = max((trial for trial in trials if trial.score is not None), key=lambda trial: trial.score or 0.0, default=None)
    for trial in sorted(trials, key=lambda trial: trial is best):  # the best one is drawn over the others
        if curves[trial.number]:
            xs, ys = zip(*curves[trial.number], strict=True)
            css = f"{trial.state} top" if trial is best else trial.state
            chart.line(xs, ys, css, f"trial {trial.number}, {trial.state}", points=True)
    return chart.render()


def plot_parallel(name: str, trials: Sequence[Trial], importance: Mapping[str, float], metric: Metric) -> str:
    """Draw parallel coordinates: an axis for each label, a line for each trial that has a value; the better, the stronger the line."""
    scored = [trial for trial in trials if last_value(trial) is not None]
    varied = varied_labels(scored)
    labels = sorted(varied, key=lambda label: -importance.get(label, 0.0))[:_MOST_AXES]
    if len(scored) < 2 or not labels:
        return paragraph("Parallel coordinates need two trials that differ in something.")
    scales = {label: Scale.of([trial.sample.get(label) for trial in scored]) for label in labels}
    scores = [bounded(last_value(trial) or 0.0) for trial in scored]
    low, high = min(scores), max(scores)
    chart = Chart(name, "parallel coordinates", xlim=(-0.25, len(labels) + 0.6), ylim=(-0.04, 1.04), width=1080, height=300)
    chart.axes.set_xticks(range(len(labels) + 1), [_short(clean(label)) for label in labels] + [metric.short])
    chart.axes.tick_params(bottom=False, labeltop=True, labelbottom=False)
    chart.axes.grid(visible=True, axis="x")
    chart.axes.grid(visible=False, axis="y")
    chart.axes.set_yticks([])
    for spine in chart.axes.spines.values():
        spine.set_visible(False)
    chart.settle()
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
    return chart.render() + paragraph(f"{more}A line is a trial: the better, the stronger; dashed where it was pruned.")


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
MEASURED_LATENCY = Cost(LATENCY, "latency of an image", "s", 1e-3)


def plot_pareto(name: str, trials: Sequence[Trial], cost: Cost, metric: Metric) -> str:
    """Draw the score against a cost, the trials that no other one beats in both joined by a line."""
    known = [(trial, as_number(getattr(trial, cost.attribute))) for trial in trials if trial.score is not None]
    sized = [(trial, value) for trial, value in known if value is not None and value > 0]
    if not sized:
        return paragraph(f"No completed trial has its {cost.name} noted.")
    front = find_pareto_front([trial for trial, _ in sized], (ACCURACY, cost.attribute))
    chart = Chart(
        name,
        f"{metric.short} against {cost.name}",
        xlabel=cost.name,
        ylabel=metric.name,
        xlim=log_limits(cost.scale * value for _, value in sized),
        ylim=limits(trial.score or 0.0 for trial, _ in sized),
        log_x=True,
        percent=metric.percent,
        unit=cost.unit,
    )
    chart.settle()
    ordered = sorted({(cost.scale * value, trial.score or 0.0) for trial, value in sized if trial in front})
    xs = [x for x, _ in ordered for _ in (0, 1)][1:]
    ys = [y for _, y in ordered for _ in (0, 1)][:-1]
    if len(ordered) > 1:
        chart.line(xs, ys, "best", "Pareto front: no trial costs less and is better")
    for trial, value in sized:
        place = "; on the Pareto front" if trial in front else ""
        text = f"{describe(trial, metric)}; {cost.show(value)}{place}"
        chart.point(cost.scale * value, trial.score or 0.0, "front" if trial in front else "complete", text)
    return chart.render()
