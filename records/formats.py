"""Accuracies, counts and durations as people read them."""

from __future__ import annotations

import math


def format_accuracy(fraction: float | None) -> str:
    """Return an accuracy in [0, 1] as percent: ``0.9123`` is ``91.23%``; ``-`` where there is none."""
    return "-" if fraction is None or not math.isfinite(fraction) else f"{100 * fraction:.2f}%"


def format_number(value: float | None) -> str:
    """Return a number of any kind in four digits: ``0.9123``, ``2.5e-05``, ``123457``; ``-`` where there is none."""
    if value is None or not math.isfinite(value):
        return "-"
    return f"{value:.0f}" if 1e4 <= abs(value) < 1e9 or (value == round(value) and abs(value) < 1e9) else f"{value:.4g}"


def format_count(number: float | None) -> str:
    """Return a count in three digits: ``3349342`` is ``3.35 M``, ``950`` is ``950``; ``-`` where there is none."""
    if number is None or not math.isfinite(number):
        return "-"
    if abs(number) < 1000:
        return f"{number:g}"
    for unit in ("k", "M", "G", "T"):  # noqa: B007, the last unit is used after the loop
        number /= 1000
        if abs(number) < 999.5:
            break
    digits = 2 if abs(number) < 9.995 else 1 if abs(number) < 99.95 else 0
    return f"{number:.{digits}f} {unit}"


def count_of(number: int, noun: str) -> str:
    """Return a number and what is counted, in the plural where it is not one: ``1 epoch``, ``1,200 trials``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def format_milliseconds(number: float | None) -> str:
    """Return a latency in three digits, ``4.53 ms``; ``-`` where there is none."""
    return "-" if number is None or not math.isfinite(number) else f"{number:.3g} ms"


def format_seconds(seconds: float | None) -> str:
    """Return a duration: ``0.5 s``, ``42 s``, ``1 min 23 s``, ``2 h 05 min``; ``-`` where there is none."""
    if seconds is None or not math.isfinite(seconds):
        return "-"
    seconds = max(seconds, 0.0)
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60:02d} min"
