"""All trials of a search in a table that a click on a head sorts."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from common.trial import Trial
from records.formats import format_accuracy, format_count, format_milliseconds, format_seconds
from records.metric import Metric
from records.pareto import ACCURACY, LATENCY
from records.report.cells import describe_cell, read_cells
from records.report.figure import limits, sparkline
from records.report.labels import constants, varied_labels
from records.report.text import as_number, as_object, clean, definition_list, escape, paragraph, show_value
from records.report.trial_plots import last_value

_MOST_COLUMNS = 24


def show_trials(trials: Sequence[Trial], best: Trial | None, metric: Metric) -> str:
    """Return the table, and above it what all trials have in common."""
    cells = {trial.number: {kind: describe_cell(nodes) for kind, nodes in read_cells(trial.architecture).items()} for trial in trials}
    kinds = list(dict.fromkeys(kind for own in cells.values() for kind in own))
    varied = [label for label in varied_labels(trials) if not any(label.startswith(f"{kind}/") for kind in kinds)]
    shown = varied[:_MOST_COLUMNS]
    measured = [LATENCY] if any(trial.latency is not None for trial in trials) else []
    heads = ["trial", "status", metric.short, "curve", f"{metric.step}s", "parameters", "multiply-adds", *measured, "time"]
    heads += [*kinds, *shown, "error"]
    curves = {trial.number: [metric.result(y) for y in trial.curve if math.isfinite(y)] for trial in trials}
    low, high = limits([y for curve in curves.values() for y in curve], margin=0.0)
    rows = []
    for trial in trials:
        own = trial.sample
        finite, result = curves[trial.number], last_value(trial)
        texts = ", ".join(f"{metric.step} {n}: {metric.show(y)}" for n, y in enumerate(trial.curve, start=1))
        spark = sparkline([(trial.state, finite)], low, high, f"trial {trial.number}: {texts}") if finite else "-"
        line = [
            _cell(trial.number, str(trial.number)),
            f'<td data-v="{escape(trial.state)}"><span class="status {escape(trial.state)}">{escape(trial.state)}</span></td>',
            _cell(None if result is None else metric.result(result), metric.show(result)),
            f'<td data-v="{_sort_key(finite[-1] if finite else None)}">{spark}</td>',
            _cell(len(trial.curve), f"{len(trial.curve)}{f' of {trial.planned_epochs}' if trial.planned_epochs else ''}"),
            _cell(trial.parameters, format_count(as_number(trial.parameters))),
            _cell(trial.flops, format_count(as_number(trial.flops))),
            *(_cell(trial.latency, format_milliseconds(as_number(trial.latency))) for _ in measured),
            _cell(trial.seconds, format_seconds(as_number(trial.seconds))),
            *(_cell(cells[trial.number].get(kind, ""), cells[trial.number].get(kind, "-")) for kind in kinds),
            *(_cell(own.get(label), show_value(own.get(label))) for label in shown),
            _cell(trial.error or "", trial.error or ""),
        ]
        css = f"{trial.state}{' winner' if trial is best else ''}"
        rows.append(f'<tr class="{escape(css)}">{"".join(line)}</tr>')
    head = "".join(f'<th scope="col"><button type="button" title="{escape(text, 300)}">{escape(text, 28)}</button></th>' for text in heads)
    table = f'<div class="scroll"><table class="trials"><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>'
    return _show_common(trials, kinds, len(varied) - len(shown)) + table


def show_front(pareto: Mapping[str, Any]) -> str:
    """Return the points of ``pareto.json``: the trials that no other beats in all objectives."""
    points = pareto.get("points")
    points = [as_object(point) for point in points] if isinstance(points, list) else []
    names = list(dict.fromkeys(name for point in points for name in as_object(point.get("objectives"))))
    if not names:
        return paragraph("pareto.json has no points.")
    formats: dict[str, Callable[[float | None], str]] = {ACCURACY: format_accuracy, LATENCY: format_milliseconds}
    head = "".join(f'<th scope="col">{escape(name, 40)}</th>' for name in ("trial", *names, "architecture"))
    rows = ""
    for point in points:
        values, architecture = as_object(point.get("objectives")), as_object(point.get("architecture"))
        cells = read_cells(architecture)
        words = {kind: describe_cell(nodes) for kind, nodes in cells.items()} or architecture
        texts = [formats.get(name, format_count)(as_number(values.get(name))) for name in names]
        line = [show_value(point.get("trial")), *texts, "; ".join(f"{label} {show_value(value)}" for label, value in words.items())]
        rows += f"<tr>{''.join(f'<td>{escape(text, 600)}</td>' for text in line)}</tr>"
    return f'<div class="scroll"><table class="lab"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'


def _show_common(trials: Sequence[Trial], kinds: Sequence[str], left_out: int) -> str:
    same: Mapping[str, Any] = {
        label: value for label, value in constants(trials).items() if not any(label.startswith(f"{kind}/") for kind in kinds)
    }
    more = f'<p class="note">{left_out} more labels have no column; trials.jsonl has them.</p>' if left_out else ""
    if not same:
        return more
    where = f"all {len(trials)} trials" if len(trials) > 1 else "the one trial"
    return f"<details><summary>the same in {where}</summary>{definition_list(same)}</details>{more}"


def _sort_key(value: object) -> str:
    number = as_number(value)
    return (
        ""
        if value is None or (number is None and not isinstance(value, (str, bool, list, dict)))
        else (repr(number) if number is not None else escape(show_value(value), 80))
    )


def _cell(value: object, text: str) -> str:
    css = ' class="number"' if as_number(value) is not None else ""
    full = f' title="{escape(text, 1000)}"' if len(clean(text, 2000)) > 60 else ""
    return f'<td data-v="{_sort_key(value)}"{css}{full}>{escape(text, 60)}</td>'
