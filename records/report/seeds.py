"""Runs that differ in their seed alone: which they are, and one line with a band for all of them."""

from __future__ import annotations

import statistics
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from records.metric import Metric
from records.report.collect import Run
from records.report.figure import Chart, limits, steps
from records.report.palette import SERIES
from records.report.text import as_number, as_object, bounded, show_value
from records.report.times import ends_of, find_unit
from records.report.trial_plots import best_over, best_so_far

_Points = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Group:
    """Runs of one configuration, each with a seed of its own."""

    runs: list[Run]

    @property
    def title(self) -> str:
        """What was run: a strategy on a space, or what was retrained."""
        run = self.runs[0]
        return f"retraining of {run.settings.get('retrain')}" if run.is_retraining else f"{run.strategy} on {run.space}"


def group_by_seed(runs: Sequence[Run]) -> list[Group]:
    """Return the runs in groups, by what their ``config.json`` says of each, in the order of the first of each group."""
    groups: list[Group] = []
    for run in runs:
        own = next((group for group in groups if all(is_repetition(member, run) for member in group.runs)), None)
        if own is None:
            groups.append(Group([run]))
        else:
            own.runs.append(run)
    return groups


def is_repetition(one: Run, other: Run) -> bool:
    """Return whether two runs differ in their seed, and in nothing else that decides their result."""
    same = [{name: value for name, value in run.identity.items() if name != "seed"} for run in (one, other)]
    return same[0] == same[1] and one.identity.get("seed") != other.identity.get("seed")


def titles_of(groups: Sequence[Group]) -> list[str]:
    """Return what each group is called: what was run, and in which folder where another group is called the same."""
    titles = [group.title for group in groups]
    return [
        title if titles.count(title) == 1 else f"{title}, {_differences(group, groups) or group.runs[0].path.name}"
        for title, group in zip(titles, groups, strict=True)
    ]


def _differences(group: Group, groups: Sequence[Group]) -> str:
    """Return the settings by which a group differs from those of the same title; empty where they are too many, or do not tell."""
    alike = [other for other in groups if other.title == group.title]
    settings = [_flat(other.runs[0]) for other in alike]
    names = [name for name in settings[0] if len({show_value(one.get(name)) for one in settings}) > 1]
    words = [", ".join(f"{name} {show_value(one.get(name))}" for name in names) for one in settings]
    index = next(place for place, other in enumerate(alike) if other is group)
    return words[index] if len(names) <= 2 and words.count(words[index]) == 1 and len(words[index]) < 50 else ""


def _flat(run: Run) -> dict[str, object]:
    own = {name.strip("-"): value for name, value in run.identity.items() if name != "seed" and not isinstance(value, dict)}
    return own | {"data": run.dataset.get("name")} | as_object(run.identity.get("recipe"))


def plot_searches(name: str, groups: Sequence[Group], over: str = "trials") -> Chart | str:
    """Draw the best so far of several searches, a line for each group, over ``time`` or the number of ``trials`` that had ended."""
    groups = [group for group in groups if all(best_so_far(run.trials) for run in group.runs)]
    if not groups:
        return "No search has a score yet."
    metric = groups[0].runs[0].metric
    longest = max(max(ends_of(run)) for group in groups for run in group.runs)
    size, unit = find_unit(longest) if over == "time" else (1.0, "")
    lines = [[_progress(run, over, size) for run in group.runs] for group in groups]
    label = f"time of the search ({unit})" if over == "time" else "trials that have ended"
    return _plot(name, f"Best {metric.name} so far", groups, lines, metric, label, whole=over == "trials", stepped=True)


def plot_epochs_together(name: str, groups: Sequence[Group], key: str, what: str) -> Chart | str:
    """Draw what ``epochs`` note under ``key``, an accuracy, a line for each group."""
    lines = [[_epochs(run, key) for run in group.runs] for group in groups]
    whole = [(group, own) for group, own in zip(groups, lines, strict=True) if all(own)]
    if not whole:
        return f"No {what} was noted."
    groups, lines = [group for group, _ in whole], [own for _, own in whole]
    metric = Metric(name=what)
    return _plot(name, f"{what.capitalize()}, epoch by epoch", groups, lines, metric, "epoch", whole=True, stepped=False)


def _progress(run: Run, over: str, size: float) -> _Points:
    """Return where the best so far got better, and once more the end."""
    end = max(ends_of(run)) if over == "time" else len(run.trials)
    points = [(x / size, bounded(run.metric.result(trial.score or 0.0))) for x, trial in best_over(run, over)]
    return [*points, (end / size, points[-1][1])]


def _epochs(run: Run, key: str) -> _Points:
    curve = run.retrained.get("curve") if run.is_retraining else None
    epochs = [as_object(epoch) for epoch in curve] if isinstance(curve, list) else run.epochs
    pairs = [(as_number(epoch.get("number")), as_number(epoch.get(key))) for epoch in epochs]
    return [(x, bounded(y)) for x, y in pairs if x is not None and y is not None]


def _plot(
    name: str,
    title: str,
    groups: Sequence[Group],
    lines: Sequence[Sequence[_Points]],
    metric: Metric,
    xlabel: str,
    *,
    whole: bool,
    stepped: bool,
) -> Chart:
    points = [point for own in lines for line in own for point in line]
    chart = Chart(
        name,
        title,
        xlabel=xlabel,
        ylabel=metric.name,
        xlim=limits([x for x, _ in points], margin=0.03),
        ylim=limits([y for _, y in points]),
        percent=metric.percent,
        whole_x=whole,
    )
    for index, (called, own) in enumerate(zip(titles_of(groups), lines, strict=True)):
        css = f"c{index % SERIES}"
        xs, rows = _align(own)
        means = [statistics.fmean(row) for row in rows]
        lows, highs = [min(row) for row in rows], [max(row) for row in rows]
        if len(own) > 1:
            for line in own:
                corners = steps(*zip(*line, strict=True)) if stepped else list(zip(*line, strict=True))
                chart.line(corners[0], corners[1], f"{css} faint", f"{called}, one seed")
        spread = f", mean of {len(own)} seeds ({metric.format(lows[-1])} to {metric.format(highs[-1])})" if len(own) > 1 else ""
        shown = f"{called}: {metric.format(means[-1])}{spread}"
        xs, means, lows, highs = steps(xs, means, lows, highs) if stepped else [xs, means, lows, highs]
        if len(own) > 1:
            chart.band(xs, lows, highs, css, shown)
        label = f"{called}: mean of {len(own)} seeds, band from lowest to highest" if len(own) > 1 else f"{called}: one run"
        chart.line(xs, means, f"{css} wide", shown, label=label)
    return chart


def _align(lines: Sequence[_Points]) -> tuple[list[float], list[list[float]]]:
    """Return the places at which all lines have a value, and their values there; between its points a line keeps its value."""
    first, last = max(line[0][0] for line in lines), min(line[-1][0] for line in lines)
    last = max(first, last)
    places = sorted({x for line in lines for x, _ in line if first <= x <= last} | {first, last})
    starts = [[x for x, _ in line] for line in lines]
    rows = [[line[max(bisect_right(own, x) - 1, 0)][1] for line, own in zip(lines, starts, strict=True)] for x in places]
    return places, rows
