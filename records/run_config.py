"""``config.json`` of a run: what was asked for, and what makes it this run."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from common.errors import RecordError
from common.files import LARGEST_OWN_FILE, read_json, to_json
from common.text import show, show_text
from records.provenance import collect_versions, find_commit

NAME = "config.json"
FORMAT = "retiarius-run"
VERSION = 1
SECONDS_PER_TRIAL = "seconds_per_trial"  # in the identity of a search whose trials wait: the share of one
# Older runs note these settings of a one-shot search where they were typed, newer ones where they differ from their defaults.
_AS_GOOD_AS_ABSENT: dict[str, Any] = {"--order": 1, "--supernet": "fused", "--cost-weight": 0.0, "--collapse-guard": "warn"}


def now() -> str:
    """Return the time, ISO 8601, UTC."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


def plain(identity: Mapping[str, Any]) -> dict[str, Any]:
    """Return what makes a run this run as ``config.json`` gives it back; raise ``RecordError`` where it is not plain data."""
    document: dict[str, Any] = json.loads(to_json(dict(identity)))
    return document


def new_config(identity: Mapping[str, Any], settings: Mapping[str, Any], command: str | None) -> dict[str, Any]:
    """Return the content of ``config.json`` for a run that begins."""
    return {"format": FORMAT, "version": VERSION, **_occasion(settings, command), "identity": dict(identity), "resumed": []}


def resumed_config(folder: Path, settings: Mapping[str, Any], command: str | None) -> dict[str, Any]:
    """Return the content of ``config.json`` for the run in ``folder``, which is resumed: it keeps what it began with."""
    config = read_config(folder)
    config["resumed"] = [*config.get("resumed", []), _occasion(settings, command)]
    config.pop("ended", None)
    return config


def _occasion(settings: Mapping[str, Any], command: str | None) -> dict[str, Any]:
    """Return when, how and with what a run begins or is resumed."""
    return {
        "created": now(),
        "command": command,
        "directory": os.getcwd(),
        "commit": find_commit(),
        "versions": collect_versions(),
        "settings": dict(settings),
    }


def read_config(folder: Path) -> dict[str, Any]:
    """Return the ``config.json`` of the run in ``folder``; raise ``RecordError`` where there is none of a run."""
    path = folder / NAME
    config = read_json(path, max_bytes=LARGEST_OWN_FILE)
    if not isinstance(config, dict) or config.get("format") != FORMAT or config.get("version") != VERSION:
        raise RecordError(f"{path}: not the config.json of a retiarius run, version {VERSION}")
    if not isinstance(config.get("identity"), dict) or not isinstance(config.get("resumed", []), list):
        raise RecordError(f"{path}: 'identity' must be an object and 'resumed' a list")
    return config


def stored_identity(folder: Path | None) -> dict[str, Any]:
    """Return what the run in ``folder`` noted of itself; nothing where there is none, which is refused later with a better word."""
    path = (folder or Path()) / NAME
    config = read_json(path, max_bytes=LARGEST_OWN_FILE) if path.is_file() else {}
    identity = config.get("identity") if isinstance(config, dict) else None
    return identity if isinstance(identity, dict) else {}


def check_identity(folder: Path, identity: Mapping[str, Any]) -> None:
    """Raise ``RecordError`` where the run in ``folder`` is not the one of ``identity``; the message names the first difference."""
    stored = read_config(folder)["identity"]
    reason = _why_another(_without_defaults(stored, identity), _without_defaults(identity, stored))
    if reason:
        raise RecordError(f"{folder}: cannot resume this run: {reason}, or set `out` to another folder")


def _why_another(stored: Mapping[str, Any], given: Mapping[str, Any]) -> str | None:
    """Return in words how ``given`` differs from what a run has ``stored``, and what would be right; None where it does not.

    Whether trials wait is asked last: another difference, such as a pruner, may be why they do in one of the two alone.
    """
    difference = find_difference({**stored, SECONDS_PER_TRIAL: None}, {**given, SECONDS_PER_TRIAL: None})
    if difference:
        return f"{difference}; use the same settings"
    waited, waits = (SECONDS_PER_TRIAL in each for each in (stored, given))
    if waited and not waits:
        return "it began with `time_budget`, and its trials wait; set that again, where more time extends it"
    if waits and not waited:
        return "it began without `time_budget`, and its trials do not wait; leave that out, and extend it by more `trials`"
    return None


def _without_defaults(identity: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``identity`` without the settings at their defaults that ``other`` does not note."""
    absent = {key for key, default in _AS_GOOD_AS_ABSENT.items() if key not in other and identity.get(key) == default}
    return {key: value for key, value in identity.items() if key not in absent}


def find_difference(stored: Any, given: Any, name: str = "") -> str | None:
    """Return in words where ``given``, plain data, first differs from what a run has ``stored``; None where it does not."""
    if isinstance(stored, dict) and isinstance(given, dict):
        for key in [*stored, *(key for key in given if key not in stored)]:
            inner = f"{name}.{show_text(key)}" if name else show_text(key)
            if key not in stored:
                return f"{inner} is {show(given[key])} and was not set in the run"
            if key not in given:
                return f"{inner} was {show(stored[key])} and is not set now"
            difference = find_difference(stored[key], given[key], inner)
            if difference:
                return difference
        return None
    return None if stored == given else f"{name} was {show(stored)} and is {show(given)} now"
