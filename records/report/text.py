"""Text from files on its way into the page: made harmless, and escaped."""

from __future__ import annotations

import html
import math
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

from records.formats import format_number, format_seconds

LONGEST = 120
_LARGEST = 1e100
_DURATIONS = ("time_budget", "trial_time")  # settings in seconds


def clean(value: object, longest: int = LONGEST) -> str:
    """Return ``value`` as text of at most ``longest`` characters, in which what one cannot see is spelled out.

    That is control characters, marks that turn the direction of writing, surrogates, which neither HTML nor UTF-8 can hold.
    """
    text = value if isinstance(value, str) else show_value(value)
    if len(text) > longest:
        text = text[: longest - 1] + "…"
    return "".join(char if _is_plain(char) else char.encode("unicode_escape").decode("ascii") for char in text)


def _is_plain(char: str) -> bool:
    return unicodedata.category(char) not in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")


def escape(value: object, longest: int = LONGEST) -> str:
    """Return ``value`` as text between tags or inside a quoted attribute."""
    return html.escape(clean(value, longest), quote=True)


def paragraph(text: str, css: str = "note") -> str:
    """Return a line of the page."""
    return f'<p class="{css}">{escape(text, 2000)}</p>'


def plain_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table of texts."""
    head = "".join(f'<th scope="col">{escape(name, 60)}</th>' for name in heads)
    body = "".join(f"<tr>{''.join(f'<td>{escape(cell, 300)}</td>' for cell in row)}</tr>" for row in rows)
    return f'<div class="scroll"><table class="overview"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def show_value(value: object) -> str:
    """Return a choice as people write it: ``0.0123``, ``0, 2``, ``true``."""
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "-"}[value]
    if isinstance(value, float):
        return format_number(value)
    if isinstance(value, (list, tuple)):
        return ", ".join(show_value(member) for member in value)
    if isinstance(value, dict):
        return ", ".join(f"{key} {show_value(member)}" for key, member in value.items())
    return str(value)


def as_number(value: object) -> float | None:
    """Return ``value`` if it is a finite number, else None: files may hold anything."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:  # an integer beyond all floats
        return None


def bounded(value: float) -> float:
    """Return ``value``, or the nearest number with which one can still reckon where it is huge: differences of floats may be infinite."""
    return min(max(value, -_LARGEST), _LARGEST)


def as_object(value: object) -> dict[str, Any]:
    """Return ``value`` if it is an object of JSON, else an empty one."""
    return dict(value) if isinstance(value, Mapping) else {}


def definition_list(rows: Mapping[str, object]) -> str:
    """Return names and values, those without a value left out; a number that was shortened has all its digits where a pointer rests."""
    items = (
        f"<div><dt>{escape(name)}</dt><dd{_all_digits(value)}>{escape(_in_words(name, value), 600)}</dd></div>"
        for name, value in rows.items()
        if value not in (None, "", "-")
    )
    return f"<dl>{''.join(items)}</dl>"


def _in_words(name: str, value: object) -> object:
    number = as_number(value)
    return format_seconds(number) if name in _DURATIONS and number is not None else value


def _all_digits(value: object) -> str:
    return f' title="{escape(repr(value))}"' if isinstance(value, float) and show_value(value) != repr(value) else ""
