"""The picture that the folders show: which room may import which, no circle between files, and a command line that answers at once."""

from __future__ import annotations

import ast
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from project import PROJECT

# Who may import whom, beside itself. What is not here may not.
ARROWS: dict[str, tuple[str, ...]] = {
    "common": (),
    "kernels": ("common",),
    "spaces": ("kernels", "common"),
    "evaluators": ("kernels", "common"),
    "strategies": ("common",),
    "records": ("common",),
    "nni_compat": ("common",),
    "retiarius": ("spaces", "evaluators", "strategies", "records", "nni_compat", "kernels", "common"),
}
AROUND = ("run_experiment", "tests", "benchmarks", "examples")
HEAVY = (
    "torch",
    "torchvision",
    "timm",
    "nni",
    "optuna",
    "sklearn",
    "pytorch_lightning",
    "lightning",
    "scipy",
    "pandas",
    "matplotlib",
    "ray",
)


def imported_modules(source: str, package: str) -> Iterator[tuple[int, str]]:
    """Line and full name of every module that ``source``, a module of ``package``, imports, in functions and by ``import_module`` too."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")[: 1 - node.level or None] if node.level else []
            base = ".".join([*parents, *([node.module] if node.module else [])])
            yield node.lineno, base
            yield from ((node.lineno, f"{base}.{alias.name}") for alias in node.names)
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant) and isinstance(node.args[0].value, str):
            function = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", None)
            if function in ("import_module", "__import__"):
                yield node.lineno, node.args[0].value


def wrong_arrows(project: Path) -> list[str]:
    """Every import in a room of ``project`` of a room that it may not import, or of what stands around the rooms."""
    arrows = {}
    for room, allowed in ARROWS.items():
        forbidden = {*ARROWS, *AROUND} - {room, *allowed}
        for path in sorted((project / room).rglob("*.py")):
            package = ".".join(path.parent.relative_to(project).parts)
            for line, module in imported_modules(path.read_text(encoding="utf-8"), package):
                if module.split(".")[0] in forbidden:
                    arrows[f"{path.relative_to(project)}:{line}"] = f"imports {module}"
    return [f"{place} {what}" for place, what in arrows.items()]


def imports_of_files(project: Path) -> dict[str, set[str]]:
    """For each module of the rooms the modules of the rooms that it imports anywhere in its text."""
    modules = {}
    for room in ARROWS:
        for path in (project / room).rglob("*.py"):
            parts = path.relative_to(project).with_suffix("").parts
            modules[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    imports = {}
    for name, path in modules.items():
        package = name if path.stem == "__init__" else name.rpartition(".")[0]
        imports[name] = {module for _, module in imported_modules(path.read_text(encoding="utf-8"), package)} & modules.keys() - {name}
    return imports


def find_circle(imports: dict[str, set[str]]) -> list[str]:
    """The modules of one circle, in order; none where there is none."""
    done: set[str] = set()

    def walk(name: str, way: list[str]) -> list[str]:
        if name in way:
            return way[way.index(name) :]
        if name in done:
            return []
        for other in sorted(imports[name]):
            circle = walk(other, [*way, name])
            if circle:
                return circle
        done.add(name)
        return []

    return next((circle for name in imports if (circle := walk(name, []))), [])


def test_no_room_imports_another_than_it_may() -> None:
    assert wrong_arrows(PROJECT) == []


def test_no_files_import_one_another_in_a_circle() -> None:
    imports = imports_of_files(PROJECT)
    assert len(imports) > 100
    # A package's face hands on names of its own files, which may name their package.
    assert find_circle(imports) == []


def test_a_circle_is_found() -> None:
    assert find_circle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c"]
    assert find_circle({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []


def test_every_room_is_looked_at() -> None:
    for room in ARROWS:
        assert len(list((PROJECT / room).rglob("*.py"))) > 1, room
    packages = {path.parent.name for path in PROJECT.glob("*/__init__.py")}
    assert packages - set(AROUND) == set(ARROWS), "a package beside the rooms: give it a place in the import rule"


def test_every_folder_of_code_is_a_package() -> None:
    for room in ARROWS:
        for folder in {path.parent for path in (PROJECT / room).rglob("*.py")}:
            assert (folder / "__init__.py").is_file(), f"{folder} would not be installed"


@pytest.mark.parametrize(
    "line",
    [
        "import records",
        "import records.files as files",
        "import os, records",
        "from records import RecordError",
        "from records.files import write_json_atomically",
        "def load():\n    from records import files",
        "if TYPE_CHECKING:\n    from records.trials import Trial",
        "import importlib\nmodule = importlib.import_module('records.files')",
        "module = __import__('records')",
        "import run_experiment",
        "from examples.own_space import Space",
        "import benchmarks.speed",
        "import retiarius",
        "from strategies.engines import ray_pool",
    ],
)
def test_a_wrong_arrow_is_found(tmp_path: Path, line: str) -> None:
    path = tmp_path / "spaces" / "deep" / "module.py"
    path.parent.mkdir(parents=True)
    path.write_text(line, encoding="utf-8")
    assert len(wrong_arrows(tmp_path)) == 1


def test_a_room_may_import_itself_and_what_lies_below(tmp_path: Path) -> None:
    path = tmp_path / "spaces" / "deep" / "module.py"
    path.parent.mkdir(parents=True)
    path.write_text(
        "import spaces.cells\nfrom . import records\nfrom .records import a\nfrom .. import strategies\nimport record_linkage\n"
        "from common.errors import SpaceError\nimport kernels.build\n"
    )
    assert wrong_arrows(tmp_path) == []


@pytest.mark.parametrize("module", [*ARROWS, "run_experiment"])
def test_importing_a_room_imports_no_heavy_library(module: str) -> None:
    script = f"import {module}, sys; print(*sorted({{name.split('.')[0] for name in sys.modules}} & set({HEAVY})))"
    done = subprocess.run([sys.executable, "-c", script], cwd=PROJECT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def processor_seconds() -> float:
    """Of all child processes that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def test_importing_the_library_costs_a_tenth_of_a_second() -> None:
    timing = "import time; start = time.process_time(); import retiarius; print(time.process_time() - start)"
    runs = [subprocess.run([sys.executable, "-c", timing], cwd=PROJECT, capture_output=True, text=True, check=True) for _ in range(3)]
    assert min(float(run.stdout) for run in runs) < 0.1


