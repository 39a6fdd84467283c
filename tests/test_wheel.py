"""The wheel: built without a network, installed beside the packages that are here, and run where there is no checkout."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest
from project import PROJECT

pytestmark = pytest.mark.slow
PACKAGES = ("retiarius", "spaces", "strategies", "evaluators", "records", "nni_compat", "kernels", "common")
READ_AT_BUILD = ("pyproject.toml", "README.md", "LICENSE", "run_experiment.py")
DATA = (".c", ".h", ".json", ".css", ".js", ".typed")
TINY = ("--space", "darts", "--strategy", "random", "--dataset", "digits", "--trials", "1", "--epochs", "1", "--set", "width=2")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    source, folder = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in PACKAGES:
        shutil.copytree(PROJECT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in READ_AT_BUILD:
        shutil.copy(PROJECT / name, source)
    build = f"from setuptools.build_meta import build_wheel; build_wheel({str(folder)!r})"
    done = subprocess.run([sys.executable, "-c", build], cwd=source, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new environment with the wheel, and the packages of this one: a plain line in a .pth file adds no editable installation."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=False, symlinks=True)
    (packages,) = folder.glob("lib/python*/site-packages")
    (packages / "neighbours.pth").write_text(sysconfig.get_path("purelib") + "\n")
    install = [sys.executable, "-m", "pip", "--python", str(folder / "bin/python"), "install", "--quiet", "--no-index", "--no-deps"]
    # What is there already is this very checkout, as an editable installation.
    done = subprocess.run([*install, "--ignore-installed", str(wheel)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder


def _run(environment: Path, folder: Path, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    surroundings = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONSAFEPATH")}
    surroundings["XDG_CACHE_HOME"] = str(folder / "cache")
    command = [str(environment / "bin" / program), *arguments]
    return subprocess.run(command, cwd=folder, env=surroundings, capture_output=True, text=True)


def test_wheel_has_every_file_that_the_packages_have(wheel: Path) -> None:
    ours = {
        path.relative_to(PROJECT).as_posix() for name in PACKAGES for path in (PROJECT / name).rglob("*") if path.suffix in (".py", *DATA)
    }
    packed = set(zipfile.ZipFile(wheel).namelist())

    assert ours <= packed
    assert {name.partition("/")[0] for name in packed if ".dist-info/" not in name} == {*PACKAGES, "run_experiment.py"}


def test_installed_program_is_not_the_checkout_and_lists_what_there_is(environment: Path, tmp_path: Path) -> None:
    listed = _run(environment, tmp_path, "retiarius", "--list")
    where = _run(environment, tmp_path, "python", "-c", "import retiarius, spaces; print(retiarius.__file__, spaces.__file__)")

    assert listed.returncode == 0, listed.stderr
    assert "nasbench201" in listed.stdout and "Strategies (--strategy)" in listed.stdout
    assert str(PROJECT) not in where.stdout and where.stdout.count(str(environment)) == 2


def test_installed_program_searches_and_reports_from_another_folder(environment: Path, tmp_path: Path) -> None:
    searched = _run(environment, tmp_path, "retiarius", *TINY, "--out", "run")
    assert searched.returncode == 0, searched.stderr
    assert (tmp_path / "run/best.json").is_file()
    # The command to type next is that of the installed program.
    assert "retiarius --retrain run/best.json" in searched.stdout

    reported = _run(environment, tmp_path, "retiarius", "--report", "run")
    assert reported.returncode == 0, reported.stderr
    assert "<style>" in (tmp_path / "run/report.html").read_text()


def test_installed_kernels_and_tables_are_found(environment: Path, tmp_path: Path) -> None:
    code = "from kernels.build import _sources; from evaluators.table_columns import KNOWN_COLUMNS"
    code += "; print(len(list(_sources('*.c'))), *(path.name for path in KNOWN_COLUMNS.iterdir()))"
    told = _run(environment, tmp_path, "python", "-c", code)

    assert told.stdout.split() == [str(len(list((PROJECT / "kernels/native").glob("*.c")))), "nasbench201.json"], told.stderr
