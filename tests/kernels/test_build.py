"""The compiled kernels: when they are made and when not, where they are kept, and what is said of it."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from compiled_kernels import HERE
from program import run_code
from project import PROJECT as ROOT

from common.errors import SpaceError
from kernels import build as compiled
from kernels.build import COMPILERS, SOURCES, VARIABLE, kernels_for, kernels_note, only_precision, why_not


def compiles(name: str) -> bool:
    command = [*name.split(), "-fopenmp", "-shared", "-fPIC", "-x", "c", os.devnull, "-o", os.devnull]
    return bool(name.split() and shutil.which(command[0])) and subprocess.run(command, capture_output=True, check=False).returncode == 0


# What a new process says of its kernels. To optimise them takes a compiler most of its time, and to import torch beside them the trial of
# what it has made: neither is needed where it is only asked when they are made and where they are kept.
AS_FAST_AS_CAN_BE = """\
build.FLAGS = ("-O0", *build.FLAGS[1:])
build.TRIAL = build.TRIAL.replace(", torch; torch.ones(1 << 20).sum()", "")
"""
ASK = "import os, torch\nfrom kernels import build\n"
ANSWER = "print(build.kernels_for(torch.float32) is not None, build.why_not())"


def ask(preparation: str = AS_FAST_AS_CAN_BE, **variables: str) -> str:
    """What a new process, with these variables in its environment, says of its kernels."""
    return run_code(ASK + preparation + ANSWER, environment={VARIABLE: "", **variables}).strip()


def program(path: Path, text: str) -> str:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


def counting_compiler(path: Path, count: Path) -> str:
    """One that adds a line to ``count`` whenever it makes a library."""
    here = next(filter(compiles, [os.environ.get("CC", ""), *COMPILERS]))
    return program(path, f'case "$*" in *-shared*-o*) echo x >> {count};; esac\nexec {here} "$@"')


@HERE
@pytest.mark.slow
@pytest.mark.parametrize("umask", [0o022, 0o002])  # the second is usual where every user has a group
def test_they_are_compiled_once_and_kept(umask: int, tmp_path: Path) -> None:
    count = tmp_path / "count"
    compiler = counting_compiler(tmp_path / "compiler", count)
    variables = {"PYTHONPYCACHEPREFIX": str(tmp_path / "cache"), "CC": compiler}
    if umask == 0o022:  # once as the program does, optimised and tried beside torch
        command = [sys.executable, "-c", ASK + ANSWER]
        said = subprocess.run(command, cwd=ROOT, env={**os.environ, VARIABLE: "", **variables}, umask=umask, capture_output=True, text=True)
        assert said.stdout == "True None\n", said.stderr
        preparation = ""
    else:
        preparation = AS_FAST_AS_CAN_BE + f"os.umask({umask})\n"
        assert ask(preparation, **variables) == "True None"
    assert ask(preparation, **variables) == "True None"
    assert count.read_text() == "x\n"
    (kept,) = (tmp_path / "cache").rglob("*.so")
    assert kept.parent == in_cache(tmp_path / "cache") and kept.parent.stat().st_mode & 0o022 == 0, "nobody else may write what is run"


AT_ONCE = """
import sys, time
from pathlib import Path
from kernels.convolutions import Convolution, convolve
Path(sys.argv[1], sys.argv[3]).touch()
while len(list(Path(sys.argv[1]).iterdir())) < int(sys.argv[2]):
    time.sleep(0.001)
