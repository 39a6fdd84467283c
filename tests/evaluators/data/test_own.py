"""Images of one's own, handed over in memory: every form that they may have, and what is wrong with one, in a line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from image_folders import all_keys, keys, load, write_images
from PIL import Image
from torch.utils.data import DataLoader, IterableDataset, Subset, TensorDataset
from torchvision.datasets import ImageFolder

from common.errors import DataError, EvaluatorError
from evaluators.data.dataset import Dataset, load_dataset
from evaluators.data.own import own_dataset


def make_images(count: int = 40, height: int = 6, width: int = 5, seed: int = 0) -> torch.Tensor:
    return torch.randint(0, 256, (count, 3, height, width), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)


IMAGES, LABELS = make_images(), torch.arange(40) % 4
TEST = make_images(8, seed=1), torch.arange(8) % 4


class Pictures:
    """A data set as torchvision has them."""

    classes = ("a", "b", "c", "d")

    def __init__(self, items: Any) -> None:
        self.items = items

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> Any:
        if isinstance(self.items[index], Exception):
            raise self.items[index]
        return self.items[index]


def as_pictures(images: torch.Tensor = IMAGES, labels: Any = LABELS) -> list[Any]:
    return [(Image.fromarray(image.permute(1, 2, 0).numpy()), int(label)) for image, label in zip(images, labels, strict=True)]


# Forms


@pytest.mark.parametrize(
    "train",
    [
        (IMAGES, LABELS),
        [IMAGES, LABELS],
        (IMAGES.float() / 255, LABELS.float()),
        (IMAGES.double() / 255, LABELS.int()),
        (IMAGES.long(), LABELS[:, None]),
        (IMAGES.numpy().transpose(0, 2, 3, 1), LABELS.numpy()),
        (IMAGES.numpy()[::-1].astype(np.uint16), LABELS.numpy()[::-1].astype(np.uint64)),
        (np.asarray(IMAGES.numpy().tolist()), LABELS.tolist()),
        (list(IMAGES), LABELS.tolist()),
        ([image for image, _ in as_pictures()], list(LABELS)),
        as_pictures(),
        Pictures(as_pictures()),
        Pictures([(image, np.int64(label)) for image, label in zip(IMAGES, LABELS, strict=True)]),
        Pictures([(image.permute(1, 2, 0).numpy() / 255, label[None]) for image, label in zip(IMAGES, LABELS, strict=True)]),
        TensorDataset(IMAGES, LABELS),
        Subset(Pictures(as_pictures()), list(reversed(range(40)))),  # type: ignore[arg-type]
    ],
)
def test_the_same_images_are_the_same_data_set_in_any_form(train: Any) -> None:
    plain = own_dataset((IMAGES, LABELS), TEST, classes=Pictures.classes)
    dataset = own_dataset(train, TEST, classes=Pictures.classes)
    assert all_keys(dataset) == all_keys(plain)
    assert (dataset.fingerprint, dataset.mean, dataset.std) == (plain.fingerprint, plain.mean, plain.std)
    assert sorted(keys(dataset.train_and_validation)) == sorted(
        (image.numpy().tobytes(), int(label)) for image, label in zip(IMAGES, LABELS, strict=True)
    )
    assert dataset.train.images.dtype == torch.uint8 and dataset.train.images.is_contiguous() and dataset.train.labels.dtype == torch.int64


def test_it_is_what_the_same_images_in_a_folder_are(tmp_path: Path) -> None:
    folder = load(write_images(tmp_path / "pets"), seed=3, limit=12)
    own = load_dataset(ImageFolder(tmp_path / "pets/train"), test=ImageFolder(tmp_path / "pets/test"), seed=3, limit=12)
    assert all_keys(own) == all_keys(folder)
    assert {**own.describe(), "name": "pets"} == folder.describe() and own.classes == ("cat", "dog")
    assert own.name == "own" and own_dataset((IMAGES, LABELS), name="mine").name == "mine"
    assert own_dataset((IMAGES, LABELS), name="cifar10").name == "own-cifar10", "never the name of a data set that it is not"


@pytest.mark.parametrize("images", [IMAGES[:, :1], IMAGES[:, 0], IMAGES[:, :1].permute(0, 2, 3, 1)])
def test_one_channel_is_repeated(images: torch.Tensor) -> None:
    dataset = own_dataset((images, LABELS))
    assert dataset.train.images.shape[1:] == (3, 6, 5)
    assert sorted(keys(dataset.train) + keys(dataset.validation) + keys(dataset.test)) == sorted(
        (image.repeat(3, 1, 1).numpy().tobytes(), int(label)) for image, label in zip(IMAGES[:, :1], LABELS, strict=True)
    )


def test_without_a_test_set_a_fifth_is_cut_off_whatever_the_seed() -> None:
    first, other = (own_dataset((IMAGES, LABELS), seed=seed) for seed in (0, 1))
    assert [len(split) for split in (first.train, first.validation, first.test)] == [29, 3, 8]
    assert torch.bincount(first.test.labels).tolist() == [2, 2, 2, 2]
    assert keys(first.test) == keys(other.test) and keys(first.validation) != keys(other.validation)
    assert len(set(all_keys(first))) == 40
    shuffled = torch.randperm(40, generator=torch.Generator().manual_seed(5))
    assert all_keys(own_dataset((IMAGES[shuffled], LABELS[shuffled]))) == all_keys(first)


def test_names_of_classes_are_told_or_the_data_sets_own_or_numbers() -> None:
    pictures = Pictures(as_pictures())
    assert own_dataset(pictures).classes == own_dataset(Subset(pictures, range(39))).classes == ("a", "b", "c", "d")  # type: ignore[arg-type]
    assert own_dataset(pictures, classes=["w", "x", "y", "z"]).classes == ("w", "x", "y", "z")
    assert own_dataset((IMAGES, LABELS > 1)).classes == ("0", "1")


# One entry


def test_one_entry_takes_them_all() -> None:
    dataset = load_dataset((IMAGES, LABELS), test=TEST, seed=2, validation_fraction=0.5, limit=30)
    assert all_keys(dataset) == all_keys(own_dataset((IMAGES, LABELS), TEST, seed=2, validation_fraction=0.5, limit=30))
    assert [len(split) for split in (dataset.train, dataset.validation, dataset.test)] == [15, 15, 8]
    assert load_dataset(dataset) is dataset and load_dataset(dataset, limit=1000) is dataset
    smaller = load_dataset(dataset, limit=20)
    assert [len(split) for split in (smaller.train, smaller.validation, smaller.test)] == [18, 2, 8]
    assert set(all_keys(smaller)) < set(all_keys(dataset)) and smaller.fingerprint == dataset.fingerprint
    assert load_dataset((IMAGES, LABELS), classes=["w", "x", "y", "z"]).classes == ("w", "x", "y", "z")


@pytest.mark.parametrize(("dataset", "told"), [("digits", "'digits'"), (own_dataset((IMAGES, LABELS)), "this data set")])
def test_a_test_set_goes_with_images_of_ones_own(dataset: Any, told: str) -> None:
    for options in ({"test": TEST}, {"classes": ["x", "y"]}):
        with pytest.raises(DataError, match=f"are for your own images; {told} has both already"):
            load_dataset(dataset, **options)  # type: ignore[arg-type]


# What is wrong


class Endless(IterableDataset[Any]):
    def __iter__(self) -> Any:
        return iter([])


def with_item(index: int, item: Any) -> Pictures:
    items: list[Any] = as_pictures()
    items[index] = item
    return Pictures(items)


def with_label(index: int, label: Any) -> Any:
    labels: Any = LABELS.double() if isinstance(label, float) else LABELS.clone()
    labels[index] = label
    return IMAGES, labels


PICTURE = as_pictures()[0][0]
NORMALISED = (IMAGES.float() / 255 - 0.5) / 0.2


@pytest.mark.parametrize(
    ("train", "message"),
    [
        (
            with_item(7, (PICTURE.resize((9, 8)), 3)),
            r"mixed sizes: training image 0 is 6x5 and image 7 is 8x9 \(height x width\); all must",
        ),
        (with_item(7, (torch.zeros(3, 6, 6), 3)), "training image 0 is 6x5 and image 7 is 6x6"),
        (with_item(2, (NORMALISED[2], 2)), r"training image 2: floating point from -2.* to 2.*; expected 0 to 1, not normalised, or uint8"),
        (with_item(2, (PICTURE.convert("I;16"), 2)), "training image 2 has pixels of mode I;16; expected 8 bits per channel"),
        (with_item(2, OSError("cut off\nhere")), "training image 2 cannot be read: OSError: cut off$"),
        (with_item(2, PICTURE), r"item 2 of the training set is <PIL.*; expected \(image, label\)"),
        (with_item(2, (None, 2)), "training image 2: None is not a tensor or an array of numbers"),
        (with_item(2, (PICTURE, "cat")), "label 'cat' of training image 2 is not a whole number"),
        (with_item(2, (PICTURE, 1.5)), "label 1.5 of training image 2 is not a whole number"),
        (with_item(2, (PICTURE, float("nan"))), "label nan of training image 2 is not a whole number"),
        (with_item(2, (PICTURE, 10**30)), "label 10*... of training image 2 is out of range"),
        (with_item(2, (PICTURE, 4)), "label 4 of training image 2 is out of range; there are 4 classes, so 0 to 3"),
        (with_label(5, -1), "label -1 of training image 5 is out of range; there are 4 classes, so 0 to 3"),
        (with_label(5, 0.5), "label 0.5 of training image 5 is not a whole number"),
        (with_label(5, float("inf")), "label inf of training image 5 is not a whole number"),
        (with_label(5, 70), "labels up to 70 make 71 classes; 40"),
        (with_label(5, 6), r"class 4 \('4'\) has no training image; expected some of each label up to 6"),
        ((IMAGES, LABELS + 1), "labels begin at 1; expected whole numbers from 0: subtract 1"),
        ((IMAGES, LABELS[:39]), "40 training images and 39 labels: each image needs one"),
        ((list(IMAGES), LABELS[:39]), "40 training images and 39 labels"),
        ((IMAGES, torch.nn.functional.one_hot(LABELS)), r"training labels of shape \(40, 4\); expected \[N\], whole numbers from 0"),
        ((IMAGES, ["cat"] * 40), r"training labels: \['cat', .* is not a tensor or an array of numbers"),
        ((IMAGES[:0], LABELS[:0]), "the training set is empty"),
        (Pictures([]), "the training set is empty"),
        ((IMAGES, LABELS * 0), "the training set has only the class '0'; at least two are needed"),
        (Pictures(as_pictures()[:3]), "3 training images for 4 classes: each class needs at least one"),
        ((NORMALISED, LABELS), "training images: floating point from -2.* to 2.*; expected 0 to 1"),
        ((IMAGES.float() * float("nan"), LABELS), "floating point from nan to nan; expected 0 to 1"),
        ((IMAGES.long() + 1, LABELS), "whole numbers from .* to 256; expected 0 to 255"),
        ((IMAGES > 3, LABELS), "values of type torch.bool; expected uint8"),
        ((torch.zeros(40, 4, 6, 5), LABELS), r"training images: shape \(40, 4, 6, 5\); expected \[N, 3, H, W\] or \[N, H, W, 3\], or one"),
        ((torch.zeros(40, 90), LABELS), r"training images: shape \(40, 90\); expected"),
        ((torch.zeros(40, 3, 0, 5), LABELS), r"shape \(40, 3, 0, 5\)"),
        ({"images": IMAGES}, r"training set {'images': tensor.*: expected \(images, labels\), or a data set of \(image, label\)"),
        (Endless(), "training set <.*Endless.*: expected"),
        (DataLoader(TensorDataset(IMAGES, LABELS)), "training set <.*DataLoader.*: expected"),
        (5, "training set 5: expected"),
        (None, "training set None: expected"),
    ],
)
def test_what_is_wrong_with_images_is_said_in_one_line(train: Any, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        load_dataset(train)
    assert isinstance(caught.value, EvaluatorError) and "\n" not in str(caught.value) and len(str(caught.value)) < 400


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"test": (make_images(8, 5, 5), LABELS[:8])}, r"mixed sizes: those to train are 6x5 and those to test 5x5 \(height x width\)"),
        ({"test": (IMAGES[:2], torch.tensor([0, 9]))}, "label 9 of test image 1 is out of range; there are 4 classes, so 0 to 3"),
        ({"test": (IMAGES[:0], LABELS[:0])}, "the test set is empty"),
        ({"test": "digits"}, r"item 0 of the test set is 'd'; expected \(image, label\)"),
        ({"classes": ["a", "b", "a", "c"]}, r"names of classes must differ: \('a', 'b', 'a', 'c'\)"),
        ({"classes": ["a"]}, "^the training set has only the class 'a'; at least two are needed$"),
        ({"classes": []}, "^the training set has no class; at least two are needed$"),
        ({"classes": ["x" * 1_000_000] * 2}, "names of classes must differ"),
        ({"limit": 0}, "limit 0 must be a whole number of at least 1"),
        ({"validation_fraction": 1.5}, "validation fraction 1.5 must be more than 0 and less than 1"),
        (
            {"limit": 4},
            "data set own: 4 training images and a validation fraction of 0.1 leave 3 of 4 classes to train on; "
            "use more images or a smaller fraction",
        ),
    ],
)
def test_other_parts_that_do_not_fit(options: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        load_dataset((IMAGES, LABELS), **options)
    assert len(str(caught.value)) < 400


def test_classes_of_both_sets_are_the_same() -> None:
    other = Pictures(as_pictures(*TEST))
    assert isinstance(own_dataset(Pictures(as_pictures()), other), Dataset)
    other.classes = ("a", "b", "d", "c")
    with pytest.raises(DataError, match=r"the training set has classes \('a', 'b', 'c', 'd'\), and the test set \('a', 'b', 'd', "):
        own_dataset(Pictures(as_pictures()), other)


def test_images_that_do_not_fit_in_memory_are_refused_before_they_fill_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sysconf", lambda name: 1)
    with pytest.raises(DataError, match=r"the training set: images of 6x5 need .* GiB of memory, and this machine has"):
        own_dataset(as_pictures())
