"""When the value of a sample and the text in a table are the same: numbers as numbers, everything else as text."""

from __future__ import annotations

import json
import math
import re
from typing import Any

# Not what Python reads beside: 007 and 1_000 are names of something, and so is nan.
_NUMBER = re.compile(r"-?(?:(?:0|[1-9]\d*)(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?")
NOTHING = "null"  # what stands for an empty field
_NOTHING = ("", "None", NOTHING)
_DIGITS = 12  # the steps of a range are not exact: three times 0.1 is 0.30000000000000004


def key_of(value: Any) -> str:
    """Return one text for all that is the same in a table as ``value``, which is a sample's, or the text of a field.

    16, ``"16.0"`` and ``"1.6e1"`` are one number, ``None``, ``"None"`` and an empty field are nothing, ``True`` and ``"True"`` are one.
    """
    text = value.strip() if isinstance(value, str) else json.dumps(value)
    number = number_in(text)
    if number is not None:
        return str(int(number)) if number.is_integer() else f"{number:.{_DIGITS}g}"
    if text in _NOTHING:
        return NOTHING
    if text in ("True", "False"):
        return text.lower()
    if text[:1] == "[":
        try:
            return json.dumps(json.loads(text))
        except (ValueError, RecursionError):
            return text
    return text


def number_in(text: str) -> float | None:
    """Return the finite number that ``text`` is; ``None`` where it is none."""
    if not _NUMBER.fullmatch(text):
        return None
    number = float(text)
    return number if math.isfinite(number) else None
