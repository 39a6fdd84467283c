"""``trials.jsonl``: one line of JSON a trial, failures too, on the disk as soon as the trial ends."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from common.errors import RecordError
from common.files import parse_json, to_json
from common.numbers import is_real
from common.text import printable, show
from common.trial import AT_ONE_GO, PLANNED_EPOCHS, Trial
from records.lines import append_line

FINALS = "finals.jsonl"  # trials that were trained once more, in the same lines
# What a line has, in this order, and the types that each takes. ``status`` is the trial's state.
_FIELDS: dict[str, tuple[type, ...]] = {
    "number": (int,),
    "status": (str,),
    "architecture": (dict,),
    "hyperparameters": (dict,),
    "score": (float, int, type(None)),
    "curve": (list,),
    "seconds": (float, int),
    "parameters": (int, type(None)),
    "flops": (int, type(None)),
    "latency": (float, int, type(None)),
    "planned_epochs": (int, type(None)),
    "at_one_go": (str, type(None)),
    "error": (str, type(None)),
    "finished": (str,),
}
_WHERE_KNOWN = (PLANNED_EPOCHS, AT_ONE_GO)  # a line has them only where they are known
_LATER = ("latency", *_WHERE_KNOWN)  # records of earlier versions are without
_FACTS = ("parameters", "flops", "latency", *_WHERE_KNOWN)


class TrialLog:
    """The trials of one run. One process appends (see the lock of :class:`records.run_folder.RunFolder`), any may read.

    Parameters
    ----------
    path
        ``trials.jsonl``; it need not exist.
    durable
        Whether a trial is on the disk when it is noted. If not, a power cut may lose the last ones, which costs nothing where trials are
        looked up; a killed process loses none either way.

    Attributes
    ----------
    path
        The file.
    note
        All that the last :meth:`read` or :meth:`append` found wrong and stepped around, one line, or None.
    legs
        The trials of all lines that the last :meth:`read` found, each as it was then: one that has waited and gone on has several.
    """

    def __init__(self, path: Path, *, durable: bool = True) -> None:
        self.path = path
        self._durable = durable
        self.note: str | None = None
        self.legs: list[Trial] = []

    def read(self, *, leave_out_damaged: bool = False) -> list[Trial]:
        """Return the trials of all whole lines. The file is not touched, so the log of a running search can be read.

        A trial that has waited and gone on has several lines, of which the last counts.

        A last line that a crash cut off is left out, and :attr:`note` says so; :meth:`append` takes it away.

        Parameters
        ----------
        leave_out_damaged
            Say in :attr:`note` which whole lines are no trials, in place of raising.

        Raises
        ------
        RecordError
            A whole line is not a trial (its number is named; unless they are left out), or the file cannot be read.
        """
        self.note, notes = None, []
        try:
            data = self.path.read_bytes()
        except FileNotFoundError:
            return []
        except OSError as error:
            raise RecordError(f"{self.path}: cannot be read: {error.strerror}") from None
        *lines, tail = data.split(b"\n")
        trials = []
        for number, line in enumerate(lines, start=1):
            if line.strip():
                try:
                    trials.append(_parse(line))
                except RecordError as error:
                    problem = f"{self.path}, line {number}: {error}"
                    if not leave_out_damaged:
                        raise RecordError(f"{problem}; remove the line, so that `resume` runs its trial again") from None
                    notes.append(f"{problem}; the line is ignored")
        if tail:
            try:
                trials.append(_parse(tail))  # whole but for its line end, as after some editors
            except RecordError:
                notes.append(f"{self.path}: the last line was cut off after {len(tail)} bytes and is ignored")
        self.note = printable("; ".join(notes)) or None
        self.legs = trials
        return latest(trials)

    def append(self, trial: Trial) -> None:
        """Add one line, and return when it is on the disk.

        Raises
        ------
        RecordError
            The trial holds something that is not plain data; nothing is written.
        OSError
            The line could not be written; the lines before it are whole and nothing of it is left.
        """
        self.note = None
        lost = append_line(self.path, _format(trial), is_whole=_is_trial, durable=self._durable)
        if lost:
            self.note = printable(f"{self.path}: the last line was cut off after {lost} bytes and was removed")


def latest(trials: Sequence[Trial]) -> list[Trial]:
    """Return the last of those of each number, in the order in which they come."""
    last = {trial.number: trial for trial in trials}
    return [trial for trial in trials if last[trial.number] is trial]


def _format(trial: Trial) -> bytes:
    """Return the line of ``trial``; what is not finite in its curve is null."""
    values = {
        **{name: trial.facts.get(name) if name in _FACTS else getattr(trial, name) for name in _FIELDS if name != "status"},
        "status": trial.state,
        "curve": [float(score) if math.isfinite(score) else None for score in trial.curve],
    }
    told = {name: values[name] for name in _FIELDS if name not in _WHERE_KNOWN or values[name] is not None}
    return (to_json(told) + "\n").encode("utf-8", "backslashreplace")


def _parse(line: bytes) -> Trial:
    """Return the trial of a line; raise ``RecordError`` where it holds none."""
    try:
        document = parse_json(line.decode("utf-8"))
    except UnicodeDecodeError:
        raise RecordError("not UTF-8 text; expected a trial") from None
    if not isinstance(document, dict):
        raise RecordError(f"found {show(document)}, expected a trial")
    for name, kinds in _FIELDS.items():
        if name not in document and name not in _LATER:
            raise RecordError(f"the key {name!r} is missing")
        if not _is_a(document.setdefault(name), kinds):
            raise RecordError(f"{name!r} is {show(document[name])}, expected {_describe(kinds)}")
    if not all(_is_a(score, (float, int, type(None))) for score in document["curve"]):
        raise RecordError(f"'curve' is {show(document['curve'])}, expected a list of numbers")
    architecture, hyperparameters = document["architecture"], document["hyperparameters"]
    return Trial(
        number=document["number"],
        # A label of the architecture that is called like a hyperparameter is the architecture's.
        sample={**architecture, **{name: value for name, value in hyperparameters.items() if name not in architecture}},
        architecture_labels=frozenset(architecture),
        state=document["status"],
        score=None if document["score"] is None else float(document["score"]),
        curve=[math.nan if score is None else float(score) for score in document["curve"]],
        seconds=document["seconds"],
        error=document["error"],
        facts={name: document[name] for name in _FACTS if document[name] is not None},
        finished=document["finished"],
    )


def _is_trial(line: bytes) -> bool:
    try:
        _parse(line)
        return True
    except RecordError:
        return False


def _is_a(value: object, kinds: tuple[type, ...]) -> bool:
    if float in kinds and isinstance(value, int):
        return is_real(value)
    return isinstance(value, kinds) and not isinstance(value, bool)


def _describe(kinds: tuple[type, ...]) -> str:
    names = {int: "a whole number", float: "a number", str: "a string", list: "a list", dict: "an object"}
    return " or ".join(names.get(kind, "null") for kind in kinds)
