"""Write the pages of docs/reference/ from the code.

    python docs/scripts/generate.py

A test compares the pages with what this would write.
"""

# ruff: noqa: E402 (a script of the checkout, which need not be installed: the imports follow the path)
from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from docs.scripts import command_line, python_api, settings

COMMAND = "python docs/scripts/generate.py"
PAGES = {"command_line": command_line.write_page, "settings": settings.write_page, "python_api": python_api.write_page}
NOTE = f"<!-- Written by `{COMMAND}` from the code: change that, not this page. -->\n\n"


def write_pages() -> dict[Path, str]:
    """Return the text of every page by its path."""
    return {ROOT / f"docs/reference/{name}.md": NOTE + write() for name, write in PAGES.items()}


if __name__ == "__main__":
    for path, text in write_pages().items():
        path.write_text(text, encoding="utf-8")
        print(f"{path.relative_to(ROOT)}: {text.count(chr(10))} lines")
