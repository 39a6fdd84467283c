"""Limits on the size of networks, which a configuration must meet before anything is trained."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from common.trial import sample_key
from strategies.engines.recording import Rejection


@dataclass(frozen=True)
class Limit:
    """The most that a measure of a network may be.

    Attributes
    ----------
    argument, unit
        What the limit and its unit are called, such as ``max_parameters`` and ``parameters``.
    value
        The most that is allowed; ``None``: anything is.
    measure
        Measures what ``SizeLimits`` builds.
    """

    argument: str
    value: int | None
    unit: str
    measure: Callable[[Any], int]


class SizeLimits:
    """Rejects samples whose network is too large; a network is measured once, however many samples have it.

    Parameters
    ----------
    limits
        Checked in this order, up to the first that is exceeded: the cheap ones first.
    labels
        Those on which the network depends; the rest of a sample are hyperparameters. A constraint's label is in no sample.
    build
        What is measured of an architecture (of ``labels``): its network, which may be one without data (torch's meta device), or the
        sample by which a table knows it.
    """

    def __init__(self, limits: Sequence[Limit], labels: Sequence[str], build: Callable[[Mapping[str, Any]], Any]) -> None:
        self._limits = [(limit, limit.value) for limit in limits if limit.value is not None]
        self._labels, self._build = labels, build
        self._checked: dict[str, Rejection | None] = {}

    def __call__(self, sample: Mapping[str, Any]) -> Rejection | None:
        """Why ``sample`` is rejected, or ``None``. Raises what ``build`` and the measures raise."""
        if not self._limits:
            return None
        architecture = {label: sample[label] for label in self._labels if label in sample}
        key = sample_key(architecture)
        if key not in self._checked:
            self._checked[key] = self._check(architecture)
        return self._checked[key]

    def _check(self, architecture: Mapping[str, Any]) -> Rejection | None:
        network = self._build(architecture)
        for limit, most in self._limits:
            size = limit.measure(network)
            if size > most:
                # The logarithm, so that a network of twice the size is as far outside whatever the limit.
                return Rejection(math.log(size / most), f"{size:,} {limit.unit}, more than `{limit.argument}={most:,}`")
        return None
