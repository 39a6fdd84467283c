"""What a trial on Ray prints, taken line by line to where the person looks.

Its worker has no terminal, and the logs of a Ray of our own are gone with it.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
import threading
from collections.abc import Callable, Iterator
from typing import TextIO

MOST_LINES, MOST_CHARACTERS = 1_000, 1_000  # of a trial, and of a line: a progress bar in a log must not fill the disk
LEFT_OUT = "(what it prints from here on is left out)"


@contextlib.contextmanager
def prints_taken(take: Callable[[str], None]) -> Iterator[None]:
    """Let ``take`` have each line that this process prints within the block, on both streams, without the end of the line.

    What a compiled library or another process writes is not seen. Of a progress bar, which overwrites itself, the last text is taken.
    """
    lines = _Lines(take)
    out, error = _Stream(lines, sys.stdout), _Stream(lines, sys.stderr)
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(error):
        try:
            yield
        finally:
            out.end()
            error.end()


class _Lines:
    """Passes on so many lines, and then one that says so."""

    def __init__(self, take: Callable[[str], None]) -> None:
        self._take, self._left = take, MOST_LINES

    def add(self, line: str) -> None:
        if self._left >= 0:
            self._take(line[:MOST_CHARACTERS] if self._left else LEFT_OUT)
            self._left -= 1


class _Stream(io.TextIOBase):
    """A text stream that hands on whole lines; for all else, such as its number, it is the stream whose place it takes."""

    def __init__(self, lines: _Lines, stream: TextIO) -> None:
        self._lines, self._stream, self._process = lines, stream, os.getpid()
        self._open, self._lock = "", threading.Lock()

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._stream.encoding

    @property
    def buffer(self) -> object:
        return self._stream.buffer

    def fileno(self) -> int:
        return self._stream.fileno()

    def writable(self) -> bool:
        return True

    def flush(self) -> None:
        self._stream.flush()

    def write(self, text: str) -> int:
        if os.getpid() != self._process:  # one that was forked, such as a loader of images, has no way to Ray
            return self._stream.write(text)
        with self._lock:  # threads of the trial may print, too
            *whole, rest = (self._open + text).split("\n")
            self._open = rest[-MOST_CHARACTERS:]
        for line in whole:
            self._lines.add(line.rstrip("\r").rpartition("\r")[2])
        return len(text)

    def end(self) -> None:
        """Hand on the line that is not ended."""
        if self._open.strip():
            self.write("\n")
