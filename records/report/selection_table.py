"""How the architecture of a one-shot search was selected: the best by inherited weights, and what short trainings made of them."""

from __future__ import annotations

from typing import Any

from common.trial import sample_key
from records.formats import format_accuracy
from records.report.collect import Run
from records.report.text import as_number, as_object, paragraph, plain_table, show_value

_WAYS = {
    "perturbation": "Settled choice by choice: what is kept is that whose removal costs the supernet most accuracy.",
    "inherited": "The best of an evolutionary search by the supernet's weights, with batch statistics of their own.",
    "draws": "The best of some random networks by the supernet's weights, on a few validation batches.",
    "nearest": "The best by short trainings: what is read off, and networks in which one operation is another, the nearest first.",
    "trained": "The best by short trainings, of the best by the supernet's weights.",
}
_MOST_LABELS = 6


def show_selection(run: Run) -> str:
    """Return the best architectures as a table; empty where the largest architecture parameters alone were kept."""
    told = as_object(as_object(run.best.strategy).get("selected")) if run.best is not None else {}
    rows = [as_object(row) for row in _list(told.get("top"))]
    if not rows:
        return ""
    trained = {_key(as_object(row)): as_object(row).get("validation_accuracy") for row in _list(told.get("trained"))}
    samples = [as_object(row.get("architecture")) for row in rows]
    heads = ["by inherited weights", *(["by a short training"] if trained else []), "where it differs from the first"]
    body = []
    for row, sample in zip(rows, samples, strict=True):
        labels = [label for label in samples[0] if show_value(sample.get(label)) != show_value(samples[0][label])]
        what = ", ".join(f"{label} {show_value(sample.get(label))}" for label in labels[:_MOST_LABELS]) or "-"
        more = f" and {len(labels) - _MOST_LABELS} more" if len(labels) > _MOST_LABELS else ""
        scores = [row.get("inherited_accuracy"), *([trained.get(_key(row))] if trained else [])]
        body.append([*(format_accuracy(as_number(score)) for score in scores), what + more])
    return paragraph(_WAYS.get(str(told.get("by")), f"Selected by {told.get('by')}.")) + plain_table(heads, body)


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _key(row: dict[str, Any]) -> str:
    return sample_key(as_object(row.get("architecture")))
