"""Checks of what a person's own code hands over: each is one line, from Python as from the command line."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from common.errors import RecordError, unknown_name
from common.numbers import LARGEST_SEED, is_real
from common.reporter import Reporter
from common.text import show
from retiarius.presets import PRESETS


def check_preset(preset: object) -> None:
    """Raise ``RecordError`` where there is no preset of this name."""
    if not isinstance(preset, str) or preset not in PRESETS:
        raise RecordError(unknown_name("preset", preset, PRESETS))


def check_seed(seed: object) -> None:
    """Raise ``RecordError`` where ``seed`` is no whole number from 0 to 2**32 - 1."""
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed <= LARGEST_SEED:
        raise RecordError(f"seed: {show(seed)} is not a whole number from 0 to {LARGEST_SEED}")


def check_counts(**counts: object) -> None:
    """Raise ``RecordError`` where one of ``counts``, by name, is neither None nor a whole number of at least 1."""
    for name, value in counts.items():
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
            raise RecordError(f"{name}: {show(value)} is not a whole number of at least 1")


def check_seconds(**times: object) -> None:
    """Raise ``RecordError`` where one of ``times``, by name, is neither None nor a number of seconds above 0."""
    for name, value in times.items():
        if value is not None and not (is_real(value) and 0 < float(str(value)) < math.inf):
            raise RecordError(f"{name}: {show(value)} is not a number of seconds above 0")


def check_study(storage: str | None, study: str | None) -> None:
    """Raise ``RecordError`` where a study is named, and no storage."""
    if study is not None and storage is None:
        raise RecordError("`study` names a study in a storage: set `storage`, too")


def check_mode(optimize_mode: object) -> None:
    """Raise ``RecordError`` where it is neither ``maximize`` nor ``minimize``."""
    if optimize_mode not in ("maximize", "minimize"):
        raise RecordError(f"optimize_mode: {show(optimize_mode)} is neither maximize nor minimize")


def as_reporter(reporter: object) -> Reporter:
    """Return ``reporter``; a silent one for None.

    Raises
    ------
    RecordError
        It is no ``Reporter``.
    """
    if reporter is None:
        return Reporter()
    if not isinstance(reporter, Reporter):
        raise RecordError(f"reporter: {show(reporter)} is not a Reporter; expected retiarius.Screen() or the like")
    return reporter


def check_texts(**texts: object) -> None:
    """Raise ``RecordError`` where one of ``texts``, by name, is neither None nor a text."""
    for name, value in texts.items():
        if value is not None and not isinstance(value, str):
            raise RecordError(f"{name}: {show(value)} is not a string")


def as_path(name: str, value: object) -> Path | None:
    """Return ``value`` as a path; None for None.

    Raises
    ------
    RecordError
        It is no path.
    """
    if value is None:
        return None
    if not isinstance(value, str | Path):
        raise RecordError(f"{name}: {show(value)} is not a path")
    return Path(value)


def as_mapping(name: str, value: object) -> dict[str, Any]:
    """Return ``value`` as a dict; an empty one for None.

    Raises
    ------
    RecordError
        It is no mapping of texts.
    """
    if value is None:
        return {}
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise RecordError(f"{name}: {show(value)} is not a mapping of labels to values, such as {{'initial_lr': 0.05}}")
    return dict(value)


def as_search_space(document: Any) -> dict[str, Any] | None:
    """Return the content of NNI's ``search_space.json``; None for None."""
    return None if document is None else as_mapping("search_space", document)


def as_texts(name: str, value: object) -> tuple[str, ...]:
    """Return ``value``, a text, a path or several, as texts; none for None.

    Raises
    ------
    RecordError
        It is neither.
    """
    values = [] if value is None else [value] if isinstance(value, str | Path) else value
    if not isinstance(values, list | tuple) or not all(isinstance(member, str | Path) for member in values):
        can_be_saved = any(hasattr(member, "save") for member in (values if isinstance(values, list | tuple) else [values]))
        right = "; save what was found with .save(PATH), and give the path" if can_be_saved else ""
        raise RecordError(f"{name}: {show(value)} is not a list of strings{right}")
    return tuple(map(str, values))
