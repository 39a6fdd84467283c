"""Messages of the library name arguments, in backticks: it is the program that shows flags, and a caller from Python types none."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from project import PROJECT

ROOMS = ("retiarius", "strategies", "evaluators", "spaces", "nni_compat", "records", "common", "kernels")
FLAG = re.compile(r"(?:^|[\s(])--[a-z][a-z-]+")
# The program itself; NNI's files, which only the program reads; whoever knows that a command line was typed.
EXEMPT = re.compile(
    r"retiarius/cli/|nni_compat/(options|config|sections|files)\.py|retiarius/run_record\.py|records/(report/|next_command\.py)"
)
OF_RAY = re.compile(r"strategies/engines/ray_")


def messages(path: Path) -> Iterator[tuple[int, str]]:
    """Yield line and text of each text of several words that is no docstring."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings and " " in node.value.strip():
            yield node.lineno, node.value


def test_the_library_names_no_flags() -> None:
    found = []
    for room in ROOMS:
        for path in sorted((PROJECT / room).rglob("*.py")):
            name = path.relative_to(PROJECT).as_posix()
            if not EXEMPT.match(name) and not OF_RAY.match(name):
                found += [f"{name}:{line}: {text}" for line, text in messages(path) if FLAG.search(text) and "pip install" not in text]

    assert found == []
