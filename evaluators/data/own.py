"""Images of one's own, handed over in memory: tensors, arrays, or a data set as torchvision has them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from common.errors import DataError, describe_error
from common.text import show
from evaluators.data.images import Split, in_order_of_content, label_images, stratified_cut
from evaluators.data.pixels import as_tensor, check_memory, many_images, one_image
from evaluators.data.splits import Dataset, check_sizes, cut_dataset
from evaluators.names import DATASETS

TEST_SHARE = 0.2
LARGEST_LABEL = 1_000_000
_TEST_SEED = 0
_EXPECTED = "(images, labels), or a data set of (image, label) that has a length"


def own_dataset(
    train: Any,
    test: Any = None,
    *,
    name: str = "own",
    classes: Sequence[str] | None = None,
    seed: int = 0,
    validation_fraction: float = 0.1,
    limit: int | None = None,
) -> Dataset:
    """Return images of one's own as a data set; the same images are the same data set, in whatever order and form they come.

    Parameters
    ----------
    train
        ``(images, labels)``, or a data set of ``(image, label)`` that has a length, such as torchvision's. All images have one size.
        Images are tensors or arrays [N, 3, H, W] or [N, H, W, 3], of uint8, or of floating point from 0 to 1; one channel is repeated.
        Those of a data set may be pillow's, too. They are not normalised, nor augmented: training does both. Labels are whole numbers
        from 0.
    test
        The test set, in any of these forms. Where there is none, a fifth of ``train`` is cut off for it, class by class: always the same
        images, whatever ``seed``.
    name
        What records call it.
    classes
        Names of the classes, in the order of their labels; by default those that the data set has (``classes``), else 0, 1, ...
    seed, validation_fraction, limit
        As ``load_dataset`` takes them.

    Raises
    ------
    DataError
        One line: there are no images, or of more than one size; their values are out of range; there are more or fewer labels than
        images; a label is out of range or no whole number; there is only one class, or one without an image to train on.
    """
    check_sizes(validation_fraction, limit)
    whole = _read(train, "training")
    rest = None if test is None else _read(test, "test")
    names = _class_names(classes, train, test, whole.labels)
    _check_labels(whole.labels, names, "training")
    missing = sorted({*range(len(names))} - {*whole.labels.tolist()})
    are_numbers = classes is None and _own_names(train) is None and _own_names(test) is None
    if missing == [0] and are_numbers and (rest is None or 0 not in rest.labels):
        raise DataError("labels begin at 1; expected whole numbers from 0: subtract 1")
    if missing:
        raise DataError(
            f"class {missing[0]} ({show(names[missing[0]])}) has no training image; expected some of each label up to {len(names) - 1}"
        )
    if rest is None:
        whole = in_order_of_content(whole)[0]
        size = max(1, round(TEST_SHARE * len(whole)))
        chosen, others = stratified_cut(whole.labels, size, torch.Generator().manual_seed(_TEST_SEED))
        whole, rest = whole.take(others), whole.take(chosen)
    else:
        _check_labels(rest.labels, names, "test")
        sizes = [f"{split.images.shape[2]}x{split.images.shape[3]}" for split in (whole, rest)]
        if sizes[0] != sizes[1]:
            raise DataError(f"images of mixed sizes: those to train are {sizes[0]} and those to test {sizes[1]} (height x width)")
    known_as = f"own-{name}" if name in DATASETS else name or "own"
    return cut_dataset(known_as, label_images(names, whole, rest), seed, validation_fraction, limit)


def _read(source: Any, part: str) -> Split:
    """Return the images and labels of ``source``; ``part`` of the data set names them in messages."""
    is_pair = isinstance(source, tuple | list) and len(source) == 2
    if is_pair and hasattr(source[0], "ndim"):
        images, labels = many_images(source[0], f"{part} images"), _read_labels(source[1], part)
        _check_counts(len(images), len(labels), part)
        return Split(images, labels)
    if is_pair and isinstance(source, tuple) and isinstance(source[0], list):  # pictures one by one
        labels = _read_labels(source[1], part)
        _check_counts(len(source[0]), len(labels), part)
        return _read_items(list(zip(source[0], labels.tolist(), strict=True)), part)
    if isinstance(source, dict) or not hasattr(source, "__getitem__") or not hasattr(source, "__len__"):
        raise DataError(f"{part} set {show(source)}: expected {_EXPECTED}")
    return _read_items(source, part)


def _read_labels(labels: Any, part: str) -> Tensor:
    """Return labels as int64 [N]."""
    tensor = as_tensor(labels, f"{part} labels")
    if tensor.dim() == 2 and tensor.shape[1] == 1:
        tensor = tensor[:, 0]
    if tensor.dim() != 1:
        raise DataError(f"{part} labels of shape {tuple(tensor.shape)}; expected [N], whole numbers from 0")
    for index, label in enumerate(tensor.tolist() if tensor.is_floating_point() or tensor.is_complex() else []):
        _whole_number(label, index, part)
    return tensor.long()


def _check_counts(images: int, labels: int, part: str) -> None:
    if images != labels:
        raise DataError(f"{images} {part} images and {labels} labels: each image needs one")
    if not images:
        raise DataError(f"the {part} set is empty")


def _read_items(source: Any, part: str) -> Split:
    """Return what a data set gives item by item."""
    count = len(source)
    _check_counts(count, count, part)
    images: Tensor | None = None
    labels = torch.empty(count, dtype=torch.int64)
    for index, (image, label) in enumerate(_items(source, count, part)):
        pixels = one_image(image, f"{part} image {index}")
        if images is None:
            check_memory(f"the {part} set", count, *pixels.shape[1:])
            images = torch.empty(count, *pixels.shape, dtype=torch.uint8)
        if pixels.shape != images.shape[1:]:
            sizes = [f"{shape[1]}x{shape[2]}" for shape in (images.shape[1:], pixels.shape)]
            told = f"{part} image 0 is {sizes[0]} and image {index} is {sizes[1]} (height x width)"
            raise DataError(f"images of mixed sizes: {told}; all must have one size")
        images[index], labels[index] = pixels, _whole_number(label, index, part)
    assert images is not None
    return Split(images, labels)


def _items(source: Any, count: int, part: str) -> Iterator[tuple[Any, Any]]:
    for index in range(count):
        try:
            item = source[index]
        except Exception as error:  # whatever reading and transforming a picture may raise
            raise DataError(f"{part} image {index} cannot be read: {describe_error(error)[:200]}") from error
        if not isinstance(item, tuple | list) or len(item) != 2:
            raise DataError(f"item {index} of the {part} set is {show(item)}; expected (image, label)")
        yield item[0], item[1]


def _whole_number(label: Any, index: int, part: str) -> int:
    value = label.item() if getattr(label, "shape", None) in ((), (1,)) else label
    if not isinstance(value, int | float) or (isinstance(value, float) and not value.is_integer()):
        raise DataError(f"label {show(label)} of {part} image {index} is not a whole number")
    if abs(value) > LARGEST_LABEL:
        raise DataError(f"label {show(label)} of {part} image {index} is out of range; expected 0 to {LARGEST_LABEL:,}")
    return int(value)


def _class_names(classes: Sequence[str] | None, train: Any, test: Any, labels: Tensor) -> tuple[str, ...]:
    told = classes if classes is not None else _own_names(train)
    if told is None:
        most = max(1, int(labels.max()) + 1)
        if most > len(labels):
            raise DataError(f"labels up to {most - 1} make {most:,} classes; {len(labels):,} training images are fewer than one for each")
        told = [str(number) for number in range(most)]
    names = tuple(str(name) for name in told)
    others = _own_names(test)
    if classes is None and others is not None and tuple(map(str, others)) != names:
        raise DataError(f"the training set has classes {show(names)}, and the test set {show(tuple(others))}; they must be the same")
    if len(set(names)) < len(names):
        raise DataError(f"names of classes must differ: {show(names)}")
    if len(names) < 2:
        has = f"only the class {show(names[0])}" if names else "no class"
        raise DataError(f"the training set has {has}; at least two are needed")
    if len(labels) < len(names):
        raise DataError(f"{len(labels)} training images for {len(names)} classes: each class needs at least one")
    return names


def _own_names(source: Any) -> Sequence[Any] | None:
    """Return the names of the classes that a data set, or the one that it is a part of, has."""
    while source is not None and not isinstance(source, tuple | list):
        names = getattr(source, "classes", None)
        if isinstance(names, list | tuple) and names:
            return names
        source = getattr(source, "dataset", None)
    return None


def _check_labels(labels: Tensor, names: Sequence[str], part: str) -> None:
    wrong = ((labels < 0) | (labels >= len(names))).nonzero()
    if len(wrong):
        index = int(wrong[0])
        legal = f"there are {len(names)} classes, so 0 to {len(names) - 1}"
        raise DataError(f"label {int(labels[index])} of {part} image {index} is out of range; {legal}")
