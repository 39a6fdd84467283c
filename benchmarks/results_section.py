"""A section of docs/results.md that a benchmark writes, between two marks."""

from __future__ import annotations

from pathlib import Path


def write_section(path: Path, section: str, begin: str, end: str) -> None:
    """Put ``section`` between the lines ``begin`` and ``end`` of the file, at its end where there are none yet."""
    before, _, rest = path.read_text(encoding="utf-8").partition(begin)
    after = rest.partition(end)[2].lstrip()
    path.write_text(f"{before.rstrip()}\n\n{begin}\n{section.rstrip()}\n{end}\n{'' if not after else chr(10) + after}", encoding="utf-8")
