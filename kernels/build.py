"""The kernels in ``native/``, compiled for this very processor where there is a C compiler with OpenMP: a few seconds, once.

What was compiled is kept where Python keeps what it compiles or, where that may not be written, in the user's cache folder, under a name
that tells source, compiler, processor and torch apart. Where it cannot be compiled or loaded, nothing else is needed: cells and dense
convolutions then run on torch's own operations, at the pace that these have.
"""

from __future__ import annotations

import atexit
import ctypes
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from importlib.util import cache_from_source
from pathlib import Path

import torch

from common.errors import SpaceError
from common.files import replace_atomically, write_text_atomically
from common.user_cache import user_cache

SOURCES = Path(__file__).with_name("native")
STORED = {torch.float32: "STORE_FLOAT32", torch.bfloat16: "STORE_BFLOAT16", torch.float64: "STORE_FLOAT64"}
COMPILERS = ("cc", "gcc", "clang")
FLAGS = ("-O3", "-march=native", "-fopenmp", "-fPIC", "-shared", "-lm")
# Torch's threads first, then ours: where they belong to two OpenMP libraries, that may end a process.
TRIAL = "import ctypes, sys, torch; torch.ones(1 << 20).sum(); sys.exit(ctypes.CDLL(sys.argv[1]).try_threads(ctypes.c_long(2)))"
SECONDS = 60  # within which a compiler is done, or stuck
VARIABLE, CHOICES = "RETIARIUS_KERNELS", ("compiled", "torch")  # "torch": do without


class NotCompiled(Exception):
    """Why there are no compiled kernels, in one line."""


def kernels_for(dtype: torch.dtype) -> ctypes.CDLL | None:
    """Return the compiled kernels for tensors of ``dtype`` on a CPU; ``None`` where there are none."""
    return library(dtype) if why_not(dtype) is None else None


def why_not(dtype: torch.dtype = torch.float32) -> str | None:
    """Return in one line why there are no compiled kernels for ``dtype``; ``None`` where there are.

    Raises
    ------
    SpaceError
        The environment asks for an unknown choice.
    """
    choice = os.environ.get(VARIABLE) or CHOICES[0]
    if choice not in CHOICES:
        raise SpaceError(f"unknown {VARIABLE}={choice!r}; known: {', '.join(CHOICES)}")
    if dtype not in STORED:
        return f"not available for {str(dtype).removeprefix('torch.')}"
    if choice == "torch":
        return f"switched off by {VARIABLE}=torch"
    try:
        library(dtype)
    except NotCompiled as error:
        return str(error)
    return None


def kernels_note(precision: torch.dtype, *, is_supernet: bool) -> str:
    """Return by what cells are computed on a CPU, in one line: those of a supernet in ``precision``, or of a network trained alone."""
    if is_supernet:
        return run_on("cells", precision)
    return run_on("cells", torch.float32, ", in float32")  # as found networks are trained


def run_on(what: str, dtype: torch.dtype, how: str = "") -> str:
    """Return in one line whether ``what`` run on compiled kernels for ``dtype``, or why not; ``how`` is said of the kernels."""
    reason = why_not(dtype)
    if reason is not None:
        return f"{what} run on torch's operations: {reason}"
    return f"{what} run on kernels compiled for this processor{how}"


def only_precision(device: torch.device) -> torch.dtype | None:
    """Return the one precision in which found networks are trained on ``device``: float32 where the kernels compute them, else ``None``."""
    return torch.float32 if device.type == "cpu" and kernels_for(torch.float32) is not None else None


def library(dtype: torch.dtype) -> ctypes.CDLL:
    """Return the compiled kernels for ``dtype``, whether they are switched off or not.

    Raises
    ------
    NotCompiled
        There are none; says why.
    """
    result = _library(STORED[dtype])
    if isinstance(result, str):
        raise NotCompiled(result)
    return result


@lru_cache(maxsize=len(STORED))
def _library(macro: str) -> ctypes.CDLL | str:
    """Return the library or, asked once, why there is none: the complaint about the first compiler."""
    compilers = [os.environ["CC"].split()] if os.environ.get("CC", "").split() else [[name] for name in COMPILERS]
    complaints, tried = [], set()
    for compiler in compilers:
        program = os.path.realpath(shutil.which(compiler[0]) or "")
        if shutil.which(compiler[0]) is None or program in tried:  # cc is often a name of gcc
            continue
        tried.add(program)
        try:
            return ctypes.CDLL(str(_compiled(compiler, macro)))
        except (NotCompiled, OSError, subprocess.SubprocessError) as error:
            complaints.append(" ".join(str(error).split()) or type(error).__name__)
    return complaints[0] if complaints else f"no C compiler: {', '.join(words[0] for words in compilers)} not found"


