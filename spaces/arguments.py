"""The arguments of a space's constructor: which values are legal. Nothing heavy is imported here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from common.errors import RecordError, SpaceError
from common.files import to_json
from common.text import show


def check_sizes(space: str, **sizes: tuple[int, int]) -> None:
    """Raise ``SpaceError`` where a size of ``space`` is below the least that it may be; ``sizes`` are (value, least) by name."""
    for name, (value, least) in sizes.items():
        if value < least:
            raise SpaceError(f"{space}: {name} must be at least {least}, not {value}")


def legal_argument(name: str, value: Any, legal: Sequence[Any]) -> Any:
    """Return ``value`` for the argument called ``name``: one of ``legal``, a range or a tuple of values of one type.

    A whole number may be written as a float.

    Raises
    ------
    SpaceError
        It is none of them; says what is legal.
    """
    if isinstance(legal, range) and isinstance(value, float) and value.is_integer():
        value = int(value)
    if type(value) is not type(legal[0]) or value not in legal:
        words = f"a whole number from {legal[0]} to {legal[-1]}" if isinstance(legal, range) else f"one of {', '.join(map(str, legal))}"
        raise SpaceError(f"{name}: {show(value)} is not {words}")
    return value


def plain_arguments(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return those of ``arguments`` that a file can hold."""
    return {name: value for name, value in arguments.items() if _is_plain(value)}


def _is_plain(value: Any) -> bool:
    try:
        to_json(value)
    except RecordError:
        return False
    return True
