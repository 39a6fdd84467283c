"""Where the project and its tests lie, and the search path of a new Python process that needs both."""

from __future__ import annotations

from pathlib import Path

PROJECT = Path(__file__).parents[2]
SUPPORT = Path(__file__).parent
SEARCH_PATH = f"{SUPPORT}:{PROJECT}"
