"""Any configuration of the zoo as the nearest one that was trained."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from benchmarks.zoo_table import Training
from spaces.zoo.vocabulary import DEFAULT, unread_by

# How far apart: another value of a choice, or so many times the learning rate in decades; width counts by its octaves.
APART = {"backbone": 100.0, "optimizer": 4.0, "stem": 3.0, "depth": 1.0}
LITTLE = {"batch_size": 0.3, "label_smoothing": 0.1, "cutout": 0.1}
RATE, WIDTH = 2.0, 1.0


class NearestRows:
    """The trainings of one data set, found by any sample of the zoo.

    Parameters
    ----------
    trainings
        One or more, all of one data set.
    labels
        Those of a sample.
    """

    def __init__(self, trainings: Sequence[Training], labels: Collection[str]) -> None:
        self._labels = list(labels)
        self._by_backbone: dict[str, list[Training]] = {}
        for one in trainings:
            self._by_backbone.setdefault(one.configuration["backbone"], []).append(one)
        self._all = list(trainings)
        self._row_of = {self.key(one.configuration): one for one in trainings}

    def key(self, sample: Mapping[str, Any]) -> tuple[Any, ...]:
        """Return the values of the labels."""
        return tuple(sample[label] for label in self._labels)

    def nearest(self, sample: Mapping[str, Any]) -> Training:
        """Return the training that is nearest to ``sample``; of several the first of the table."""
        exact = self._row_of.get(self.key(sample))
        if exact is not None:
            return exact
        return min(self._by_backbone.get(sample["backbone"], self._all), key=lambda one: distance(sample, one.configuration))

    def canonical(self, sample: Mapping[str, Any]) -> dict[str, Any]:
        """Return the sample of the nearest training."""
        chosen = self.nearest(sample).configuration
        return {label: chosen[label] for label in self._labels}


def distance(one: Mapping[str, Any], other: Mapping[str, Any]) -> float:
    """Return how far apart two configurations are; what their backbone does not read does not count."""
    unread = unread_by(one["backbone"]) if one["backbone"] == other["backbone"] else ()
    read = {label: DEFAULT[label] for label in unread}
    first, second = {**one, **read}, {**other, **read}
    far = sum(weight for label, weight in {**APART, **LITTLE}.items() if first[label] != second[label])
    far += WIDTH * abs(math.log2(first["width"] / second["width"]))
    return far + RATE * abs(math.log10(first["initial_lr"] / second["initial_lr"]))
