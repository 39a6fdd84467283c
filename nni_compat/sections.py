"""An object of NNI's ``config.yml``, from which keys are taken one by one; what is left at the end is idle or unknown."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from common.errors import RecordError, unknown_label
from common.text import show, show_text
from nni_compat.algorithms import fold

_GPU = "trials are assigned no GPU; with --ray, use --gpus-per-trial; else --device sets that of trainings, and commands see all"
_SERVICE = "the search runs on this machine only, and writes its results to --out DIR"
_PRUNED = "pruned trials are listed with their results"
_LOG = "log.txt in the run's folder has everything"
# Keys that are understood and have nothing to do here, by section: key -> why.
_IDLE = {
    "": {
        **dict.fromkeys(("trialGpuNumber", "tunerGpuIndices"), _GPU),
        **dict.fromkeys(("nniManagerIp", "experimentWorkingDirectory", "logDir", "sharedStorage"), _SERVICE),
        **dict.fromkeys(("debug", "logLevel", "logCollection", "versionCheck", "multiThread"), _LOG),
    },
    "trial": {"gpuNum": _GPU},
    **{name: {"gpuIndices": _GPU, "includeIntermediateResults": _PRUNED} for name in ("tuner", "assessor", "advisor")},
    "trainingService": {
        **dict.fromkeys(("useActiveGpu", "maxTrialNumberPerGpu", "maxTrialNumPerGpu", "gpuIndices", "trialGpuNumber"), _GPU),
        **dict.fromkeys(("reuseMode", "nniManagerIp", "debug", "logCollection"), _SERVICE),
    },
}
_SILENT = (None, False, 0, "")  # values that ask for nothing
_UNITS = {"d": 86400, "h": 3600, "m": 60, "s": 1}


@dataclass(frozen=True)
class Note:
    """A line about what does not apply. It holds unless a flag speaks of ``about``, an option of ours, where that is given."""

    text: str
    about: str = ""


class Section:
    """An object of the file.

    Parameters
    ----------
    where
        The file and the sections around this one, for messages.
    name
        The key that it stands under, in version 2; empty for the whole file.
    document
        What stands there.

    Raises
    ------
    RecordError
        ``document`` is no object, or a key stands in it in two spellings.
    """

    def __init__(self, where: str, name: str, document: Any) -> None:
        self.where = where if not name else f"{where}: {name}"
        if not isinstance(document, Mapping):
            raise RecordError(f"{self.where}: {show(document)}; expected keys and values, such as 'trialConcurrency: 2'")
        self._name, self._known = name, list[str]()
        self._left: dict[str, tuple[str, Any]] = {}
        for key, value in document.items():
            if fold(key) in self._left:
                raise RecordError(f"{self.where}: {show_text(self._left[fold(key)][0])} and {show_text(key)} are the same key")
            self._left[fold(key)] = (str(key), value)

    def take(self, *names: str) -> Any:
        """Return the value of the key that has one of ``names``, or None."""
        self._known += names
        there = [self._left.pop(fold(name)) for name in names if fold(name) in self._left]
        if len(there) > 1:
            raise RecordError(f"{self.where}: {there[0][0]} and {there[1][0]} mean the same; leave one out")
        return there[0][1] if there else None

    def take_whole(self, *names: str, least: int = 1, most: float = math.inf) -> int | None:
        """Return a whole number from ``least`` to ``most``, or None; raise ``RecordError`` where it is none."""
        value = self.take(*names)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most):
            bounds = f"of at least {least}" if most == math.inf else f"from {least} to {most}"
            raise RecordError(f"{self.where}: {names[-1]} is {show(value)}; expected a whole number {bounds}")
        return value

    def take_text(self, *names: str) -> str | None:
        """Return a text that is not blank, or None; raise ``RecordError`` where it is none."""
        value = self.take(*names)
        if value is not None and (not isinstance(value, str) or not value.strip()):
            raise RecordError(f"{self.where}: {names[-1]} is {show(value)}; expected a string")
        return value

    def take_seconds(self, *names: str) -> float | None:
        """Return a time in seconds, or None; raise ``RecordError`` where it is none."""
        value = self.take(*names)
        if value is None:
            return None
        number, unit = (value[:-1], value[-1:].lower()) if isinstance(value, str) else (value, "s")
        try:
            seconds = float(number) * _UNITS[unit] if not isinstance(number, bool) else math.nan
        except (ValueError, TypeError, KeyError, OverflowError):
            seconds = math.nan
        if not 0 < seconds < math.inf:
            raise RecordError(f"{self.where}: {names[-1]} is {show(value)}; expected a time such as 30m, 2h or 1d, or a number of seconds")
        return seconds

    def take_section(self, *names: str) -> Section | None:
        """Return an object, named by the last of ``names``, or None; raise ``RecordError`` where it is none."""
        value = self.take(*names)
        return None if value is None else Section(self.where, names[-1], value)

    def take_rest(self) -> dict[str, Any]:
        """Return the keys that are left, with their values."""
        left, self._left = dict(self._left.values()), {}
        return left

    def finish(self, notes: list[Note]) -> None:
        """Add to ``notes`` that the keys that are left are idle; raise ``RecordError`` on one that nobody knows."""
        idle_here = _IDLE.get(self._name, {})
        idle = {fold(key): reason for key, reason in idle_here.items()}
        for folded, (key, value) in self._left.items():
            if folded not in idle:
                raise RecordError(f"{self.where}: {unknown_label(key, [*self._known, *idle_here], 'key')}")
            quiet = (*_SILENT, 1) if folded.startswith("maxtrialnum") else _SILENT
            if value not in quiet:
                prefix = f"{self._name}." if self._name else ""
                notes.append(Note(f"{prefix}{key} has no effect: {idle[folded]}"))
