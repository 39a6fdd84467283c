"""Which command makes a run anew, and which one to type next."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from records.next_command import has_unnamed_images, retrain_command
from records.report.collect import Run

_PROGRAMS = ("retiarius", "run_experiment.py")


def command_again(run: Run) -> str | None:
    """Return the command that does the same in a new folder; None where it was not noted, or cannot be read."""
    return _without_folder(_words(run.config))


def _without_folder(words: Sequence[str]) -> str | None:
    kept, names_folder = [], False
    for word in words:
        if names_folder or word == "--resume":
            names_folder = False
        elif word == "--out":
            names_folder = True
        elif not word.startswith("--out="):
            kept.append(word)
    return shlex.join(kept) or None


def next_command(run: Run) -> str | None:
    """Return what to type next: resume an unfinished run, retrain what a search found; None where there is nothing to type."""
    if run.state == "unfinished":
        return _resume(run)
    if run.is_retraining or run.best is None or run.is_retrained:
        return None
    if run.retraining is not None and run.is_of_retraining and run.retraining.state in ("running", "unfinished"):
        return _resume(run) if run.retraining.state == "unfinished" else None  # the search resumes the training that follows it
    if run.settings.get("dataset") is None and has_unnamed_images(run.best.dataset):
        return None
    space = run.best.space_name
    program = _program(run) or ["python", "run_experiment.py"]
    return retrain_command(program, space if ":" in space else None, run.path / "best.json")


def _resume(run: Run) -> str | None:
    again = _without_folder(_words(run.last_occasion))  # one that was extended, with the trials or the time of its extension
    if again is None or run.settings.get("portal"):
        return again  # NNI's service begins anew
    where = run.path.parent if run.is_retraining and _follows_a_search(run) else run.path  # the search resumes what follows it
    return f"{again} --out {shlex.quote(str(where))} --resume" if _program(run) else None


def _follows_a_search(run: Run) -> bool:
    return any(word.partition("=")[0] == "--then-retrain" for word in _words(run.config))


def _words(occasion: Mapping[str, Any]) -> list[str]:
    try:
        return shlex.split(str(occasion.get("command") or ""))
    except ValueError:
        return []


def _program(run: Run) -> list[str] | None:
    """Return the words that start the program which made the run; None for a script that called the library and takes no flags of ours.

    Another script than ours may be the program and know a space of its own, which ours does not.
    """
    words = _words(run.config)
    if words[:1] == ["retiarius"]:
        return words[:1]
    if words[:1] != ["python"] or len(words) < 2 or not re.fullmatch(r"[\w./-]+\.py", words[1]):
        return None
    takes_flags = words[1].rpartition("/")[2] in _PROGRAMS or any(word.startswith("--") for word in words)
    return words[:2] if takes_flags else None
