"""What can go wrong, as exceptions whose text is one line: what is wrong, and what would be right.

``InputError`` and its kinds are for the person to mend (exit status 2); ``RunError`` and its kinds tell how a run failed (status 1).
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable


class RetiariusError(Exception):
    """Any error of the library."""


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
    return f"{type(error).__name__}: {message[0] if message else 'no message'}"


def unknown_name(kind: str, name: object, known: Iterable[str]) -> str:
    """Return one line that refuses ``name``, suggests the closest known name, and lists what is known.

    Examples
    --------
    >>> unknown_name("strategy", "dart", ["darts", "tpe"])
    "unknown strategy 'dart' (did you mean darts?); known: darts, tpe"
    """
    from common.text import show

    names = list(known)
    close = difflib.get_close_matches(str(name)[:200], names, n=1)
    hint = f" (did you mean {close[0]}?)" if close else ""
    return f"unknown {kind} {show(name)}{hint}; known: {', '.join(names)}"


def require_labels(labels: Collection[str], known: Collection[str]) -> None:
    """Raise ``SpaceError`` that names the closest known ones unless all ``labels`` are among ``known``."""
    for label in labels:
        if label not in known:
            close = difflib.get_close_matches(label, known, n=3) or list(known)[:8]
            raise SpaceError(f"unknown label {label!r}; closest known: {', '.join(close)}")
