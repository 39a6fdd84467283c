"""NumPy docstrings as Markdown."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

NAMED = ("Parameters", "Attributes", "Raises", "Yields", "Returns")


@dataclass
class Docstring:
    """A docstring in parts: its prose, and by section what it says of each name."""

    prose: str = ""
    sections: dict[str, list[tuple[str, str]]] = field(default_factory=dict)


def read_docstring(thing: Any) -> Docstring:
    """Return the docstring of a class, a function or a property, in parts; an empty one where it has none of its own."""
    text = inspect.cleandoc(thing.__doc__) if thing.__doc__ else ""
    title = "|".join(NAMED)
    pieces = re.split(rf"^({title})\n-+$", text, flags=re.MULTILINE)
    sections = dict(zip(pieces[1::2], map(_read_entries, pieces[2::2]), strict=True))
    return Docstring(markdown(pieces[0]), sections)


def _read_entries(text: str) -> list[tuple[str, str]]:
    """Return names and what is said of each: a name stands at the edge, its words are indented."""
    entries: list[tuple[str, list[str]]] = []
    for line in text.strip("\n").splitlines():
        if line and not line.startswith(" "):
            entries.append((line.strip(), []))
        elif entries:
            entries[-1][1].append(line)
    return [(name, markdown(inspect.cleandoc("\n" + "\n".join(lines)))) for name, lines in entries]


def markdown(text: str) -> str:
    """Return reStructuredText as Markdown: code, and names that Sphinx would link; a paragraph is one line, an item of a list another."""
    text = re.sub(r":\w+:`~?([^`]+)`", r"`\1`", text).replace("``", "`")
    paragraphs = []
    for paragraph in re.split(r"\n\s*\n", text.strip()):
        lines = re.split(r"\n(?=- )", paragraph)
        paragraphs.append("\n".join(" ".join(line.split()) for line in lines))
    return "\n\n".join(paragraphs)


def bullets(entries: list[tuple[str, str]], title: Callable[[str], str] | None = None) -> list[str]:
    """Return one line of a list for each entry; ``title`` writes its names, which are code otherwise."""
    write = title or (lambda names: ", ".join(f"`{name.strip()}`" for name in names.split(",")))
    return [f"- {write(names)}: {text}".replace("\n\n", "\n\n    ") if text else f"- {write(names)}" for names, text in entries]
