"""What a run has noted of its epochs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def read_epochs(out: str) -> list[dict[str, Any]]:
    """Those of the run in the folder ``out`` without their seconds, which are of the clock."""
    lines = Path(out, "epochs.jsonl").read_text().splitlines()
    return [{name: value for name, value in json.loads(line).items() if name != "seconds"} for line in lines]
