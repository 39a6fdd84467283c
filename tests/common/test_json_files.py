"""JSON files: nothing half-written, nothing lost, one line for what is wrong."""

from __future__ import annotations

import errno
import math
import os
from pathlib import Path

import pytest
from messages import get_message

from common.errors import RecordError
from common.files import read_json, write_json_atomically


def test_json_round_trip_keeps_order_and_values(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    document = {"z": [1, 2.5, None, True], "a": {"ü": "→", "lone surrogate": "\udc80", "empty": {}}}
    write_json_atomically(path, document)
    assert read_json(path) == document
    assert list(read_json(path)) == ["z", "a"]
    assert path.read_text().startswith('{\n  "z": [') and path.read_text().endswith("}\n")
    assert os.listdir(tmp_path) == ["a.json"]
    assert path.stat().st_mode & 0o777 == 0o666 & ~_get_umask()


def _get_umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_paths_and_array_scalars_become_plain(tmp_path: Path) -> None:
    import numpy as np

    write_json_atomically(tmp_path / "a.json", {"p": Path("x/y"), "f": np.float32(0.5), "i": np.int64(3), "t": (1, 2)})
    assert read_json(tmp_path / "a.json") == {"p": "x/y", "f": 0.5, "i": 3, "t": [1, 2]}


@pytest.mark.parametrize("bad", [math.nan, math.inf, {1, 2}, object(), [1, [math.nan]]])
def test_what_is_not_json_is_refused_and_the_old_file_stays(tmp_path: Path, bad: object) -> None:
    path = tmp_path / "a.json"
    write_json_atomically(path, {"old": 1})
    with pytest.raises(RecordError) as error:
        write_json_atomically(path, {"new": bad})
    assert "cannot be written as JSON" in get_message(error)
    assert read_json(path) == {"old": 1} and os.listdir(tmp_path) == ["a.json"]


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_full_disk_leaves_the_old_file_and_no_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    path = tmp_path / "a.json"
    write_json_atomically(path, {"old": 1})

    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, call, fail)
        with pytest.raises(OSError, match="No space left") as error:
            write_json_atomically(path, {"new": 2})
    assert error.value.errno == errno.ENOSPC and not isinstance(error.value, ValueError)
    assert read_json(path) == {"old": 1} and os.listdir(tmp_path) == ["a.json"]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "the file is empty"),
        (b'{"a": 1,\n "b": [1, 2', "line 2, column 12: Expecting ',' delimiter; the file may be cut off"),
        (b'{"a": "x', "line 1, column 7: Unterminated string starting at; the file may be cut off"),
        (b"\x80\x81", "byte 0 is not UTF-8"),
        (b"hello", "not JSON: line 1, column 1"),
        (b'{"a": NaN}', "NaN is not JSON"),
        (b'{"a": 1e999}', "'1e999' is too large"),
        (b'{"a": 1, "a": 2}', "the key 'a' appears twice in one object"),
        (b"[" * 500_000, "nested too deeply"),
        (b"1" * 100_000, "not readable as JSON: Exceeds the limit"),
        (b"\x00" * 1000, "not JSON: line 1, column 1"),
        (bytes(range(256)) * 4096, "larger than 1,000,000 bytes"),
        (b"[" + b" " * 1_000_000 + b"]", "larger than 1,000,000 bytes"),
    ],
    ids=[
        "empty",
        "cut",
        "cut-string",
        "bytes",
        "text",
        "nan",
        "inf",
        "twice",
        "deep",
        "digits",
        "nul",
        "junk",
        "spaces",
    ],
)
def test_bad_json_files_are_one_line(tmp_path: Path, data: bytes, said: str) -> None:
    path = tmp_path / "bad.json"
    path.write_bytes(data)
    with pytest.raises(RecordError) as error:
        read_json(path)
    assert said in get_message(error) and str(path) in get_message(error)


def test_what_is_not_a_file_is_one_line(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path, said in [
        (tmp_path, "this is a folder"),
        (tmp_path / "none.json", "no such file"),
        (tmp_path / "pipe", "not a regular file"),
        (Path("/dev/null"), "not a regular file"),
        (Path("a\0b"), "not a path"),
        (tmp_path / ("x" * 300), "cannot be read: File name too long"),
    ]:
        with pytest.raises(RecordError) as error:
            read_json(path)
        assert said in get_message(error)


def test_a_byte_order_mark_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(b'\xef\xbb\xbf{"a": 1}\r\n')
    assert read_json(tmp_path / "a.json") == {"a": 1}
