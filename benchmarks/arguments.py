"""What benchmarks are told: numbers that make sense, and one line where something does not."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def count(text: str) -> int:
    """A whole number of at least 1, as a type of ``argparse``."""
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return number


def resume_flags(out: Path) -> list[str]:
    """The flags by which the program goes on in ``out``, where a run was begun there."""
    return ["--resume"] if (out / "config.json").exists() else []


@contextmanager
def refuse(*kinds: type[Exception]) -> Iterator[None]:
    """End the program with one line and status 2 where the ``with`` block raises one of ``kinds``: what was asked for cannot be had."""
    try:
        yield
    except kinds as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
