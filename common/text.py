"""Values as they stand in a message of one line."""

from __future__ import annotations

_SHOWN_CHARACTERS = 80


def show(value: object, limit: int = _SHOWN_CHARACTERS) -> str:
    """Return ``repr(value)`` in one line of at most ``limit`` characters; ``repr`` escapes the control characters of a text."""
    try:
        text = repr(value[:limit] if isinstance(value, str) else value)  # a long text is cut below, too, for its quotes
    except RecursionError:
        text = f"a deeply nested {type(value).__name__}"
    except ValueError:  # a whole number of more digits than Python writes
        text = f"a huge {type(value).__name__}"
    text = " ".join(text.splitlines())  # of a tensor it has several
    return text if len(text) <= limit else text[: limit - 3] + "..."
