"""The files of a run, line by line, read without trusting them: what is missing, cut off or wrong is left out and noted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from common.errors import RecordError
from common.files import parse_json
from common.trial import Trial
from records.report.text import as_number, as_object
from records.trials import TrialLog

_LAST_LOG_LINES = 12
_LOG_BYTES = 20_000


def read_trials(path: Path, notes: list[str]) -> tuple[list[Trial], list[Trial]]:
    """Return the trials of the file, and those of all its lines; none where there is none. What is wrong goes to ``notes``."""
    log = TrialLog(path)
    try:
        trials = log.read(leave_out_damaged=True)
    except RecordError as error:
        notes.append(f"{error}; no trial is shown")
        return [], []
    if log.note:
        notes.append(log.note)
    return trials, log.legs


def read_epochs(path: Path, notes: list[str]) -> list[dict[str, Any]]:
    """Return the objects of ``epochs.jsonl`` that hold a ``number``. What is wrong goes to ``notes``."""
    try:
        lines = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        return []
    except OSError as error:
        notes.append(f"{path}: cannot be read: {error.strerror}")
        return []
    epochs = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            epoch = as_object(parse_json(line.decode("utf-8", "replace")))
        except RecordError as error:
            epoch, reason = {}, str(error)
        else:
            reason = "no epoch"
        if as_number(epoch.get("number")) is None:
            notes.append(f"{path}, line {number}: {reason}; the line is left out")
        else:
            epochs.append(epoch)
    return epochs


def read_log(path: Path) -> list[str]:
    """Return the last lines of ``log.txt``."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - _LOG_BYTES))
            return file.read().decode("utf-8", "replace").splitlines()[-_LAST_LOG_LINES:]
    except OSError:
        return []
