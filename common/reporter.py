"""Whom a run tells what it does: a person at a terminal, a notebook, or nobody."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Protocol


class Progress(Protocol):
    """How far something is."""

    def update(self, advance: float = 1, best: float | None = None, detail: str | None = None) -> None:
        """Note that ``advance`` more units are done.

        Parameters
        ----------
        advance
            May be 0 or a fraction of a unit.
        best
            The best score so far, or just the newest: the highest one is shown. NaN is passed over.
        detail
            A few words that replace the last ones, such as the epoch's loss.
        """
        ...


class _NoProgress:
    def update(self, advance: float = 1, best: float | None = None, detail: str | None = None) -> None:
        pass


class Reporter:
    """Hears what a run does, and keeps silent. Override what is to be seen.

    The library never prints: it tells one of these. The program passes its screen.

    Attributes
    ----------
    command
        The command line by which a run was started, for its record; None where it was started from Python.
    """

    command: str | None = None

    def say(self, line: str) -> None:
        """Hear a line that says what happens."""

    def warn(self, line: str) -> None:
        """Hear a line that must not be overlooked."""

    def pause(self, text: str) -> None:
        """Hear that a service stays open; it closes when this returns."""

    @contextlib.contextmanager
    def waiting(self, text: str) -> Iterator[None]:
        """Hear what is waited for while the ``with`` block lasts."""
        yield

    @contextlib.contextmanager
    def progress(
        self,
        total: float | None,
        unit: str,
        description: str,
        *,
        completed: float = 0,
        show_score: Callable[[float | None], str] = str,
    ) -> Iterator[Progress]:
        """Hear how far something is while the ``with`` block lasts.

        Parameters
        ----------
        total
            How many units there are, or None where that is not known.
        unit
            What is counted, such as ``trials`` or ``epochs``.
        description
            What is going on, such as ``search``.
        completed
            How many units were done before, by the run that is resumed.
        show_score
            Turns a score into words.
        """
        yield _NoProgress()
