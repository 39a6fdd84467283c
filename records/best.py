"""``best.json``, version 1: the architecture that a search found, with what is needed to build and retrain it.

Plain data: reading it runs no code. ``architecture`` is what NNI's ``export_top_models(formatter="dict")`` gives and
``freeze`` takes: label to choice, or label to a list of choices. Accuracies are fractions in [0, 1].
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from common.errors import RecordError, unknown_label
from common.files import LARGEST_OWN_FILE, read_json, write_json_atomically
from common.numbers import is_real
from common.text import show

FORMAT = "retiarius-architecture"
VERSION = 1
_MOST_NAMES_SHOWN = 12


@dataclass(frozen=True)
class BestArchitecture:
    """What ``best.json`` says, checked for form; :func:`check_architecture` compares it with a space.

    Attributes
    ----------
    space_name
        Name of the search space.
    space_arguments
        Keyword arguments that build that space anew.
    architecture
        Label to choice, or to a list of choices.
    hyperparameters
        Name to a string, number, boolean or None.
    score
        ``{"metric": str, "value": float, "epochs": int, ...}``, or None where nothing was measured.
    dataset, strategy, versions
        What produced the score, as plain dicts.
    seed
        The run's seed, or None.
    parameters
        Number of trainable parameters, or None.
    flops
        Multiply-adds of one forward pass of one image, or None.
    created
        Time of writing, ISO 8601, UTC.
    """

    space_name: str
    space_arguments: dict[str, Any]
    architecture: dict[str, Any]
    hyperparameters: dict[str, Any]
    score: dict[str, Any] | None
    dataset: dict[str, Any]
    strategy: dict[str, Any]
    seed: int | None
    parameters: int | None
    flops: int | None
    created: str
    versions: dict[str, Any]


def save_best(
    path: Path,
    *,
    space_name: str,
    space_arguments: Mapping[str, Any],
    architecture: Mapping[str, Any],
    hyperparameters: Mapping[str, Any],
    score: Mapping[str, Any] | None,
    dataset: Mapping[str, Any],
    strategy: Mapping[str, Any],
    seed: int | None,
    parameters: int | None,
    flops: int | None,
    versions: Mapping[str, str],
) -> None:
    """Write ``best.json`` atomically. The arguments are the fields of :class:`BestArchitecture`.

    Raises
    ------
    RecordError
        A value that :func:`load_best` would refuse; nothing is written.
    OSError
        The file cannot be written; the file that was there stays.
    """
    document = {
        "format": FORMAT,
        "version": VERSION,
        "space": {"name": space_name, "arguments": dict(space_arguments)},
        "architecture": {label: list(v) if isinstance(v, tuple) else v for label, v in architecture.items()},
        "hyperparameters": dict(hyperparameters),
        "score": None if score is None else dict(score),
        "dataset": dict(dataset),
        "strategy": dict(strategy),
        "seed": seed,
        "parameters": parameters,
        "flops": flops,
        "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "versions": dict(versions),
    }
    _parse(document, str(path))
    write_json_atomically(path, document)


def load_best(path: Path) -> BestArchitecture:
    """Read ``best.json`` and check its form: format, version, keys and types.

    Raises
    ------
    RecordError
        One line that names the file, what was found and what was expected.
    """
    return _parse(read_json(path, max_bytes=LARGEST_OWN_FILE), str(path))


def _parse(document: Any, where: str) -> BestArchitecture:
    if not isinstance(document, dict):
        raise RecordError(f"{where}: found a {_kind(document)}, expected an object with the key 'format'")
    if document.get("format") != FORMAT:
        if document.get("format") == "retiarius-parameters":
            raise RecordError(f"{where}: holds the parameters of a program or of a table's row, and no network to retrain")
        found = show(document["format"]) if "format" in document else "no 'format' at all"
        raise RecordError(f"{where}: not a best.json: found {found}, expected the format {FORMAT!r}")
    version = _get(document, "version", where)
    if isinstance(version, bool) or not isinstance(version, int) or version != VERSION:
        raise RecordError(f"{where}: found version {show(version)}, this program reads version {VERSION}")

    space = _get_object(document, "space", where)
    name = _get(space, "name", where, "space.")
    if not isinstance(name, str) or not name:
        raise RecordError(f"{where}: 'space.name' is {show(name)}, expected the name of a search space")
    created = _get(document, "created", where)
    if not isinstance(created, str):
        raise RecordError(f"{where}: 'created' is {show(created)}, expected a time such as '2026-01-31T12:00:00+00:00'")
    return BestArchitecture(
        space_name=name,
        space_arguments=_get_object(space, "arguments", where, "space."),
        architecture=_get_choices(document, "architecture", where),
        hyperparameters=_get_choices(document, "hyperparameters", where, lists=False),
        score=_get_score(document, where),
        dataset=_get_object(document, "dataset", where),
        strategy=_get_object(document, "strategy", where),
        seed=_get_count(document, "seed", where),
        parameters=_get_count(document, "parameters", where),
        flops=_get_count(document, "flops", where),
        created=created,
        versions=_get_object(document, "versions", where),
    )


def _kind(value: object) -> str:
    """Return the JSON name of a value's type."""
    names = {bool: "boolean", int: "number", float: "number", str: "string", list: "list", dict: "object"}
    return "null" if value is None else names.get(type(value), type(value).__name__)


def _get(obj: Mapping[str, Any], key: str, where: str, prefix: str = "") -> Any:
    if key not in obj:
        raise RecordError(f"{where}: the key '{prefix}{key}' is missing")
    return obj[key]


