"""What was scored while an architecture was selected: ``selection.jsonl``, so that nothing is scored twice after an interruption."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from common.numbers import is_real
from records.lines import append_document, read_lines

SELECTION = "selection.jsonl"  # in the folder of a run


class ScoreLog(dict[str, float]):
    """Accuracies by what was scored, those in the file first; one that is put here is on the disk before anything goes on.

    Parameters
    ----------
    path
        The file; it need not exist. A last line that was cut off is left out.
    on_new
        Called with the number of scores, and the newest.
    """

    def __init__(self, path: Path, on_new: Callable[[int, float], Any]) -> None:
        lines = read_lines(path)
        super().__init__({str(line["scored"]): float(line["accuracy"]) for line in lines if _is_score(line)})
        self._path, self._on_new = path, on_new

    def __setitem__(self, key: str, value: float) -> None:
        append_document(self._path, {"scored": key, "accuracy": value})
        super().__setitem__(key, value)
        self._on_new(len(self), value)


def _is_score(line: dict[str, Any]) -> bool:
    return isinstance(line.get("scored"), str) and is_real(line.get("accuracy"))
