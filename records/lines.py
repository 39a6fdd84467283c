"""Files of one JSON document a line that grow by whole lines, whatever happens while one is written, and by whichever process."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from common.errors import RecordError
from common.files import errors_name, parse_json, sync_folder, to_json, write_text_atomically


def append_line(path: Path, line: bytes, *, is_whole: Callable[[bytes], bool], durable: bool = True) -> int:
    """Add ``line``, which ends with a line end, and return when it is on the disk.

    A last line that a crash cut off is taken away first, and one that ``is_whole`` but for its line end gets it. Processes that add lines
    to one file wait for one another.

    Parameters
    ----------
    path
        The file; made where it is not there.
    line
        What to add.
    is_whole
        Whether a line without its end is whole.
    durable
        Whether to wait for the disk.

    Returns
    -------
    int
        How many bytes were taken away.

    Raises
    ------
    OSError
        The line could not be written; the lines before it are whole and nothing of it is left. It names ``path``.
    """
    is_new = not path.exists()
    with errors_name(path):
        descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            with _alone(descriptor):
                size, lost = _mend(descriptor, is_whole)
                try:
                    _write_all(descriptor, line)
                    if durable:
                        os.fsync(descriptor)
                except BaseException:
                    with contextlib.suppress(OSError):  # a device cannot be cut
                        os.ftruncate(descriptor, size)
                    raise
        finally:
            os.close(descriptor)
    if is_new:
        sync_folder(path.parent)
    return lost


@contextlib.contextmanager
def _alone(descriptor: int) -> Iterator[None]:
    """Keep others out while the ``with`` block lasts, who might take a line that is being written for one that was cut off."""
    with contextlib.suppress(OSError):  # some network file systems have no locks
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_UN)  # not by closing it: a process that was forked meanwhile has it, too


def _mend(descriptor: int, is_whole: Callable[[bytes], bool]) -> tuple[int, int]:
    """Return the file's size once its last line is whole, and how many bytes were taken away for that."""
    size = os.fstat(descriptor).st_size
    if size == 0 or os.pread(descriptor, 1, size - 1) == b"\n":
        return size, 0
    data = os.pread(descriptor, size, 0)
    start = data.rfind(b"\n") + 1
    if not is_whole(data[start:]):
        os.ftruncate(descriptor, start)
        return start, size - start
    _write_all(descriptor, b"\n")
    return size + 1, 0


def _write_all(descriptor: int, data: bytes) -> None:
    """Write at once, so that a killed process leaves a whole line; more only where a nearly full disk takes a part."""
    written = os.write(descriptor, data)
    while written < len(data):
        written += os.write(descriptor, data[written:])


class EpochLog:
    """The epochs of a one-shot search or of a retraining in ``epochs.jsonl``: one line each, on the disk as soon as it ends.

    Attributes
    ----------
    noted
        The number of the last epoch that was noted before this object adds any; a last line that was cut off is none.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.noted = max((_number(epoch) for epoch in self.read()), default=0)

    def read(self) -> list[dict[str, Any]]:
        """Return the epochs that were noted, in order; none where there is no file."""
        return read_lines(self._path)

    def note(self, epoch: Mapping[str, Any]) -> bool:
        """Add one, unless it was noted before an interruption, after which an epoch may be told again; return whether it was added.

        Raise what :meth:`append` raises.
        """
        if epoch["number"] <= self.noted:
            return False
        self.append(epoch)
        return True

    def keep(self, last: int) -> None:
        """Take away what comes after epoch ``last``: what a run noted beyond the state that it resumes, which it will note anew.

        Raise ``OSError`` where the file cannot be replaced; it stays as it was then.
        """
        if self.noted > last:
            kept = [epoch for epoch in self.read() if _number(epoch) <= last]
            write_text_atomically(self._path, "".join(to_json(epoch) + "\n" for epoch in kept))
            self.noted = last

    def append(self, epoch: Mapping[str, Any]) -> None:
        """Add one. Raise what :func:`append_document` raises."""
        append_document(self._path, epoch)


def _number(epoch: Mapping[str, Any]) -> int:
    number = epoch.get("number")
    return number if isinstance(number, int) else 0


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Return the objects of all whole lines of a file, in order; none where there is no file."""
    if not path.exists():
        return []
    return [document for line in path.read_bytes().splitlines() if (document := _document(line)) is not None]


def _document(line: bytes) -> dict[str, Any] | None:
    """Return the object that ``line`` holds, None where it is cut off or holds none."""
    try:
        document = parse_json(line.decode("utf-8"))
    except (RecordError, UnicodeDecodeError):
        return None
    return document if isinstance(document, dict) else None


def append_document(path: Path, document: Mapping[str, Any], *, durable: bool = True) -> None:
    """Add ``document`` as a line. Raise what :func:`append_line` raises, and ``RecordError`` where it is not plain data."""
    append_line(path, (to_json(dict(document)) + "\n").encode(), is_whole=lambda line: _document(line) is not None, durable=durable)