def _get_object(obj: Mapping[str, Any], key: str, where: str, prefix: str = "") -> dict[str, Any]:
    value = _get(obj, key, where, prefix)
    if not isinstance(value, dict):
        raise RecordError(f"{where}: '{prefix}{key}' is the {_kind(value)} {show(value)}, expected an object")
    return value


def _get_count(obj: Mapping[str, Any], key: str, where: str) -> int | None:
    value = _get(obj, key, where)
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 0):
        raise RecordError(f"{where}: '{key}' is {show(value)}, expected a whole number of at least 0, or null")
    return value


def _get_choices(obj: Mapping[str, Any], key: str, where: str, *, lists: bool = True) -> dict[str, Any]:
    choices = _get_object(obj, key, where)
    expected = "a string, a number" + (" or a list of these" if lists else ", true, false or null")
    for label, value in choices.items():
        members = value if lists and isinstance(value, list) else [value]
        if not isinstance(label, str) or not all(is_scalar(member) for member in members):
            raise RecordError(f"{where}: '{key}' has {show(value)} at {show(label)}, expected {expected}")
    return choices


def is_scalar(value: object) -> bool:
    """Return whether ``value`` is one that a hyperparameter or a choice can have in a file."""
    return value is None or isinstance(value, (str, bool, int)) or (isinstance(value, float) and math.isfinite(value))


def _get_score(document: Mapping[str, Any], where: str) -> dict[str, Any] | None:
    if _get(document, "score", where) is None:
        return None
    score = _get_object(document, "score", where)
    metric = _get(score, "metric", where, "score.")
    if not isinstance(metric, str):
        raise RecordError(f"{where}: 'score.metric' is {show(metric)}, expected a name such as 'validation accuracy'")
    value = _get(score, "value", where, "score.")
    if not is_real(value):
        raise RecordError(f"{where}: 'score.value' is {show(value)}, expected a finite number")
    return score


def check_architecture(architecture: Mapping[str, Any], choices: Mapping[str, Mapping[str, Any]]) -> None:
    """Compare an architecture with what a space allows.

    Parameters
    ----------
    architecture
        Label to choice, or to a list of choices.
    choices
        Label to ``{"kind": "one", "values": [...]}``, to ``{"kind": "several", "values": [...], "n_chosen": 2}``, where ``n_chosen`` None
        leaves the number open, or to ``{"kind": "number", "low": 0.0, "high": 1.0}``.

    Raises
    ------
    RecordError
        An unknown, a missing or an illegally chosen label; the message names the label, the value found and the legal ones. true and
        false are not numbers, and 1.0 is not the index 1.
    """
    for label in architecture:
        if label not in choices:
            raise RecordError(unknown_label(label, choices) if choices else f"unknown label {show(label)}; this space has no labels")
    missing = [label for label in choices if label not in architecture]
    if missing:
        legal = _describe_legal(choices[missing[0]])
        more = f" (and {len(missing) - 1} more are missing)" if len(missing) > 1 else ""
        raise RecordError(f"label {show(missing[0])} is missing{more}; it takes {legal}")
    for label, choice in choices.items():
        problem = _find_problem(architecture[label], choice)
        if problem:
            raise RecordError(f"label {show(label)}: {problem}; legal: {_describe_legal(choice)}")


def _find_problem(value: Any, choice: Mapping[str, Any]) -> str | None:
    if choice["kind"] == "one":
        return None if _is_among(value, choice["values"]) else f"found {show(value)}"
    if choice["kind"] == "number":
        return None if is_real(value) and choice["low"] <= value <= choice["high"] else f"found {show(value)}"
    if choice["kind"] != "several":
        raise ValueError(f"the kind of a choice is 'one', 'several' or 'number', not {choice['kind']!r}")
    if not isinstance(value, (list, tuple)):
        return f"found the {_kind(value)} {show(value)} instead of a list"
    for member in value:
        if not _is_among(member, choice["values"]):
            return f"found {show(member)} in {show(value)}"
    for position, member in enumerate(value):
        if member in value[:position]:
            return f"found {show(member)} twice in {show(value)}"
    n_chosen = choice.get("n_chosen")
    if n_chosen is not None and len(value) != n_chosen:
        return f"found {len(value)} choices, {show(value)}"
    return None


def _is_among(value: Any, legal: Sequence[Any]) -> bool:
    return any(_is_same(value, other) for other in legal)


def _is_same(value: Any, legal: Any) -> bool:
    """Return whether both are equal, true kept apart from 1, and 1.0 from the index 1; 1 may stand for the real number 1.0."""
    if isinstance(value, (list, tuple)) and isinstance(legal, (list, tuple)):  # JSON has no tuples
        return len(value) == len(legal) and all(map(_is_same, value, legal))
    if isinstance(legal, float) and isinstance(value, int) and not isinstance(value, bool):
        return value == legal
    return type(value) is type(legal) and value == legal


def _describe_legal(choice: Mapping[str, Any]) -> str:
    if choice["kind"] == "number":
        return f"a number from {choice['low']:g} to {choice['high']:g}"
    names = _join(choice["values"])
    if choice["kind"] == "one":
        return f"one of {names}"
    n_chosen = choice.get("n_chosen")
    return f"a list of {'any number' if n_chosen is None else n_chosen} of {names}, none twice"


def _join(values: Sequence[Any]) -> str:
    names = ", ".join(map(show, values[:_MOST_NAMES_SHOWN]))
    more = len(values) - _MOST_NAMES_SHOWN
    return f"{names} and {more} more" if more > 0 else names
