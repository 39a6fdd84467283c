"""What benchmarks are told: numbers that make sense, and one line where something does not."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager


def count(text: str) -> int:
    """A whole number of at least 1, as a type of ``argparse``."""
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return number


@contextmanager
def refuse(*kinds: type[Exception]) -> Iterator[None]:
    """End the program with one line and status 2 where the ``with`` block raises one of ``kinds``: what was asked for cannot be had."""
    try:
        yield
    except kinds as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
