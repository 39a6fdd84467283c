"""Files that grow by whole lines: what several processes that add to one of them see of one another."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from threading import Thread

from records.lines import append_document, read_lines


def test_a_line_that_another_is_writing_is_not_taken_for_one_that_was_cut_off(tmp_path: Path) -> None:
    """The kernel shows parts of a long line before it is whole."""
    path = tmp_path / "lines.jsonl"
    append_document(path, {"line": 0})
    other = os.open(path, os.O_WRONLY | os.O_APPEND)
    fcntl.flock(other, fcntl.LOCK_EX)
    os.write(other, b'{"li')
    adding = Thread(target=append_document, args=(path, {"line": 2}))
    adding.start()
    adding.join(0.2)
    os.write(other, b'ne": 1}\n')
    fcntl.flock(other, fcntl.LOCK_UN)
    adding.join(10)
    os.close(other)
    assert read_lines(path) == [{"line": 0}, {"line": 1}, {"line": 2}]
