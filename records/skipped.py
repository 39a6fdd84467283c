"""``skipped.jsonl``: one line for each configuration that a search by trials proposed and did not try, and why."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from common.trial import sample_key
from records.lines import append_document, read_lines

SKIPPED = "skipped.jsonl"


class SkipLog:
    """What was skipped in one run. What is proposed again after an interruption is noted again only where the reason is another.

    Parameters
    ----------
    path
        ``skipped.jsonl``; it need not exist.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._reasons = {key: line.get("reason") for key, line in by_sample(read_lines(path)).items()}

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
        if self._reasons.get(key) != reason:
            self._reasons[key] = reason
            told = {"sample": dict(sample), "fault": fault, "reason": reason, "excess": excess}
            append_document(self._path, told, durable=False)  # a power cut may lose the last ones: they are proposed again


def by_sample(lines: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return the last line of each sample, by the key of the sample; what is no such line is left out."""
    return {sample_key(line["sample"]): line for line in lines if isinstance(line.get("sample"), dict)}