WRONG = [
    ["--space", "darst", "--strategy", "tpe"],
    ["--space", "zoo", "--strategy", "tpee"],
    ["--space", "zoo", "--strategy", "tpe", "--set", "backbone=resnt18"],
    ["--space", "zoo", "--strategy", "tpe", "--set", "initial_lr=fast"],
    ["--space", "zoo", "--strategy", "tpe", "--set", "bachbone=resnet18"],
    ["--space", "darts", "--strategy", "random", "--set", "normal/edge_0_2=sep_conv"],
    ["--space", "darts", "--strategy", "darts", "--set", "width=0"],
    ["--space", "darts", "--strategy", "darts", "--set", "alpha_lr=-1"],
    ["--space", "zoo", "--strategy", "tpe", "--recipe", "quick"],
    ["--space", "zoo", "--strategy", "tpe", "--pruner", "medain"],
    ["--space", "zoo", "--strategy", "tpe", "--dataset", "cifar"],
    ["--space", "zoo", "--strategy", "tpe", "--device", "gpu"],
    ["--space", "zoo", "--strategy", "tpe", "--precision", "float8"],
    ["--space", "zoo", "--strategy", "tpe", "--evaluator", "tarin"],
    ["--retrain", "resnet19"],
    ["--retrain", "DARTS_V2", "--set", "initial_lr=1e39"],
    [],
]


@pytest.mark.parametrize(
    ("flags", "status"), [(["--list"], 0), (["--help"], 0), (["--help-all"], 0), (["--version"], 0), *((flags, 2) for flags in WRONG)]
)
def test_the_command_line_answers_within_two_seconds_without_heavy_imports(flags: list[str], status: int) -> None:
    script = (
        "import sys; from run_experiment import main; status = main(sys.argv[1:]);"
        f"print(*sorted({{name.split('.')[0] for name in sys.modules}} & set({HEAVY})), file=sys.stderr); sys.exit(status)"
    )
    start = processor_seconds()
    done = subprocess.run([sys.executable, "-c", script, *flags], cwd=PROJECT, capture_output=True, text=True, check=False)
    assert processor_seconds() - start < 2
    assert done.returncode == status, done.stderr
    *lines, heavy = done.stderr.splitlines()
    assert heavy == "", "nothing heavy is imported"
    assert len(lines) == (1 if status else 0), lines


def test_list_names_every_entry() -> None:
    from evaluators import EVALUATORS
    from spaces import SPACES
    from strategies import STRATEGIES

    done = subprocess.run([sys.executable, "run_experiment.py", "--list"], cwd=PROJECT, capture_output=True, text=True, check=True)
    words = set(done.stdout.split())
    assert {*SPACES, *STRATEGIES, *EVALUATORS} <= words
