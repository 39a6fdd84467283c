"""What can go wrong, as exceptions whose text is one line: what is wrong, and what would be right.

``InputError`` and its kinds are for the person to mend (exit status 2); ``RunError`` and its kinds tell how a run failed (status 1).
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable

from common.text import printable, show, show_text

_LONGEST, _LONGEST_END = 2000, 500  # characters of a message; what would be right stands at its end
_MOST_NAMES = 20


class RetiariusError(Exception):
    """Any error of the library. Its text is one printable line of at most 2,000 characters, whatever it quotes."""

    def __str__(self) -> str:
        text = printable(super().__str__())
        return text if len(text) <= _LONGEST else f"{text[: _LONGEST - _LONGEST_END - 5]} ... {text[-_LONGEST_END:]}"


class InputError(RetiariusError, ValueError):
    """A request that cannot be met as it stands."""


class SpaceError(InputError):
    """A request that no search space can meet."""


class StrategyError(InputError):
    """A request that no strategy can meet."""


class EvaluatorError(InputError):
    """A request that no evaluator can meet."""


class DataError(EvaluatorError):
    """Images that cannot be had or used."""


class RecordError(InputError):
    """A file or folder that is missing, damaged or already in use, or settings that contradict one another."""


class RunError(RetiariusError, RuntimeError):
    """A run that began and failed."""


class TrainingDiverged(RunError):
    """The loss became infinite or not a number: the trial failed, the search goes on."""


class SearchFailed(RunError):
    """The search ran and found nothing."""


def describe_error(error: BaseException) -> str:
    """Return what made a trial fail, in one line."""
    message = str(error).strip().splitlines()
    return printable(f"{type(error).__name__}: {message[0][:_LONGEST] if message else 'no message'}")


def unknown_name(kind: str, name: object, known: Iterable[str]) -> str:
    """Return one line that refuses ``name``, suggests the closest known name, and lists what is known.

    Examples
    --------
    >>> unknown_name("strategy", "dart", ["darts", "tpe"])
    "unknown strategy 'dart' (did you mean darts?); known: darts, tpe"
    """
    names = list(known)
    close = closest(name, names, 1)
    hint = f" (did you mean {show_text(close[0])}?)" if close else ""
    more = f" and {len(names) - _MOST_NAMES:,} more" if len(names) > _MOST_NAMES else ""
    return f"unknown {kind} {show(name)}{hint}; known: {', '.join(map(show_text, names[:_MOST_NAMES]))}{more}"


def unknown_label(name: object, known: Collection[str], kind: str = "label") -> str:
    """Return one line that refuses ``name`` where too many are known to list them: it names the closest.

    Examples
    --------
    >>> unknown_label("backbon", ["backbone", "stem"])
    "unknown label 'backbon'; closest known: backbone"
    """
    close = closest(name, known, 3)
    told = "closest known" if close else "known, for example"
    return f"unknown {kind} {show(name)}; {told}: {', '.join(map(show_text, close or list(known)[:8]))}"


def require_labels(labels: Collection[str], known: Collection[str]) -> None:
    """Raise ``SpaceError`` that names the closest known ones unless all ``labels`` are among ``known``."""
    for label in labels:
        if label not in known:
            raise SpaceError(unknown_label(label, known))


def closest(name: object, known: Iterable[str], most: int) -> list[str]:
    """Return those of ``known`` that are most like ``name``, at most so many."""
    return difflib.get_close_matches(name[:200] if isinstance(name, str) else show(name), dict.fromkeys(known), n=most)
