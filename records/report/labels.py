"""Which labels a search varied, and where a value stands on the scale of its label."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from common.trial import Trial
from records.report.text import as_number, bounded, show_value


def varied_labels(trials: Sequence[Trial]) -> list[str]:
    """The labels that have more than one value among ``trials``, those of the architecture first."""
    seen: dict[str, set[str]] = {}
    for trial in trials:
        for label, value in trial.sample.items():
            seen.setdefault(label, set()).add(json.dumps(value, sort_keys=True))
    return [label for label, values in seen.items() if len(values) > 1]


@dataclass(frozen=True)
class Scale:
    """The scale of one label from 0 to 1: linear or logarithmic for numbers, else one place a value.

    Attributes
    ----------
        kind: ``linear``, ``log`` or ``category``.
        low, high: of numbers.
        categories: the texts of the values, in order.
    """

    kind: str
    low: float = 0.0
    high: float = 1.0
    categories: tuple[str, ...] = ()

    @classmethod
    def of(cls, values: Sequence[Any]) -> Scale:
        """The scale that fits ``values``."""
        numbers = [as_number(value) for value in values]
        if all(number is not None for number in numbers) and len(set(numbers)) > 4:
            present = [bounded(number) for number in numbers if number is not None]
            low, high = min(present), max(present)
            return cls("log" if low > 0 and 50 < high / low < math.inf else "linear", low, high)
        if all(number is not None for number in numbers):
            return cls("category", categories=tuple(dict.fromkeys(show_value(value) for value in sorted(set(values)))))
        return cls("category", categories=tuple(sorted({show_value(value) for value in values})))

    def place(self, value: Any) -> float:
        """Where ``value``, one of those the scale was made of, stands."""
        if self.kind == "category":
            index = self.categories.index(show_value(value))
            return (index + 0.5) / len(self.categories)
        value = bounded(value)
        if self.kind == "log":
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / ((self.high - self.low) or 1.0)

    def ticks(self) -> list[tuple[float, str]]:
        """Places and texts to write beside the axis, at most about a dozen."""
        if self.kind == "category":
            step = -(-len(self.categories) // 12)
            return [((index + 0.5) / len(self.categories), text) for index, text in enumerate(self.categories) if index % step == 0]
        middle = math.sqrt(self.low * self.high) if self.kind == "log" else (self.low + self.high) / 2
        return [(0.0, show_value(self.low)), (0.5, show_value(float(middle))), (1.0, show_value(self.high))]


def constants(trials: Sequence[Trial]) -> Mapping[str, Any]:
    """The labels that have one value in all ``trials``."""
    varied = set(varied_labels(trials))
    return {label: value for label, value in trials[0].sample.items() if label not in varied} if trials else {}
