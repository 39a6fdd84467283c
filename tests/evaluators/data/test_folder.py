"""evaluators.data.dataset: folders of images, good and bad."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from image_folders import all_keys, keys_on_disk, load, open_image, write_images
from PIL import Image

from common.errors import DataError, EvaluatorError
from evaluators.data import folder as _folder
from evaluators.data.dataset import load_dataset
from evaluators.data.images import LabelledImages


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_images(tmp_path / "pets")


# Folders of images


def save_as(suffix: str, mode: str = "RGB") -> Callable[[Path], None]:
    def rewrite(file: Path) -> None:
        image = open_image(file, mode)
        file.unlink()
        image.save(file.with_suffix(suffix), lossless=True)

    return rewrite


def test_the_same_images_under_other_names_and_formats_are_the_same_data_set(folder: Path, tmp_path: Path) -> None:
    renamed = tmp_path / "elsewhere"
    shutil.copytree(folder, renamed)
    for split in ("train", "test"):
        for index, file in enumerate(sorted((renamed / split).rglob("*.png"))):
            save_as(".WEBP" if index % 2 else ".bmp")(file.rename(file.with_stem(f"x{97 * index % 100:02d}")))
    first, second = load(folder), load(renamed)
    assert first.fingerprint == second.fingerprint and all_keys(first) == all_keys(second)
    assert (first.name, second.name) == ("pets", "elsewhere")


def test_the_fingerprint_tells_labels_splits_and_pixels_apart(folder: Path) -> None:
    fingerprints = {load(folder).fingerprint}
    (folder / "train/cat/000.png").rename(folder / "train/dog/900.png")
    fingerprints.add(load(folder).fingerprint)
    (folder / "train/dog/900.png").rename(folder / "test/cat/900.png")
    fingerprints.add(load(folder).fingerprint)
    (folder / "test/cat").rename(folder / "test/bird")
    (folder / "train/cat").rename(folder / "train/bird")
    fingerprints.add(load(folder).fingerprint)
    assert len(fingerprints) == 4


@pytest.mark.parametrize(("suffix", "mode"), [(".png", "L"), (".png", "RGBA"), (".png", "1"), (".gif", "P"), (".jpeg", "L")])
def test_other_kinds_of_pixels_become_rgb(folder: Path, suffix: str, mode: str) -> None:
    for file in list(folder.rglob("*.png")):
        save_as(suffix, mode)(file)
    assert sorted(all_keys(load(folder))) == sorted(keys_on_disk(folder))


def test_a_palette_with_transparency_is_read_without_a_warning(folder: Path) -> None:
    image = open_image(folder / "train/cat/000.png", "P")
    image.save(folder / "train/cat/000.png", transparency=bytes(range(256)))
    assert len(load(folder).test) == 6


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_what_is_drawn_on_nothing_is_seen_on_white(folder: Path, mode: str) -> None:
    """In black, as a sketch is, on pixels that are transparent and black."""
    path = folder / "train/cat/000.png"
    with Image.open(path) as old:
        drawn = Image.new("RGBA", old.size, (0, 0, 0, 0))
    drawn.putpixel((3, 4), (0, 0, 0, 255))
    (drawn.quantize() if mode == "P" else drawn.convert(mode)).save(path)
    images = load(folder).train_and_validation.images
    (dark,) = (image for image in images if image[:, 0, 0].eq(255).all() and image[:, 4, 3].eq(0).all())
    assert dark.eq(0).sum() == 3


def test_what_is_no_image_by_its_name_is_passed_over(folder: Path) -> None:
    (folder / "train/cat/labels.txt").write_text("cat")
    (folder / "train/cat/.hidden.png").write_bytes(b"")
    (folder / "train/.ipynb_checkpoints").mkdir()
    (folder / "train/notes.txt").write_text("")
    assert len(load(folder).train_and_validation) == 20


def empty_class(folder: Path) -> None:
    shutil.rmtree(folder / "train/dog")
    (folder / "train/dog").mkdir()
    (folder / "train/dog/readme.txt").write_text("none")


def truncate(folder: Path) -> None:
    file = folder / "train/dog/004.png"
    file.write_bytes(file.read_bytes()[:100])


def flip_a_byte(folder: Path) -> None:
    file = folder / "test/dog/001.png"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 0xFF
    file.write_bytes(content)


def resize_one(folder: Path) -> None:
    file = folder / "test/cat/002.png"
    open_image(file).resize((9, 8)).save(file)


def dangling_link(folder: Path) -> None:
    (folder / "train/cat/zzz.png").symlink_to(folder / "nowhere.png")


def sixteen_bits(folder: Path) -> None:
    Image.fromarray(np.zeros((8, 8), dtype=np.uint16)).save(folder / "train/cat/001.png")


def only_in(split: str) -> Callable[[Path], object]:
    return lambda folder: shutil.copytree(folder / split / "cat", folder / split / "bird")


def no_classes(folder: Path) -> None:
    for split in ("train", "test"):
        shutil.rmtree(folder / split)
        (folder / split).mkdir()
        (folder / split / "000.png").write_bytes(b"")


def one_class(folder: Path) -> None:
    shutil.rmtree(folder / "train/dog")
    shutil.rmtree(folder / "test/dog")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (empty_class, r"class folder .*/pets/train/dog holds no images; it needs at least one"),
        (truncate, r"image .*/pets/train/dog/004\.png cannot be read \(.+\); replace or remove it"),
        (flip_a_byte, r"image .*/pets/test/dog/001\.png cannot be read \(.+\)"),
        (
            lambda f: (f / "train/cat/005.png").write_bytes(b""),
            r"train/cat/005\.png cannot be read \(damaged, or not an",
        ),
        (lambda f: (f / "train/cat/000.png").write_text("text"), r"train/cat/000\.png cannot be read"),
        (sixteen_bits, r"image .*/train/cat/001\.png has pixels of mode I;16; expected 8 bits per channel"),
        (dangling_link, r"image .*/train/cat/zzz\.png cannot be read: No such file"),
        (resize_one, r"mixed sizes: .*/train/cat/000\.png is 8x8 and .*/test/cat/002\.png is 8x9 \(height x width\)"),
        (only_in("train"), r"pets: class 'bird' is in train/ but missing in test/; both must have the same classes"),
        (only_in("test"), r"pets: class 'bird' is in test/ but missing in train/"),
        (no_classes, r"pets holds no class folders in train/ or test/; it must hold train/<class>/"),
        (one_class, r"pets has only the class 'cat'; at least two are needed"),
        (
            lambda f: shutil.rmtree(f / "test"),
            r"pets has no test/ folder; it must hold train/<class>/ and test/<class>/",
        ),
        (lambda f: shutil.rmtree(f / "train"), r"pets has no train/ folder"),
        (
            lambda f: shutil.rmtree(f),
            r"data set '.*/pets' does not exist; expected auto, cifar10, digits, or the path",
        ),
        (lambda f: f.rename(f.with_name("x")) and f.touch(), r"data set '.*/pets' is a file; expected auto"),
    ],
)
def test_bad_folders_are_refused_in_one_line(folder: Path, damage: Callable[[Path], object], message: str) -> None:
    damage(folder)
    with pytest.raises(DataError, match=message) as caught:
        load(folder)
    assert isinstance(caught.value, EvaluatorError) and "\n" not in str(caught.value)
    # Nothing that could pass for a good data set at the next start is left behind.
    assert not list((folder.parent / "data").rglob("*.safetensors"))


@pytest.mark.parametrize("name", ["", "cifar-10", "~nobody-of-this-name/x", "a" * 5000])
def test_names_that_are_no_data_set(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match="data set '"):
        load_dataset(name, data_dir=tmp_path)


def test_a_folder_that_may_not_be_read_is_one_line(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(_folder.os, "scandir", refuse)
    with pytest.raises(DataError, match=r"data set '.*/pets' cannot be read: .*Permission denied"):
        load(folder)


def test_images_that_do_not_fit_in_memory_are_refused_before_they_fill_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_folder.os, "sysconf", lambda name: 4096 if name == "SC_PAGE_SIZE" else 1)
    with pytest.raises(DataError, match=r"images of 8x8 need .* GiB of memory, and this machine has"):
        load(folder)


def test_a_folder_that_changes_while_it_is_read_is_noticed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def read_slowly(scanned: _folder.ImageFolder) -> LabelledImages:
        images = read_folder(scanned)
        shutil.copy(folder / "train/cat/000.png", folder / "train/cat/new.png")
        return images

    read_folder = _folder.read_folder
    monkeypatch.setattr(_folder, "read_folder", read_slowly)
    with pytest.raises(DataError, match="pets changed while it was read; start again when it no longer changes"):
        load(folder)


@pytest.mark.parametrize("name", ["cifar10", "digits", "auto"])
def test_a_folder_never_takes_the_name_of_a_known_data_set(folder: Path, name: str) -> None:
    renamed = folder.rename(folder.with_name(name))
    assert load(renamed).name == f"folder-{name}"
