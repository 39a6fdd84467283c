"""Pages of Markdown taken apart: their code, tables, prose, headings and links."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FENCE = re.compile(r"^\s*(```|~~~)")
ITEM = re.compile(r"^(\s*)(?:[-*+]|\d+\.)\s+")
CODE_SPAN = re.compile(r"`+[^`]+`+")


@dataclass
class Block:
    """Lines of one kind: ``code``, ``table``, ``heading``, ``item`` (of a list) or ``prose``.

    Attributes
    ----------
    kind
        One of these.
    line
        Number of the first line, from 1.
    lines
        Without the indentation or the fence of code, the sign of an item, and the signs of a heading.
    """

    kind: str
    line: int
    lines: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """The lines, joined by spaces."""
        return " ".join(line.strip() for line in self.lines)


def list_pages() -> list[Path]:
    """Return all pages that people read: those beside the code and those of docs/."""
    return sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])


def name_of(page: Path) -> str:
    """Return the path of a page in the repository."""
    return page.relative_to(ROOT).as_posix()


def read_blocks(text: str) -> list[Block]:
    """Return the blocks of a page, in order; comments of HTML are left out."""
    text = re.sub(r"<!--.*?-->", lambda comment: "\n" * comment.group().count("\n"), text, flags=re.DOTALL)
    blocks: list[Block] = []
    fence, follows_blank, in_list = "", True, False
    for number, line in enumerate(text.splitlines(), 1):
        last = blocks[-1] if blocks else Block("", 0)
        if fence:
            if line.strip().startswith(fence):
                fence = ""
            else:
                last.lines.append(line)
        elif opened := FENCE.match(line):
            fence = opened[1]
            blocks.append(Block("code", number))
        elif not line.strip():
            follows_blank = True
            if last.kind == "code" and blocks:
                last.lines.append("")
            continue
        elif line.startswith("    ") and not in_list and (follows_blank or last.kind in ("code", "heading")):
            _append(blocks, "code", number, line[4:], joins=last.kind == "code")
        else:
            kind, content = _kind_of(line)
            in_list = kind == "item" or (in_list and line.startswith("  "))
            joins = not follows_blank and last.kind == kind and kind in ("prose", "table")
            if kind == "prose" and last.kind == "item" and not follows_blank:
                kind, joins = "item", True
            _append(blocks, kind, number, content, joins=joins)
        follows_blank = False
    return blocks


def _kind_of(line: str) -> tuple[str, str]:
    if line.startswith("#"):
        return "heading", line.lstrip("#").strip()
    if line.lstrip().startswith("|"):
        return "table", line.strip()
    if item := ITEM.match(line):
        return "item", line[item.end() :]
    return "prose", line


def _append(blocks: list[Block], kind: str, number: int, line: str, *, joins: bool) -> None:
    if joins:
        blocks[-1].lines.append(line)
    else:
        blocks.append(Block(kind, number, [line]))


def code_lines(text: str) -> list[str]:
    """Return the lines of code of a page without their comments, which each language has of its own, and without empty ones."""
    lines = [re.sub(r"\s+# .*", "", line).rstrip() for block in read_blocks(text) if block.kind == "code" for line in block.lines]
    return [line for line in lines if line and not line.startswith("# ")]


def links(text: str) -> Iterator[str]:
    """Yield where the links and pictures of a page lead, outside of code."""
    for block in read_blocks(text):
        if block.kind != "code":
            yield from re.findall(r"\]\(([^)\s]+)\)", CODE_SPAN.sub("", block.text))


def anchors(text: str) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    found: list[str] = []
    for block in read_blocks(text):
        if block.kind == "heading":
            slug = re.sub(r"[^\w\s-]", "", block.text.lower()).strip().replace(" ", "-")
            found.append(f"{slug}-{found.count(slug)}" if slug in found else slug)
    return set(found)


def cells(text: str) -> Iterator[tuple[int, str]]:
    """Yield line and text of every cell of the tables of a page."""
    for block in read_blocks(text):
        if block.kind == "table":
            for offset, line in enumerate(block.lines):
                for cell in re.split(r"(?<!\\)\|", line.strip("|")):
                    yield block.line + offset, cell.strip()
