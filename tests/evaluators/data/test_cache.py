"""evaluators.data.dataset: the cache of decoded images."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from image_folders import all_keys, keys_on_disk, load, write_images
from safetensors import SafetensorError
from safetensors.torch import load_file

from evaluators.data import cache as _cache
from evaluators.data import folder as _folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_images(tmp_path / "pets")


# The cache


def cache_file(folder: Path) -> Path:
    (file,) = (folder.parent / "data" / ".cache").iterdir()
    return file


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files that were decoded, in a list that grows."""
    files: list[str] = []
    decode = _folder._decode

    def decode_and_note(file: str) -> np.ndarray:
        files.append(file)
        return decode(file)

    monkeypatch.setattr(_folder, "_decode", decode_and_note)
    return files


def test_the_second_start_decodes_nothing_and_gives_the_same(folder: Path, decoded: list[str]) -> None:
    first = load(folder)
    assert len(decoded) >= 26
    decoded.clear()
    second = load(folder)
    assert decoded == []
    assert all_keys(first) == all_keys(second) and first.describe() == second.describe()
    assert (first.mean, first.std, first.classes) == (second.mean, second.std, second.classes)
    assert second.train.images.is_contiguous()
    assert set(load_file(cache_file(folder))) == {"train_images", "train_labels", "test_images", "test_labels"}


def overwrite_in_place(folder: Path) -> None:
    """Other pixels in as many bytes, with the old modification time: what a check of size and time would miss."""
    one, other = folder / "train/cat/000.png", folder / "train/cat/001.png"
    length = max(file.stat().st_size for file in (one, other))
    for file in (one, other):
        file.write_bytes(file.read_bytes().ljust(length, b"\0"))
    load(folder)
    before = one.stat()
    one.write_bytes(other.read_bytes())
    os.utime(one, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (one.stat().st_size, one.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)


@pytest.mark.parametrize(
    "change",
    [
        overwrite_in_place,
        lambda f: shutil.copy(f / "train/cat/000.png", f / "train/cat/900.png"),
        lambda f: (f / "test/dog/002.png").unlink(),
        lambda f: (f / "train/cat/003.png").rename(f / "train/dog/903.png"),
    ],
)
def test_a_changed_folder_is_read_anew_and_its_old_cache_replaced(folder: Path, change: Callable[[Path], object]) -> None:
    before = load(folder).fingerprint
    change(folder)
    after = load(folder)
    assert sorted(all_keys(after)) == sorted(keys_on_disk(folder)) and after.fingerprint != before
    cache_file(folder)  # one file, not one for each state


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: content[:-1],
        lambda content: content[: len(content) // 2],
        lambda content: content[:5],
        lambda content: bytes(len(content)),
        lambda content: b"\xff" * len(content),
        lambda content: content[:-200] + bytes([content[-200] ^ 1]) + content[-199:],
        lambda content: content.replace(b"retiarius-images-2", b"retiarius-images-0"),
        lambda content: content.replace(b'"checksum"', b'"checksun"'),
        lambda content: content.replace(b"train_labels", b"train_labelz"),
    ],
)
def test_a_damaged_cache_is_made_anew(folder: Path, damage: Callable[[bytes], bytes], decoded: list[str]) -> None:
    first = load(folder)
    content = cache_file(folder).read_bytes()
    assert damage(content) != content
    cache_file(folder).write_bytes(damage(content))
    decoded.clear()
    assert all_keys(load(folder)) == all_keys(first) and decoded
    decoded.clear()
    assert all_keys(load(folder)) == all_keys(first) and not decoded


def test_without_a_writable_data_folder_the_users_cache_serves(folder: Path, tmp_path: Path, decoded: list[str]) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / ".cache").write_text("in the way")
    lines: list[str] = []
    load(folder, announce=lines.append)
    assert len(list((tmp_path / "xdg" / "retiarius").iterdir())) == 1
    decoded.clear()
    load(folder, announce=lines.append)
    assert decoded == [] and lines == []


def test_a_full_disk_costs_the_cache_and_nothing_else(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fill_the_disk(tensors: object, path: Path, metadata: object) -> None:
        path.write_bytes(b"half")
        raise SafetensorError("I/O error: No space left on device (os error 28)")

    monkeypatch.setattr(_cache, "save_file", fill_the_disk)
    lines: list[str] = []
    assert len(load(folder, announce=lines.append).test) == 6
    (line,) = lines
    assert "the decoded images cannot be cached and are read again at each start" in line and "No space left" in line and "\n" not in line
    assert not [path for name in ("data", "xdg") for path in (tmp_path / name).rglob("*") if path.is_file()]


def test_an_interrupted_cache_leaves_no_file(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(tensors: object, path: Path, metadata: object) -> None:
        path.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(_cache, "save_file", interrupt)
    with pytest.raises(KeyboardInterrupt):
        load(folder)
    assert not [path for path in (tmp_path / "data").rglob("*") if path.is_file()]


def test_a_relative_xdg_cache_home_is_ignored(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert _cache.cache_directories(Path("d")) == (Path("d/.cache"), tmp_path / ".cache" / "retiarius")


def test_a_user_without_a_home_has_the_cache_beside_the_data(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", no_home)
    assert _cache.cache_directories(tmp_path) == (tmp_path / ".cache",)
