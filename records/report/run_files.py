"""The files of a run, line by line, read without trusting them: what is missing, cut off or wrong is left out and noted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from common.errors import RecordError
from common.files import parse_json
from common.trial import Trial, sample_key
from records.report.text import as_number, as_object
from records.skipped import by_sample
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
    return _read_objects(path, lambda epoch: as_number(epoch.get("number")) is not None, "no epoch", notes)


def read_skipped(path: Path, trials: Sequence[Trial], notes: list[str]) -> list[dict[str, Any]]:
    """Return what ``skipped.jsonl`` says of each sample last, but for those that were tried after all. What is wrong goes to ``notes``."""
    tried = {sample_key(trial.sample) for trial in trials}
    lines = _read_objects(path, lambda line: isinstance(line.get("sample"), dict), "no sample", notes)
    return [line for key, line in by_sample(lines).items() if key not in tried]


def _read_objects(path: Path, is_right: Callable[[dict[str, Any]], bool], fault: str, notes: list[str]) -> list[dict[str, Any]]:
    """Return the objects of a file of lines that are right; none where there is no file. Of the others ``notes`` has the fault."""
    try:
        lines = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        return []
    except OSError as error:
        notes.append(f"{path}: cannot be read: {error.strerror}")
        return []
    objects = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            told = as_object(parse_json(line.decode("utf-8", "replace")))
        except RecordError as error:
            told, reason = {}, str(error)
        else:
            reason = fault
        if is_right(told):
            objects.append(told)
        else:
            notes.append(f"{path}, line {number}: {reason}; the line is left out")
    return objects


def read_log(path: Path) -> list[str]:
    """Return the last lines of ``log.txt``."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - _LOG_BYTES))
            return file.read().decode("utf-8", "replace").splitlines()[-_LAST_LOG_LINES:]
    except OSError:
        return []
