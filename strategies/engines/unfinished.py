"""The trial that runs, as it is after each epoch: a file beside its checkpoint, by which an interrupted search takes it up again."""

from __future__ import annotations

from pathlib import Path

from common.errors import RecordError
from common.files import read_json, write_json_atomically
from common.numbers import is_real
from common.trial import Trial

_KEPT = ("number", "sample", "curve", "seconds", "facts")


def keep_unfinished(folder: Path, trial: Trial) -> None:
    """Write ``trial``, in place of what was written of it before.

    Raises
    ------
    OSError
        The file cannot be written.
    """
    write_json_atomically(_path(folder, trial.number), {name: getattr(trial, name) for name in _KEPT})


def read_unfinished(folder: Path) -> list[Trial]:
    """Return the trials that were written, in the order of their numbers; files that are damaged are left out."""
    found = []
    for path in folder.glob("trial-*.json"):
        try:
            told = read_json(path)
            trial = Trial(**{name: told[name] for name in _KEPT}, state="pruned", score=told["curve"][-1])
            are_objects = isinstance(trial.sample, dict) and isinstance(trial.facts, dict)
            if are_objects and all(map(is_real, [trial.seconds, *trial.curve])) and path == _path(folder, trial.number):
                found.append(trial)
        except (RecordError, KeyError, IndexError, TypeError):
            continue
    return sorted(found, key=lambda trial: trial.number)


def drop_unfinished(folder: Path, number: int) -> None:
    """Take away what was written of the trial of this number, if anything was."""
    _path(folder, number).unlink(missing_ok=True)


def _path(folder: Path, number: int) -> Path:
    return folder / f"trial-{number}.json"
