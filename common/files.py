"""JSON files that are replaced as a whole or not at all, and that are read without trusting them."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path, PurePath
from typing import Any, NoReturn

from common.errors import RecordError
from common.text import show

LARGEST_FILE = 1_000_000  # bytes of a file that anyone may have made
LARGEST_OWN_FILE = 64_000_000  # bytes of a file in a run's folder: a search of thousands of parameters takes megabytes
DISK_FULL = (errno.ENOSPC, errno.EDQUOT)


def to_json(obj: object, *, indent: int | None = None) -> str:
    """Return the JSON text of ``obj``.

    Paths become strings, and zero-dimensional numpy and torch values become plain numbers.

    Raises
    ------
    RecordError
        ``obj`` is not plain data, or holds a number that is not finite, which standard JSON has not.
    """
    try:
        return json.dumps(obj, indent=indent, allow_nan=False, ensure_ascii=False, default=_to_plain)
    except TypeError as error:
        raise RecordError(f"cannot be written as JSON: {error}") from None
    except ValueError as error:  # NaN, infinity, a circular reference
        raise RecordError(f"cannot be written as JSON: {error}; every number must be finite") from None


def _to_plain(obj: object) -> object:
    if isinstance(obj, PurePath):
        return str(obj)
    if getattr(obj, "shape", None) == () and hasattr(obj, "item"):
        return obj.item()
    raise TypeError(f"{show(obj)} is a {type(obj).__name__}, not a string, number, list or dict")


def write_json_atomically(path: Path, obj: object) -> None:
    """Write ``obj`` to ``path`` so that readers, a crash or a full disk find the old file or the new one, never a part.

    Raises
    ------
    RecordError
        ``obj`` is not plain data or holds a number that is not finite; nothing is written.
    OSError
        As :func:`replace_atomically` raises it.
    """
    write_text_atomically(path, to_json(obj, indent=2) + "\n")


def write_text_atomically(path: Path, text: str) -> None:
    """Write ``text`` to ``path`` as UTF-8 so that readers, a crash or a full disk find the old file or the new one, never a part.

    Raises
    ------
    OSError
        As :func:`replace_atomically` raises it.
    """
    data = text.encode("utf-8", "backslashreplace")
    replace_atomically(path, lambda unfinished: unfinished.write_bytes(data))


def replace_atomically(path: Path, write: Callable[[Path], object], *, unfinished: Path | None = None) -> None:
    """Let ``write`` fill a file beside ``path``, bring it to the disk, then put it in the place of ``path``: whole or not at all.

    Parameters
    ----------
    path
        The file that is replaced, or made.
    write
        Called with the path of the file to fill.
    unfinished
        That file, in the folder of ``path``; by default one whose name is hidden, ends in ``.tmp`` and is this process's own. A run
        folder is swept of those that a killed process has left.

    Raises
    ------
    OSError
        The disk is full or the folder cannot be written; it names ``path``, and the file that was there stays as it was.
    """
    # Same folder, because os.replace is atomic only within a file system. Not tempfile: its files are mode 600, and a
    # result is to be as readable as any file of its owner.
    temporary = unfinished or path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with errors_name(path):  # people know nothing of the file beside it
        try:
            write(temporary)
            with open(temporary, "rb+") as file:
                os.fsync(file.fileno())
            os.replace(temporary, path)
        finally:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
    sync_folder(path.parent)


@contextlib.contextmanager
def errors_name(path: Path) -> Iterator[None]:
    """Let what the system refuses while the ``with`` block lasts name ``path``: that a disk is full names no file by itself."""
    try:
        yield
    except OSError as error:
        if error.errno is None or error.strerror is None:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error


def sync_folder(folder: Path) -> None:
    """Bring a new or renamed entry of ``folder`` to the disk; file systems that cannot do this are left alone."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def read_json(path: Path, *, max_bytes: int = LARGEST_FILE) -> Any:
    """Return the value of a file that holds one JSON document.

    Raises
    ------
    RecordError
        As :func:`read_text` raises it; or the text is not JSON (line and column are named), has a key twice or a number that is not
        finite.
    """
    text = read_text(path, max_bytes=max_bytes)
    try:
        return parse_json(text)
    except RecordError as error:
        raise RecordError(f"{path}: {error}") from None


def read_text(path: Path, *, kind: str = "JSON", max_bytes: int = LARGEST_FILE) -> str:
    """Return the text of a file of ``kind`` that is not empty.

    Raises
    ------
    RecordError
        ``path`` is missing, not a file, unreadable, larger than ``max_bytes``, empty or not UTF-8.
    """
    try:
        text = _read_bytes(path, kind, max_bytes).decode("utf-8-sig")  # editors on Windows write a byte order mark
    except UnicodeDecodeError as error:
        raise RecordError(f"{path}: byte {error.start} is not UTF-8 text; expected a {kind} file") from None
    if not text.strip():
        raise RecordError(f"{path}: the file is empty; expected a {kind} file")
    return text


def parse_json(text: str) -> Any:
    """Return the value of a JSON text, stricter than :func:`json.loads`: no NaN, no infinity, no key twice in one object.

    Raises
    ------
    RecordError
        The text is not such JSON; the message does not name a file, so add its name.
    """
    try:
        return json.loads(text, parse_constant=_refuse_constant, parse_float=_parse_finite, object_pairs_hook=_refuse_twice)
    except json.JSONDecodeError as error:
        cut = "; the file may be cut off" if error.pos >= len(text.rstrip()) or "Unterminated" in error.msg else ""
        raise RecordError(f"not JSON: line {error.lineno}, column {error.colno}: {error.msg}{cut}") from None
    except RecursionError:
        raise RecordError("not readable as JSON: lists or objects are nested too deeply") from None
    except RecordError:
        raise
    except ValueError as error:  # an integer of more digits than Python converts
        raise RecordError(f"not readable as JSON: {error}") from None


def _read_bytes(path: Path, kind: str, max_bytes: int) -> bytes:
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        raise RecordError(f"{path}: no such file") from None
    except OSError as error:
        raise RecordError(f"{path}: cannot be read: {error.strerror}") from None
    except ValueError as error:  # a NUL character in the path
        raise RecordError(f"{show(str(path))}: not a path: {error}") from None
    if not stat.S_ISREG(mode):
        what = "this is a folder" if stat.S_ISDIR(mode) else "not a regular file"
        raise RecordError(f"{path}: {what}; expected a {kind} file")
    try:
        with open(path, "rb") as file:
            data = file.read(max_bytes + 1)
    except OSError as error:
        raise RecordError(f"{path}: cannot be read: {error.strerror}") from None
    if len(data) > max_bytes:
        raise RecordError(f"{path}: larger than {max_bytes:,} bytes, so not a file that retiarius wrote")
    return data


def _refuse_constant(name: str) -> NoReturn:
    raise RecordError(f"{name} is not JSON; every number must be finite")


def _parse_finite(text: str) -> float:
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise RecordError(f"the number {show(text)} is too large")
    return number


def _refuse_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key, value in pairs:
        if key in result:
            raise RecordError(f"the key {show(key)} appears twice in one object")
        result[key] = value
    return result
