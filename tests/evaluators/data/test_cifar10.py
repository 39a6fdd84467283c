"""evaluators.data.cifar10: what lies on disk. No test goes further than this machine."""

from __future__ import annotations

import pickle
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from image_folders import all_keys, open_image, write_images
from made_cifar10 import ARCHIVE, BATCHES, as_images, listing, load, unpack

from common.errors import DataError
from evaluators.data import cifar10 as _cifar10
from evaluators.data.dataset import Split
from evaluators.data.images import label_images

SPRITES = Path(__file__).parents[4] / "shared" / "cifar10" / "sprites"
pytestmark = pytest.mark.usefixtures("offline")


@pytest.mark.filterwarnings("ignore:dtype:Warning")  # as_images reads the old pickles for itself
@pytest.mark.parametrize("dataset", ["cifar10", "auto"])
def test_archive_batches_and_images_are_one_data_set(
    small_cifar10: Path, tmp_path: Path, dataset: str, capfd: pytest.CaptureFixture[str]
) -> None:
    lines: list[str] = []
    from_archive = load(small_cifar10, dataset, lines.append)
    shutil.copytree(small_cifar10, tmp_path / "batches")
    from_batches = load(unpack(tmp_path / "batches"), dataset, lines.append)
    shutil.copytree(small_cifar10, tmp_path / "images" / "cifar10")
    as_images(tmp_path / "images" / "cifar10")
    from_images = load(tmp_path / "images", dataset, lines.append)
    by_path = load(tmp_path, str(tmp_path / "images" / "cifar10"), lines.append)
    for other in (from_batches, from_images, by_path):
        assert other.describe() == from_archive.describe()
        assert all_keys(other) == all_keys(from_archive)
    assert from_archive.name == "cifar10" and from_archive.classes == _cifar10.CLASSES
    assert [len(split) for split in (from_archive.train, from_archive.validation, from_archive.test)] == [10, 10, 10]
    assert lines == [] and capfd.readouterr() == ("", "")


def test_pixels_and_labels_are_those_of_the_batches(small_cifar10: Path) -> None:
    dataset = load(unpack(small_cifar10))
    written = []
    for name in [f"data_batch_{i}" for i in range(1, 6)] + ["test_batch"]:
        with (small_cifar10 / BATCHES / name).open("rb") as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            batch = pickle.load(file, encoding="latin1")
        written += [(row.tobytes(), label) for row, label in zip(batch["data"], batch["labels"], strict=True)]
    assert sorted(all_keys(dataset)) == sorted(written)


def test_the_second_start_unpickles_nothing(small_cifar10: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = load(small_cifar10)
    assert listing(small_cifar10)[-1] == ARCHIVE and len(listing(small_cifar10)) == 3  # .cache, its file, the archive

    def refuse(*arguments: object, **options: object) -> None:
        raise AssertionError("unpickled")

    monkeypatch.setattr(pickle, "load", refuse)
    assert all_keys(load(small_cifar10)) == all_keys(first)


def test_batches_half_unpacked_beside_the_whole_archive_do_no_harm(small_cifar10: Path) -> None:
    (small_cifar10 / BATCHES).mkdir()
    (small_cifar10 / BATCHES / "data_batch_1").write_bytes(b"half")
    assert len(load(small_cifar10).test) == 10


def cut_archive(folder: Path) -> None:
    content = (folder / ARCHIVE).read_bytes()
    (folder / ARCHIVE).write_bytes(content[: len(content) // 2])


def damage_batch(folder: Path) -> None:
    file = unpack(folder) / BATCHES / "data_batch_3"
    file.write_bytes(file.read_bytes()[:-1] + b"x")


@pytest.mark.parametrize("dataset", ["cifar10", "auto"])
@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (cut_archive, r"cifar-10-python\.tar\.gz is not the whole CIFAR-10 archive \(.* bytes, and its MD5 is not"),
        (
            lambda f: (f / ARCHIVE).write_bytes(b""),
            r"is not the whole CIFAR-10 archive \(0 bytes, and its MD5 is not .*\); delete it to download it again",
        ),
        (damage_batch, r"data_batch_3 is damaged \(its MD5 is not [0-9a-f]{32}\); delete .*-py to download it again"),
        (
            lambda f: (unpack(f) / BATCHES / "test_batch").unlink(),
            r"batches-py is incomplete \(.*test_batch'?\); delete",
        ),
    ],
)
def test_a_broken_archive_is_one_line_and_never_unpickled(
    small_cifar10: Path,
    dataset: str,
    damage: Callable[[Path], object],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    damage(small_cifar10)
    monkeypatch.setattr(pickle, "load", lambda *arguments, **options: pytest.fail("unpickled"))
    with pytest.raises(DataError, match=message) as caught:
        load(small_cifar10, dataset)
    assert "\n" not in str(caught.value)


def test_an_archive_that_cannot_be_unpacked_for_want_of_space(small_cifar10: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fill_the_disk(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("torchvision.datasets.utils.extract_archive", fill_the_disk)
    with pytest.raises(DataError, match=r"tar\.gz could not be unpacked in .*: .*No space left on device"):
        load(small_cifar10)


@pytest.mark.parametrize("dataset", ["cifar10", "auto"])
def test_other_images_in_cifar10s_classes_do_not_pass_for_it(tmp_path: Path, dataset: str) -> None:
    other = write_images(tmp_path / "cifar10", _cifar10.CLASSES, side=32)
    by_path = load(tmp_path, str(other))  # which also leaves a cache behind
    assert by_path.name == "folder-cifar10"
    with pytest.raises(DataError, match=r"cifar10 has the classes of CIFAR-10, but 100 \+ 30 images instead of 50,000 \+ 10,000"):
        load(tmp_path, dataset)


def test_images_of_other_classes_in_the_data_folder_are_not_taken(tmp_path: Path) -> None:
    write_images(tmp_path / "data")
    assert load(tmp_path / "data", "auto").name == "digits"


# The real one


@pytest.mark.slow
@pytest.mark.skipif(not SPRITES.is_dir(), reason="the real CIFAR-10 is not beside the checkout")
@pytest.mark.slow
def test_the_real_cifar10_is_recognised_and_has_the_published_statistics() -> None:
    parts: dict[str, list[tuple[torch.Tensor, int]]] = {"train": [], "test": []}
    for sprite in sorted(SPRITES.glob("*.webp")):
        split, name, _ = sprite.stem.split("-")
        strip = torch.from_numpy(np.array(open_image(sprite)))
        images = strip.reshape(-1, 32, 32, 3).permute(0, 3, 1, 2).contiguous()
        parts[split].append((images, _cifar10.CLASSES.index(name)))
    train, test = (
        Split(torch.cat([images for images, _ in part]), torch.cat([torch.full((len(i),), label) for i, label in part]))
        for part in parts.values()
    )
    whole = label_images(_cifar10.CLASSES, train, test)
    assert (len(whole.train), len(whole.test)) == (50_000, 10_000)
    assert whole.mean == pytest.approx((0.4914, 0.4822, 0.4465), abs=5e-5)
    assert whole.std == pytest.approx((0.2470, 0.2435, 0.2616), abs=5e-5)
    assert _cifar10.is_cifar10(whole)
    assert not _cifar10.is_cifar10(label_images(_cifar10.CLASSES, train, train))
