"""The types of options: what a text on the command line stands for. Each refuses with words of its own."""

from __future__ import annotations

import argparse
import math
from pathlib import Path

from common.errors import RecordError
from common.numbers import LARGEST_SEED
from records.pareto import parse_objectives
from retiarius.ray_cluster import AUTO, check_address

MOST = 10**9  # of trials, epochs and workers


def path(text: str) -> Path:
    """Return ``text`` as a path; refuse an empty one."""
    if not text:  # a variable of the shell that is not set; Path would make the current folder of it
        raise argparse.ArgumentTypeError("the path is empty: give a value, or leave it out")
    return Path(text)


def positive_count(text: str) -> int:
    """Return a whole number of at least 1."""
    value = int(text) if text.strip().lstrip("+-").isdecimal() and len(text) < 12 else None
    if value is None or not 1 <= value < MOST:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 to {MOST - 1:,}")
    return value


def workers(text: str) -> int | str:
    """Return a count, or ``auto``."""
    return text if text == AUTO else positive_count(text)


def ray_address(text: str) -> str:
    """Return the address of a cluster."""
    try:
        check_address(text)
    except RecordError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text


def share(text: str) -> float:
    """Return a fraction from 0 to 1, or a whole number."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value < MOST or (value > 1 and value != int(value)):
        raise argparse.ArgumentTypeError(f"{text!r} is neither a fraction from 0 to 1 nor a whole number")
    return value


def positive_size(text: str) -> int:
    """Return a count, with a unit or without: ``300000``, ``300k``, ``1.5M``, ``2e6``, ``1G``."""
    units = {"k": 1e3, "m": 1e6, "g": 1e9}
    number, unit = (text[:-1], units[text[-1].lower()]) if text[-1:].lower() in units else (text, 1.0)
    try:
        value = float(number) * unit
    except ValueError:
        value = math.nan
    if not 1 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of at least 1, such as 300000, 300k, 1.5M or 2e6")
    return round(value)


def read_objectives(text: str) -> tuple[str, ...]:
    """Return the names of objectives in ``text``."""
    try:
        return parse_objectives(text)
    except RecordError as error:  # a ValueError, for which argparse has words of its own
        raise argparse.ArgumentTypeError(str(error)) from None


def read_seed(text: str) -> int:
    """Return a seed, 0 to 2**32 - 1."""
    if not text.isdigit() or int(text) > LARGEST_SEED:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0 to {LARGEST_SEED}")
    return int(text)


def weight(text: str) -> float:
    """Return a number of at least 0."""
    try:
        weight = float(text)
    except ValueError:
        weight = math.nan
    if not (math.isfinite(weight) and weight >= 0):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of at least 0, such as 0.4")
    return weight


def positive_seconds(text: str) -> float:
    """Return seconds, or minutes and hours with a unit: ``90``, ``10m``, ``1.5h``."""
    units = {"s": 1, "m": 60, "h": 3600}
    number, unit = (text[:-1], units[text[-1]]) if text[-1:] in units else (text, 1)
    try:
        value = float(number) * unit
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or value <= 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a time, such as 90 (seconds), 10m or 1.5h")
    return value


def port(text: str) -> int:
    """Return a port that anyone may listen on."""
    if not text.isascii() or not text.isdigit() or not 1024 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port, a whole number from 1024 to 65535")
    return int(text)
