"""What a chart holds, whoever draws it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Mark:
    """What a chart holds, in data coordinates: a ``line``, a ``band`` from ``lows`` to ``ys``, a ``point`` or a ``text``."""

    kind: str
    xs: Sequence[float]
    ys: Sequence[float]
    css: str
    title: str
    style: str = ""
    shape: str = "round"
    points: bool = False
    lows: Sequence[float] = ()