assert build.kernels_for(torch.float32) is not None, build.why_not()
y, _ = convolve(torch.ones(1, 5, 5, 2, 8), Convolution(torch.ones(2, 8, 3, 3), torch.ones(2, 8, 8), 1, 1))
print(y[0, 0, 0].unique().tolist(), y[0, 2, 2].unique().tolist())
"""


@HERE
@pytest.mark.slow
def test_processes_that_begin_at_once_compile_them_once(tmp_path: Path) -> None:
    count, ready, processes = tmp_path / "count", tmp_path / "ready", 4
    ready.mkdir()
    compiler = counting_compiler(tmp_path / "compiler", count)
    variables = {"PYTHONPYCACHEPREFIX": str(tmp_path / "cache"), "CC": compiler, "OMP_NUM_THREADS": "1", VARIABLE: ""}
    command = [sys.executable, "-c", ASK + AS_FAST_AS_CAN_BE + AT_ONCE, str(ready), str(processes)]
    surroundings: dict[str, Any] = {"cwd": ROOT, "env": {**os.environ, **variables}, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    started = [subprocess.Popen([*command, str(number)], text=True, **surroundings) for number in range(processes)]
    # A corner has four taps in the image, the middle nine, each over eight channels.
    assert [process.communicate(timeout=120) for process in started] == [("[32.0] [72.0]\n", "")] * processes
    assert count.read_text() == "x\n"
    assert len(list((tmp_path / "cache").rglob("*.so"))) == 1


def in_cache(prefix: Path) -> Path:
    """Where Python keeps what it compiles of the folder of the kernels."""
    return prefix / SOURCES.relative_to(SOURCES.anchor)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("compiler", "complaint"),
    [
        ("exit 1", "failed: exit status 1, without a message"),
        ("echo 'fatal: no OpenMP' >&2; exit 4", "failed: fatal: no OpenMP"),
        ('while [ "$1" != -o ] && [ $# -gt 0 ]; do shift; done; [ -z "$2" ] || echo no library > "$2"', "/compiler made failed: OSError: "),
    ],
)
def test_a_compiler_that_fails_is_named_and_nothing_else_is_lost(compiler: str, complaint: str, tmp_path: Path) -> None:
    path = program(tmp_path / "compiler", compiler)
    said = ask(CC=path, PYTHONPYCACHEPREFIX=str(tmp_path))
    assert said.startswith("False ") and complaint in said


def test_without_a_compiler_they_are_missed_with_a_word(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled, "_library", compiled._library.__wrapped__)  # asked anew
    monkeypatch.setenv(VARIABLE, "")
    monkeypatch.setenv("PATH", str(tmp_path))
    for compiler, missed in (("", "cc, gcc, clang"), ("no-such-cc", "no-such-cc")):
        monkeypatch.setenv("CC", compiler)
        assert kernels_for(torch.float32) is None and why_not() == f"no C compiler: {missed} not found"


@HERE
def test_they_can_be_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "torch")
    assert kernels_for(torch.float32) is None and why_not() == "switched off by RETIARIUS_KERNELS=torch"
    monkeypatch.setenv(VARIABLE, "Torch")
    with pytest.raises(SpaceError, match="unknown RETIARIUS_KERNELS='Torch'; known: compiled, torch"):
        kernels_for(torch.float32)
    monkeypatch.setenv(VARIABLE, "compiled")
    assert kernels_for(torch.float32) is not None
    assert kernels_for(torch.float16) is None and why_not(torch.float16) == "not available for float16"


@HERE
@pytest.mark.slow
def test_a_library_that_was_cut_off_is_made_anew(tmp_path: Path) -> None:
    for content in (b"junk", None):
        assert ask(PYTHONPYCACHEPREFIX=str(tmp_path)) == "True None"
        (kept,) = tmp_path.rglob("*.so")
        kept.write_bytes(kept.read_bytes()[:40_000] if content is None else content)
    assert ask(PYTHONPYCACHEPREFIX=str(tmp_path)) == "True None"
    assert kept.stat().st_size > 40_000


@HERE
@pytest.mark.slow
def test_a_cache_that_others_may_write_is_not_used(tmp_path: Path) -> None:
    folder = in_cache(tmp_path / "open")
    folder.mkdir(parents=True)
    folder.chmod(0o777)
    assert ask(PYTHONPYCACHEPREFIX=str(tmp_path / "open"), XDG_CACHE_HOME=str(tmp_path / "home")) == "True None"
    assert list(folder.glob("*.so")) == [], "what lies there might be anybody's"
    assert len(list((tmp_path / "home" / "retiarius" / "kernels").glob("*.so"))) == 1


@HERE
@pytest.mark.slow
def test_the_first_compiler_that_works_is_taken(tmp_path: Path) -> None:
    program(tmp_path / "cc", "echo 'no -fopenmp here' >&2; exit 1")
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "PYTHONPYCACHEPREFIX": str(tmp_path / "cache"), "CC": ""}
    assert ask(**environment) == "True None", "gcc or clang"


@HERE
@pytest.mark.slow
def test_where_nothing_may_be_kept_it_is_cleaned_up(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    (tmp_path / "temporary").mkdir()
    without_home = "import pathlib\ndef home(): raise RuntimeError('no home')\npathlib.Path.home = home\n"
    for cache in (str(tmp_path / "file"), "relative/is/ignored"):
        variables = {"PYTHONPYCACHEPREFIX": str(tmp_path / "file"), "XDG_CACHE_HOME": cache, "TMPDIR": str(tmp_path / "temporary")}
        assert ask(AS_FAST_AS_CAN_BE + without_home, **variables) == "True None"
        assert list((tmp_path / "temporary").iterdir()) == []


@HERE
def test_beside_another_torch_they_are_made_and_tried_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled, "_is_whole", lambda path: True)
    compiler = next([name] for name in COMPILERS if compiles(name))
    paths = [compiled._compiled(compiler, "STORE_FLOAT32")]
    for name, value in (("__version__", "0.0"), ("__file__", "/elsewhere/torch/__init__.py"), ("__file__", "/els\udcffwhere/__init__.py")):
        monkeypatch.setattr(torch, name, value)
        paths.append(compiled._compiled(compiler, "STORE_FLOAT32"))
    assert len(set(paths)) == 4


def test_the_note_says_which_and_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "torch")
    assert kernels_note(torch.float32, is_supernet=False) == "cells run on torch's operations: switched off by RETIARIUS_KERNELS=torch"
    monkeypatch.delenv(VARIABLE)
    if kernels_for(torch.float32) is not None:
        assert kernels_note(torch.bfloat16, is_supernet=True) == "cells run on kernels compiled for this processor"
        assert kernels_note(torch.bfloat16, is_supernet=False) == "cells run on kernels compiled for this processor, in float32"


def test_found_networks_are_trained_in_the_precision_of_their_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "torch")
    assert only_precision(torch.device("cpu")) is None
    monkeypatch.delenv(VARIABLE)
    assert only_precision(torch.device("cuda")) is None
    if kernels_for(torch.float32) is not None:
        assert only_precision(torch.device("cpu")) == torch.float32
