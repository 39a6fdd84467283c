"""The command to type when a search has ended, and whether one can name its images: for the screen and the report."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

NAMED = ("cifar10", "digits")  # data sets that anyone has by their names


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


def has_unnamed_images(dataset: Mapping[str, Any]) -> bool:
    """Return whether the images of a record's ``dataset`` are none that a name stands for: handed over from Python, or of a folder."""
    return "fingerprint" in dataset and "rows" not in dataset and dataset.get("name") not in NAMED
