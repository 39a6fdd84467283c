"""The command to type when a search has ended, made of plain values: the screen shows it, and so does the report."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

USUAL_PRESET, USUAL_DATA_DIR = "quick", "data"


def retrain_command(program: str, best: Path, settings: Mapping[str, Any], dataset: str | None) -> str:
    """The command that trains anew what a search with these ``settings`` (as ``describe`` has them) wrote to ``best``.

    ``dataset`` is the one that ``auto`` came to; ``None`` where a table was looked up, whose images the program may not know.
    """
    words = ["python", program, "--retrain", str(best)]
    words += ["--preset", str(settings["preset"])] if settings.get("preset") not in (None, USUAL_PRESET) else []
    if dataset is not None:
        words += ["--dataset", dataset if settings.get("dataset") in (None, "auto") else str(settings["dataset"])]
        folder = str(settings.get("data_dir") or USUAL_DATA_DIR)
        words += ["--data-dir", folder] if folder != USUAL_DATA_DIR else []
    return shlex.join(words)
