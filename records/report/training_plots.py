"""The charts of a supernet and of a network that is trained alone, from ``epochs.jsonl`` and ``retrained.json``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from records.formats import count_of
from records.report.figure import Chart, limits, show, sparkline
from records.report.palette import SERIES
from records.report.text import as_number, as_object, escape, paragraph


def plot_epochs(name: str, epochs: Sequence[Mapping[str, Any]], keys: Mapping[str, str], ylabel: str, *, percent: bool) -> Chart | str:
    """Draw lines over the epochs; ``keys`` are what epochs call them, and what people call them."""
    series: dict[str, list[tuple[float, float]]] = {}
    for key, title in keys.items():
        pairs = [(as_number(epoch.get("number")), as_number(epoch.get(key))) for epoch in epochs]
        points = [(x, y) for x, y in pairs if x is not None and y is not None]
        if points:
            series[title] = points
    if not series:
        return f"No {ylabel} was noted."
    everything = [point for points in series.values() for point in points]
    first, last = min(x for x, _ in everything), max(x for x, _ in everything)
    chart = Chart(
        name,
        f"{ylabel.partition(' (')[0].capitalize()}, epoch by epoch",
        xlabel="epoch",
        ylabel=ylabel,
        xlim=(first - 0.2, last + 0.2),
        ylim=limits(y for _, y in everything),
        percent=percent,
        whole_x=True,
    )
    for index, (title, points) in enumerate(series.items()):
        xs, ys = zip(*points, strict=True)
        shown = f"{title}, last {100 * ys[-1]:.2f}%" if percent else f"{title}, last {ys[-1]:.3f}"
        chart.line(xs, ys, f"c{index} wide", shown, points=percent, label=title)
    return chart


def _legend(names: Sequence[str]) -> str:
    return '<p class="legend">' + "".join(f'<span class="c{i % SERIES}">{escape(name, 40)}</span>' for i, name in enumerate(names)) + "</p>"


def plot_alphas(name: str, epochs: Sequence[Mapping[str, Any]]) -> str:
    """Draw the entropy of the operations' probabilities, and the share of skip connections among the edges kept."""
    shares = [{**epoch, "skip_share": _skip_share(as_object(epoch.get("skips")))} for epoch in epochs]
    entropy = plot_epochs(f"{name}-entropy", epochs, {"entropy": "mean over the edges"}, "entropy (nats)", percent=False)
    skips = plot_epochs(f"{name}-skips", shares, {"skip_share": "of the edges kept"}, "share of skip connections", percent=True)
    return _tell_stages(epochs) + f'<div class="pair"><div>{show(entropy)}</div><div>{show(skips)}</div></div>'


def tell_events(guard: Mapping[str, Any], epochs: Sequence[Mapping[str, Any]]) -> str:
    """Say when skip connections took over, and how many operations were frozen; empty where neither was watched for.

    Parameters
    ----------
    guard
        What ``best.json`` tells of the collapse guard.
    epochs
        Of the search.
    """
    told, at = "", as_number(guard.get("collapsed_at_epoch"))
    if at is not None:
        end = "the search ended there, with the epoch before as its result" if guard.get("stopped") is True else "the search went on"
        told += paragraph(f"Skip connections took over in epoch {at:.0f}: {end}.")
    frozen = [counts for epoch in epochs if (counts := as_object(epoch.get("frozen")))]
    if frozen:
        counts = {name: number for name, count in frozen[-1].items() if (number := as_number(count))}
        each = ", ".join(f"{name[:24]} {count:,.0f}" for name, count in sorted(counts.items(), key=lambda pair: -pair[1]))
        told += paragraph(f"Operations that were frozen as they overfitted: {sum(counts.values()):,.0f}{f' ({each})' if each else ''}.")
    return told


def _tell_stages(epochs: Sequence[Mapping[str, Any]]) -> str:
    """Say which epochs are of which supernet; empty where there was one."""
    numbers: dict[float, list[float]] = {}
    for epoch in epochs:
        stage, number = as_number(epoch.get("stage")), as_number(epoch.get("number"))
        if stage is not None and number is not None:
            numbers.setdefault(stage, []).append(number)
    if len(numbers) < 2:
        return ""
    told = "; ".join(f"{stage:.0f}: epochs {min(own):.0f} to {max(own):.0f}" for stage, own in sorted(numbers.items()))
    return paragraph(f"Stages, each with a supernet of its own and fewer operations: {told}. Lines jump between them.")


