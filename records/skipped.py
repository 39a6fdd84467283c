"""``skipped.jsonl``: one line for each network that a search proposed and did not try, and why."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from common.trial import sample_key
from records.lines import append_document, read_lines

SKIPPED = "skipped.jsonl"


class SkipLog:
    """What was skipped in one run, each sample once, whatever is proposed again after an interruption.

    Parameters
    ----------
    path
        ``skipped.jsonl``; it need not exist.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known = {sample_key(line["sample"]) for line in read_skipped(path)}

    def note(self, sample: Mapping[str, Any], fault: str, reason: str, excess: float) -> None:
        """Add a sample.

        Parameters
        ----------
        fault, reason
            Why it was not tried, in two words and in more.
        excess
            How far outside the limit it is, above 0.
        """
        key = sample_key(dict(sample))
        if key not in self._known:
            self._known.add(key)
            told = {"sample": dict(sample), "fault": fault, "reason": reason, "excess": excess}
            append_document(self._path, told, durable=False)  # a power cut may lose the last ones: they are proposed again


def read_skipped(path: Path) -> list[dict[str, Any]]:
    """Return the lines that are whole, in order; none where there is no file."""
    return [line for line in read_lines(path) if isinstance(line.get("sample"), dict)]
