"""The command to type when a search has ended: the screen shows it, and so does the report."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path


def retrain_command(program: Sequence[str], space: str | None, best: Path) -> str:
    """Return the command that retrains what a search wrote to ``best``; preset and data set are those of the search.

    Parameters
    ----------
    program
        The words that start the program.
    space
        The space, where it is not a registered one and has to be named.
    """
    return shlex.join([*program, "--retrain", str(best), *([] if space is None else ["--space", space])])
