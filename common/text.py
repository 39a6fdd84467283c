"""Values as they stand in a message of one line."""

from __future__ import annotations

from collections.abc import Iterator

_SHOWN_CHARACTERS = 80


def show(value: object, limit: int = _SHOWN_CHARACTERS) -> str:
    """Return ``repr(value)`` in one line of at most ``limit`` characters, at a cost that ``limit`` bounds.

    A file of a few hundred bytes may hold lists whose whole text has gigabytes: no more of it is written than is shown.
    """
    pieces, length = [], 0
    for piece in _pieces(value, limit):
        pieces.append(piece)
        length += len(piece)
        if length > limit:
            break
    return _cut(printable("".join(pieces)), limit)


def show_text(value: object, limit: int = _SHOWN_CHARACTERS) -> str:
    """Return a text that reads well as it is, without quotes, and anything else as :func:`show` does."""
    return _cut(value, limit) if isinstance(value, str) and value.isprintable() else show(value, limit)


def printable(text: str) -> str:
    """Return ``text`` in one line: what has no ink (line ends, NUL, lone surrogates, marks of direction) is escaped."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in text)


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 3] + "..."


def _pieces(value: object, limit: int) -> Iterator[str]:
    """Yield ``repr(value)`` piece by piece, each of bounded cost where lists and dicts are nested."""
    if type(value) is str:
        yield repr(value[:limit])  # a longer one is cut for its quotes, too
    elif type(value) is list or type(value) is tuple:
        yield "[" if type(value) is list else "("
        for position, member in enumerate(value):
            yield ", " if position else ""
            yield from _pieces(member, limit)
        yield "]" if type(value) is list else ",)" if len(value) == 1 else ")"
    elif type(value) is dict:
        yield "{"
        for position, (key, member) in enumerate(value.items()):
            yield ", " if position else ""
            yield from _pieces(key, limit)
            yield ": "
            yield from _pieces(member, limit)
        yield "}"
    else:
        try:
            yield " ".join(repr(value).split("\n"))  # of a tensor it has several lines
        except ValueError:  # a whole number of more digits than Python writes
            yield f"a huge {type(value).__name__}"
        except Exception:  # a foreign object that cannot be written
            yield f"a {type(value).__name__}"
