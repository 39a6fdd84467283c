"""Files that are replaced as a whole or not at all, whatever fills them; the user's cache folder; values in a message."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from common.files import replace_atomically, write_text_atomically
from common.text import show
from common.user_cache import user_cache


def test_a_file_is_filled_beside_the_one_that_it_replaces(tmp_path: Path) -> None:
    path, seen = tmp_path / "a.bin", []

    def write(unfinished: Path) -> None:
        seen.append(unfinished.name)
        assert path.exists() == (len(seen) > 1), "it appears when it is whole"
        unfinished.write_bytes(b"%d" % len(seen))

    replace_atomically(path, write)
    replace_atomically(path, write, unfinished=tmp_path / "a.partial")
    assert seen == [f".a.bin.{os.getpid()}.tmp", "a.partial"]
    assert path.read_bytes() == b"2" and os.listdir(tmp_path) == ["a.bin"]


@pytest.mark.parametrize(
    "error", [OSError(errno.ENOSPC, "No space left on device"), OSError("in words"), ValueError("bad"), KeyboardInterrupt()]
)
def test_what_fails_in_between_leaves_the_old_file_and_no_rest(tmp_path: Path, error: BaseException) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")

    def write(unfinished: Path) -> None:
        unfinished.write_bytes(b"half")
        raise error

    with pytest.raises(type(error)) as caught:
        replace_atomically(path, write)
    if isinstance(error, OSError) and error.errno is not None:
        assert str(caught.value) == f"[Errno {errno.ENOSPC}] No space left on device: '{path}'", "it names the file"
    else:
        assert caught.value is error
    assert path.read_bytes() == b"old" and os.listdir(tmp_path) == ["a.bin"]


def test_a_folder_that_is_not_there_or_in_the_way_is_told_by_the_name_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    for path, kind in ((tmp_path / "none" / "a.txt", FileNotFoundError), (tmp_path / "folder", IsADirectoryError)):
        with pytest.raises(kind) as caught:
            write_text_atomically(path, "text")
        assert str(caught.value).endswith(f"'{path}'") and ".tmp" not in str(caught.value)
    assert os.listdir(tmp_path) == ["folder"]


def test_the_users_cache_is_where_the_system_keeps_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for configured, folder in ((str(tmp_path / "x"), tmp_path / "x"), ("relative", tmp_path / ".cache"), ("", tmp_path / ".cache")):
        monkeypatch.setenv("XDG_CACHE_HOME", configured)
        assert user_cache() == folder / "retiarius"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("a\nb\0", r"'a\nb\x00'"),
        ("x" * 1_000_000, "'" + "x" * 76 + "..."),
        ([[1]], "[[1]]"),
    ],
)
def test_any_value_is_shown_in_one_short_line(value: object, shown: str) -> None:
    assert show(value) == shown


def test_what_takes_several_lines_or_more_digits_than_there_may_be_is_shown_in_one_line() -> None:
    class Matrix:
        def __repr__(self) -> str:
            return "[1,\n 2]"

    assert show(Matrix()) == "[1,  2]"
    assert show("x" * 100, 200) == repr("x" * 100)
    assert show(10**5000) == "a huge int"