def show_draws(name: str, epochs: Sequence[Mapping[str, Any]]) -> str:
    """Draw the temperature, and say how often each operation and each input was drawn, over all epochs; empty where nothing was drawn."""
    by_choice = _sum_up(epochs, "paths")
    drawn: dict[str, float] = {}
    for choice in by_choice.values():
        for operation, count in choice.items():
            drawn[operation] = drawn.get(operation, 0) + count
    if not drawn:
        return ""
    told = ", ".join(f"{operation[:24]} {count:,.0f}" for operation, count in sorted(drawn.items(), key=lambda pair: -pair[1]))
    chart = ""
    if any(as_number(epoch.get("temperature")) is not None for epoch in epochs):
        chart = show(plot_epochs(f"{name}-temperature", epochs, {"temperature": "of the draws"}, "temperature", percent=False))
    chart += paragraph(f"How often each operation was drawn, over all edges: {told}.")
    kept = [
        f"{label[:40]}: " + ", ".join(f"{source[:24]} {count:,.0f}" for source, count in choice.items())
        for label, choice in _sum_up(epochs, "kept_inputs").items()
    ]
    return chart + (paragraph(f"How often each input was kept. {'; '.join(kept)}.") if kept else "")


def _sum_up(epochs: Sequence[Mapping[str, Any]], name: str) -> dict[str, dict[str, float]]:
    """Return counts by label and candidate, summed up over the epochs."""
    total: dict[str, dict[str, float]] = {}
    for epoch in epochs:
        for label, choice in as_object(epoch.get(name)).items():
            for candidate, count in as_object(choice).items():
                of_label = total.setdefault(label, {})
                of_label[candidate] = of_label.get(candidate, 0) + (as_number(count) or 0)
    return total


def _skip_share(skips: Mapping[str, Any]) -> float | None:
    pairs = [pair for pair in skips.values() if isinstance(pair, list) and len(pair) == 2 and None not in map(as_number, pair)]
    kept = sum(pair[1] for pair in pairs)
    return sum(pair[0] for pair in pairs) / kept if kept > 0 else None


def show_probabilities(epochs: Sequence[Mapping[str, Any]]) -> str:
    """Draw the probability of each operation over the epochs: a small chart for each choice, all on one scale."""
    tables = [as_object(epoch.get("probabilities")) for epoch in epochs]
    tables = [table for table in tables if table]
    if not tables:
        return paragraph("No probabilities were noted.")
    operations = list(dict.fromkeys(name for choice in tables[0].values() for name in as_object(choice)))
    curves = {label: {name: values for name in operations if (values := _history(tables, label, name)) is not None} for label in tables[0]}
    everything = [value for choice in curves.values() for values in choice.values() for value in values]
    if not everything:
        return paragraph("No probabilities were noted.")
    low, high = limits(everything, margin=0.02)
    groups: dict[str, list[str]] = {}
    for label, choice in curves.items():
        if choice:
            group, _, short = label.rpartition("/")
            lines = [(f"c{operations.index(name) % SERIES}", values) for name, values in choice.items()]
            last = sorted(((values[-1], name) for name, values in choice.items()), reverse=True)
            title = f"{label}: " + ", ".join(f"{name} {100 * value:.1f}%" for value, name in last)
            figure = sparkline(lines, low, high, title, width=128, height=64)
            caption = f"{escape(short, 24)}<br><b>{escape(last[0][1], 24)}</b> {100 * last[0][0]:.1f}%"
            groups.setdefault(group, []).append(f"<figure>{figure}<figcaption>{caption}</figcaption></figure>")
    parts = [f'<h4>{escape(group, 40)}</h4><div class="small">{"".join(figures)}</div>' for group, figures in groups.items()]
    scale = f"All on one scale, from {100 * low:.1f}% to {100 * high:.1f}%, over {count_of(len(tables), 'epoch')};"
    scale += " named is the likeliest in the end."
    return _legend(operations) + "".join(parts) + paragraph(scale)


def _history(tables: Sequence[Mapping[str, Any]], label: str, name: str) -> list[float] | None:
    values = [as_number(as_object(table.get(label)).get(name)) for table in tables]
    present = [value for value in values if value is not None]
    return present if len(present) == len(values) else None
