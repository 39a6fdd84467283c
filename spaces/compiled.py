"""The kernels in ``native/``, compiled for this very processor where there is a C compiler with OpenMP: a second or two, once.

What was compiled is kept in the user's cache folder, under a name that tells source, compiler and processor apart. Where it cannot be
compiled or loaded, nothing else is needed: cells then run on torch's own operations, at the pace that these have.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

import torch

SOURCES = Path(__file__).with_name("native")
STORED = {torch.float32: "STORE_FLOAT32", torch.bfloat16: "STORE_BFLOAT16", torch.float64: "STORE_FLOAT64"}
FLAGS = ("-O3", "-march=native", "-fopenmp", "-fPIC", "-shared", "-lm")
SECONDS = 120  # within which a compiler is done, or stuck
VARIABLE = "RETIARIUS_KERNELS"  # "torch": do without

_switched_off = False


class NotCompiled(Exception):
    """Why there are no compiled kernels, in one line."""


@contextmanager
def without_compiled_kernels() -> Iterator[None]:
    """Cells run on torch's own operations while the ``with`` block lasts: to compare."""
    global _switched_off
    before, _switched_off = _switched_off, True
    try:
        yield
    finally:
        _switched_off = before


def kernels_for(dtype: torch.dtype) -> ctypes.CDLL | None:
    """The library for tensors of ``dtype`` on a CPU; ``None`` where there is none."""
    if _switched_off or dtype not in STORED or os.environ.get(VARIABLE) == "torch":
        return None
    library = _library(dtype)
    return library if isinstance(library, ctypes.CDLL) else None


def why_not(dtype: torch.dtype = torch.float32) -> str | None:
    """Why there are no compiled kernels for ``dtype``, in one line; ``None`` where there are."""
    if dtype not in STORED:
        return f"none are made for {str(dtype).removeprefix('torch.')}"
    if _switched_off or os.environ.get(VARIABLE) == "torch":
        return f"switched off by {VARIABLE}=torch"
    library = _library(dtype)
    return library if isinstance(library, str) else None


def kernels_note(dtype: torch.dtype = torch.float32) -> str:
    """By what cells are computed on a CPU, in one line for people."""
    reason = why_not(dtype)
    return (
        "cells run on kernels compiled for this processor" if reason is None else f"cells run on torch's operations, more slowly: {reason}"
    )


@lru_cache(maxsize=8)
def _library(dtype: torch.dtype) -> ctypes.CDLL | str:
    try:
        return ctypes.CDLL(str(_compiled(STORED[dtype])))
    except (NotCompiled, OSError, subprocess.SubprocessError) as error:
        return " ".join(str(error).split()) or type(error).__name__


def _compiled(macro: str) -> Path:
    """The compiled library; it is made anew where source, compiler, flags or processor are others than those of the kept one."""
    compiler = _compiler()
    # What the compiler predefines tells its version and, by -march=native, what the processor can do.
    told = _run([*compiler, *FLAGS[:3], "-dM", "-E", "-x", "c", os.devnull])
    digest = hashlib.sha256(
        b"\0".join([*(path.read_bytes() for path in _sources("*")), told, macro.encode(), repr(FLAGS).encode()])
    ).hexdigest()[:16]
    path = _folder() / f"cell_kernels-{macro.removeprefix('STORE_').lower()}-{digest}.so"
    if not path.exists():
        with tempfile.TemporaryDirectory(dir=path.parent) as folder:  # several processes may do so at once: the last one's stays
            made = Path(folder) / path.name
            _run([*compiler, *FLAGS[:5], f"-D{macro}", "-o", str(made), *map(str, _sources("*.c")), *FLAGS[5:]])
            os.replace(made, path)
    return path


def _sources(pattern: str) -> list[Path]:
    return sorted(SOURCES.glob(pattern))


def _compiler() -> list[str]:
    named = os.environ.get("CC", "").split()
    for words in [named] if named else [["cc"], ["gcc"], ["clang"]]:
        if shutil.which(words[0]):
            return words
    raise NotCompiled(f"no C compiler: {named[0] if named else 'cc, gcc and clang'} not found")


def _run(command: list[str]) -> bytes:
    done = subprocess.run(command, capture_output=True, check=False, timeout=SECONDS, stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        complaint = done.stderr.decode(errors="replace").strip().splitlines() or ["no word of it"]
        raise NotCompiled(f"{command[0]} failed: {complaint[0]}")
    return done.stdout


def _folder() -> Path:
    """Where compiled libraries are kept: a folder of the user's own, which nobody else may write, as what lies there is run."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = base / "retiarius"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except (OSError, RuntimeError):  # a home that is not there or may only be read
        return _folder_of_process()


@lru_cache(maxsize=1)
def _folder_of_process() -> Path:
    return Path(tempfile.mkdtemp(prefix="retiarius-"))
