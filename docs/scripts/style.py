"""List what is hard to read: sentences of many words in pages and in messages, and wide cells of tables.

    python docs/scripts/style.py

docs/measurements/ is a diary and left out; so are the words of pages in Chinese, which have no spaces.
"""

# ruff: noqa: E402 (a script of the checkout, which need not be installed: the imports follow the path)
from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from common import errors
from docs.scripts.pages import CODE_SPAN, cells, list_pages, name_of, read_blocks

MOST_WORDS, WIDEST_CELL = 30, 80
ROOMS = ("common", "kernels", "spaces", "evaluators", "strategies", "records", "nni_compat", "retiarius")
ERRORS = {name for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, errors.RetiariusError)}
SAID = {"say", "warn", "pause", "waiting", "error", "page"}  # what a reporter and a screen are told
# A full stop, then a new sentence; not in "et al. 2019", "Fig. 3" or "e.g. this".
END = re.compile(r"(?<!\bal)(?<!\bFig)(?<!e\.g)(?<!i\.e)[.!?][)\"']?\s+(?=[\"'(]?[A-Z`\d*])")


def sentences(text: str) -> list[str]:
    """Return the sentences of a paragraph, in which code is one word and a link its text."""
    text = CODE_SPAN.sub("`code`", re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", text))
    return [sentence.strip() for sentence in END.split(text) if sentence.strip()]


def words(sentence: str) -> int:
    """Return how many words a sentence has; signs alone are none."""
    return sum(any(sign.isalnum() for sign in word) for word in sentence.split())


def pages_to_read() -> list[Path]:
    """Return the pages whose style counts."""
    return [page for page in list_pages() if not name_of(page).startswith("docs/measurements/")]


def long_sentences_of_pages() -> list[str]:
    """Return place, number of words and beginning of each long sentence of a page."""
    found = []
    for page in pages_to_read():
        if page.name.endswith(".zh-CN.md"):
            continue
        for block in read_blocks(page.read_text(encoding="utf-8")):
            if block.kind in ("prose", "item", "heading"):
                found += _long(f"{name_of(page)}:{block.line}", block.text)
    return found


def _long(place: str, text: str) -> list[str]:
    return [f"{place}: {words(each)} words: {each[:90]}" for each in sentences(text) if words(each) > MOST_WORDS]


def long_sentences_of_messages() -> list[str]:
    """Return the same of the errors and lines that the code tells a person."""
    found = []
    for path in sorted(path for room in ROOMS for path in ROOT.glob(f"{room}/**/*.py")):
        for line, text in messages(path.read_text(encoding="utf-8")):
            found += _long(f"{name_of(path)}:{line}", text)
    return found


def messages(source: str) -> Iterator[tuple[int, str]]:
    """Yield line and text of each string that makes an error of ours or is told to a reporter; what is filled in is one word."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call):
            name = getattr(node.func, "id", None) or getattr(node.func, "attr", "")
            if name in ERRORS or (name in SAID and isinstance(node.func, ast.Attribute)):
                for argument in node.args:
                    for text in _texts(argument):
                        yield node.lineno, text


def _texts(node: ast.expr) -> list[str]:
    """Return the texts that an argument may be: a string, one with parts filled in, or one of two."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return [node.value]
    if isinstance(node, ast.JoinedStr):
        return ["".join(part.value if isinstance(part, ast.Constant) else "x" for part in node.values)]
    if isinstance(node, ast.IfExp):
        return [*_texts(node.body), *_texts(node.orelse)]
    return []


def wide_cells() -> list[str]:
    """Return place and text of each cell of a table that is too wide to be read at a glance; a link counts by its text."""
    found = []
    for page in pages_to_read():
        for line, cell in cells(page.read_text(encoding="utf-8")):
            text = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", cell)
            if len(text) > WIDEST_CELL:
                found.append(f"{name_of(page)}:{line}: {len(text)} characters: {text[:90]}")
    return found


if __name__ == "__main__":
    lists = {
        f"sentences of more than {MOST_WORDS} words in pages": long_sentences_of_pages(),
        f"sentences of more than {MOST_WORDS} words in messages": long_sentences_of_messages(),
        f"cells of more than {WIDEST_CELL} characters": wide_cells(),
    }
    for title, found in lists.items():
        print(f"{title}: {len(found)}", *found, sep="\n  ")
    sys.exit(any(lists.values()))
