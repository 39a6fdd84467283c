"""Values as they stand in a message of one line."""

from __future__ import annotations

_SHOWN_CHARACTERS = 80


def show(value: object) -> str:
    """``repr(value)`` cut to a length that fits a one-line message (``repr`` escapes control characters)."""
    try:
        text = repr(value)
    except RecursionError:
        text = f"a deeply nested {type(value).__name__}"
    return text if len(text) <= _SHOWN_CHARACTERS else text[: _SHOWN_CHARACTERS - 3] + "..."
