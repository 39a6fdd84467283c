"""The picture that the folders show: four rooms that never import one another, and a command line that answers at once."""

from __future__ import annotations

import ast
import re
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import records

PROJECT = Path(__file__).parents[1]
ROOMS = ("spaces", "strategies", "evaluators", "records")
AROUND = ("run_experiment", "tests", "benchmarks", "examples")
HEAVY = ("torch", "torchvision", "timm", "nni", "optuna", "sklearn", "pytorch_lightning", "lightning", "scipy", "pandas")


def imported_modules(source: str, package: str) -> Iterator[tuple[int, str]]:
    """Line and full name of every module that ``source``, a module of ``package``, imports, in functions and by ``import_module`` too."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")[: 1 - node.level or None] if node.level else []
            yield node.lineno, ".".join([*parents, *([node.module] if node.module else [])])
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant) and isinstance(node.args[0].value, str):
            function = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", None)
            if function in ("import_module", "__import__"):
                yield node.lineno, node.args[0].value


def wrong_arrows(project: Path) -> list[str]:
    """Every import in a room of ``project`` of another room, or of what stands around the rooms."""
    arrows = []
    for room in ROOMS:
        forbidden = {*ROOMS, *AROUND} - {room}
        for path in sorted((project / room).rglob("*.py")):
            package = ".".join(path.parent.relative_to(project).parts)
            for line, module in imported_modules(path.read_text(encoding="utf-8"), package):
                if module.split(".")[0] in forbidden:
                    arrows.append(f"{path.relative_to(project)}:{line} imports {module}")
    return arrows


def test_no_room_imports_another() -> None:
    assert wrong_arrows(PROJECT) == []


def test_every_room_is_looked_at() -> None:
    for room in ROOMS:
        assert len(list((PROJECT / room).rglob("*.py"))) > 1, room
    packages = {path.parent.name for path in PROJECT.glob("*/__init__.py")}
    assert packages - set(AROUND) == set(ROOMS), "a package beside the four rooms: give it a place in the import rule"


def test_the_map_of_the_records_names_every_module() -> None:
    named = set(re.findall(r"``(\w+)``", str(records.__doc__)))
    there = {path.stem for path in (PROJECT / "records").iterdir() if path.stem != "__init__" and not path.name.startswith("__")}
    assert there <= named, "say in records/__init__.py what it is for"
    assert named <= there


@pytest.mark.parametrize(
    "line",
    [
        "import records",
        "import common.files as files",
        "import os, records",
        "from records import RecordError",
        "from common.files import write_json_atomically",
        "def load():\n    from records import files",
        "if TYPE_CHECKING:\n    from records.trials import Trial",
        "import importlib\nmodule = importlib.import_module('common.files')",
        "module = __import__('records')",
        "import run_experiment",
        "from examples.own_space import Space",
        "import benchmarks.speed",
    ],
)
def test_a_wrong_arrow_is_found(tmp_path: Path, line: str) -> None:
    path = tmp_path / "spaces" / "deep" / "module.py"
    path.parent.mkdir(parents=True)
    path.write_text(line, encoding="utf-8")
    assert len(wrong_arrows(tmp_path)) == 1


def test_a_room_may_import_itself(tmp_path: Path) -> None:
    path = tmp_path / "spaces" / "deep" / "module.py"
    path.parent.mkdir(parents=True)
    path.write_text(
        "import spaces.cells\nfrom . import records\nfrom .records import a\nfrom .. import strategies\nimport record_linkage\n"
    )
    assert wrong_arrows(tmp_path) == []


@pytest.mark.parametrize("module", [*ROOMS, "run_experiment"])
def test_importing_a_room_imports_no_heavy_library(module: str) -> None:
    script = f"import {module}, sys; print(*sorted({{name.split('.')[0] for name in sys.modules}} & set({HEAVY})))"
    done = subprocess.run([sys.executable, "-c", script], cwd=PROJECT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def processor_seconds() -> float:
    """Of all child processes that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


@pytest.mark.parametrize(("flags", "status"), [(["--list"], 0), (["--help"], 0), (["--space", "darst", "--strategy", "tpe"], 2), ([], 2)])
def test_the_command_line_answers_within_two_seconds(flags: list[str], status: int) -> None:
    seconds = []
    for _ in range(3):  # the best of three, of the processor's time: other work on the machine is not ours
        start = processor_seconds()
        done = subprocess.run([sys.executable, "run_experiment.py", *flags], cwd=PROJECT, capture_output=True, text=True, check=False)
        seconds.append(processor_seconds() - start)
        assert done.returncode == status, done.stderr
        if seconds[-1] < 2:
            break
    assert min(seconds) < 2


def test_list_names_every_entry() -> None:
    from evaluators import EVALUATORS
    from spaces import SPACES
    from strategies import STRATEGIES

    done = subprocess.run([sys.executable, "run_experiment.py", "--list"], cwd=PROJECT, capture_output=True, text=True, check=True)
    words = set(done.stdout.split())
    assert {*SPACES, *STRATEGIES, *EVALUATORS} <= words
