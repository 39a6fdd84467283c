"""Numbers that a person types or a file holds."""

from __future__ import annotations

import math

LARGEST_SEED = 2**32 - 1  # that numpy takes


def is_real(value: object) -> bool:
    """Return whether ``value`` is a finite number; a boolean is none, nor is a whole number beyond all floats."""
    try:
        return isinstance(value, float | int) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:
        return False