def _compiled(compiler: list[str], macro: str) -> Path:
    """Return the compiled library; it is made anew where source, compiler, flags, processor or torch are others than those of the last."""
    # What the compiler predefines tells its version and, by -march=native, what the processor can do.
    told = _run([*compiler, *FLAGS[:3], "-dM", "-E", "-x", "c", os.devnull])
    # Beside another torch, with another OpenMP library, it has to be tried again.
    parts = [*(path.read_bytes() for path in _sources("*.[ch]")), told, macro.encode(), repr((FLAGS, TRIAL)).encode()]
    parts += [torch.__version__.encode(), os.fsencode(torch.__file__)]
    digest = hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]
    path = _folder() / f"cell_kernels-{macro.removeprefix('STORE_').lower()}-{digest}.so"
    if _is_whole(path):
        return path
    with _alone_in(path.parent):  # trials that begin side by side are to compile it once
        if not _is_whole(path):
            _compile(path, compiler, macro)
    return path


def _compile(path: Path, compiler: list[str], macro: str) -> None:
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        made = Path(folder) / path.name
        _run([*compiler, *FLAGS[:5], f"-D{macro}", "-o", str(made), *map(str, _sources("*.c")), *FLAGS[5:]])
        _run([sys.executable, "-c", TRIAL, str(made)], f"what {compiler[0]} made")
        made.chmod(0o700)  # the linker leaves it to the umask who may write
        if not _is_whole(path):  # or another process was faster, and runs what it has put there
            write_text_atomically(_record(path), _digest(made))
            replace_atomically(path, made.rename)


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Let no other process be in this block for ``folder``; where files cannot be locked, as on some network drives, several may be."""
    with (folder / ".lock").open("wb") as file:
        with suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _record(path: Path) -> Path:
    """Return where the digest of a library is kept: to load one that was cut off, by a full disk or a power cut, would end the process."""
    return path.with_suffix(".sha256")


def _is_whole(path: Path) -> bool:
    return path.exists() and _is_own(path) and _record(path).exists() and _record(path).read_bytes() == _digest(path).encode()


def _sources(pattern: str) -> list[Path]:
    return sorted(SOURCES.glob(pattern))


def _run(command: list[str], name: str | None = None) -> bytes:
    done = subprocess.run(command, capture_output=True, check=False, timeout=SECONDS, stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        complaint = done.stderr.decode(errors="replace").strip().splitlines() or [f"exit status {done.returncode}, without a message"]
        raise NotCompiled(f"{name or command[0]} failed: {next((line for line in complaint if 'error' in line.lower()), complaint[0])}")
    return done.stdout


def _folder() -> Path:
    """Return where compiled libraries are kept: a folder of the user's own, which nobody else may write, as what lies there is run."""
    for choose in (_folder_beside_sources, _folder_at_home):
        try:
            folder = choose()
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                if _is_own(folder):
                    return folder
        except (OSError, RuntimeError):  # may only be read; no home
            continue
    return _folder_of_process()


def _folder_beside_sources() -> Path:
    """Return where Python keeps what it compiles: ``__pycache__``, or as ``PYTHONPYCACHEPREFIX`` says."""
    return Path(cache_from_source(str(SOURCES / "kernels.py"))).parent


def _folder_at_home() -> Path:
    return user_cache() / "kernels"  # a folder of its own: images may lie beside it, in a folder that others may write


def _is_own(path: Path) -> bool:
    """Return whether ``path`` belongs to this user and nobody else may write it; true where there are no such permissions."""
    if not hasattr(os, "getuid"):
        return True
    status = path.stat()
    return status.st_uid == os.getuid() and not status.st_mode & 0o022


@lru_cache(maxsize=1)
def _folder_of_process() -> Path:
    folder, process = Path(tempfile.mkdtemp(prefix="retiarius-")), os.getpid()

    @atexit.register
    def remove() -> None:
        if os.getpid() == process:  # and not one that was forked from it
            shutil.rmtree(folder, ignore_errors=True)

    return folder
