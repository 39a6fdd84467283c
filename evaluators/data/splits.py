"""A data set in memory, its splits train / validation / test, and batches of one.

Search sees ``train`` and ``validation``, both cut from the training set. ``test`` is for the final score.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from common.errors import DataError
from common.numbers import is_real
from common.text import show
from evaluators.data.images import LabelledImages, Split, stratified_cut

_TEST_SUBSET_SEED = 0


@dataclass(frozen=True)
class Dataset:
    """A data set, split.

    Attributes
    ----------
    name
        What records call it.
    classes
        Names of the classes, in the order of their labels.
    train, validation, test
        Images with their labels.
    mean, std
        Per channel over all training images (train and validation, before ``limit``), in the [0, 1] scale.
    fingerprint
        32 hexadecimal digits of the content of the whole data set, the same for the same images wherever they were read from.
    """

    name: str
    classes: tuple[str, ...]
    train: Split
    validation: Split
    test: Split
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    fingerprint: str

    def __repr__(self) -> str:
        counts = f"{len(self.train)} + {len(self.validation)} + {len(self.test)} images of {tuple(self.train.images.shape[1:])}"
        return f"Dataset({self.name}: {counts}, {len(self.classes)} classes)"

    @property
    def num_classes(self) -> int:
        """The number of classes."""
        return len(self.classes)

    @property
    def train_and_validation(self) -> Split:
        """The training set before the validation split was cut, for retraining (a copy)."""
        images = torch.cat([self.train.images, self.validation.images])
        return Split(images, torch.cat([self.train.labels, self.validation.labels]))

    def describe(self) -> dict[str, Any]:
        """Return plain data that names the data set in a record."""
        return {
            "name": self.name,
            "classes": self.num_classes,
            "train": len(self.train),
            "validation": len(self.validation),
            "test": len(self.test),
            "image_shape": list(self.train.images.shape[1:]),
            "fingerprint": self.fingerprint,
        }


def check_sizes(validation_fraction: float, limit: int | None) -> None:
    """Raise ``DataError`` unless ``validation_fraction`` is in (0, 1) and ``limit`` is 1 or more, or none."""
    if not is_real(validation_fraction) or not 0 < validation_fraction < 1:
        raise DataError(f"validation fraction {show(validation_fraction)} must be more than 0 and less than 1")
    if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int) or limit < 1):
        raise DataError(f"limit {show(limit)} must be a whole number of at least 1")


def cut_dataset(name: str, images: LabelledImages, seed: int, validation_fraction: float, limit: int | None) -> Dataset:
    """Return ``images`` as a data set with a validation split, cut from the training set class by class.

    Parameters
    ----------
    name
        What records call it.
    seed
        Of the subset that ``limit`` draws and of the validation split; the test set does not depend on it.
    validation_fraction
        Share of the training set that becomes the validation split, in (0, 1).
    limit
        Keep at most so many images of the training set (train and validation together) and of the test set.

    Raises
    ------
    DataError
        Some class would have no image left to train on.
    """
    generator = torch.Generator().manual_seed(seed)
    train, test = images.train, images.test
    if limit is not None and limit < len(train):
        train = train.take(stratified_cut(train.labels, limit, generator)[0])
    if limit is not None and limit < len(test):
        test = test.take(stratified_cut(test.labels, limit, torch.Generator().manual_seed(_TEST_SUBSET_SEED))[0])
    size = max(1, round(validation_fraction * len(train)))
    validation_indices, train_indices = stratified_cut(train.labels, size, generator)
    classes_left = len(torch.unique(train.labels[train_indices]))
    if classes_left < len(images.classes):
        raise DataError(
            f"data set {show(name)[1:-1]}: {len(train)} training images and a validation fraction of {validation_fraction} leave "
            f"{classes_left} of {len(images.classes)} classes to train on; use more images or a smaller fraction"
        )
    splits = train.take(train_indices), train.take(validation_indices), test
    return Dataset(name, images.classes, *splits, images.mean, images.std, images.fingerprint)


def iterate_batches(
    split: Split, batch_size: int, *, generator: torch.Generator | None, drop_last: bool
) -> Iterator[tuple[Tensor, Tensor]]:
    """Return batches of (images uint8 [B, 3, H, W], labels int64 [B]), shuffled by ``generator``, or in order without one.

    Raises
    ------
    DataError
        ``batch_size`` is not positive, or ``drop_last`` would leave no batch at all.
    """
    if batch_size < 1:
        raise DataError(f"batch size {batch_size} must be at least 1")
    if drop_last and len(split) < batch_size:
        raise DataError(f"batch size {batch_size} is larger than the {len(split)} images; use a smaller one")
    return _batches(split, batch_size, generator, drop_last)


def _batches(split: Split, batch_size: int, generator: torch.Generator | None, drop_last: bool) -> Iterator[tuple[Tensor, Tensor]]:
    order = None
    if generator is not None:
        order = torch.randperm(len(split), generator=generator, device=generator.device).to(split.images.device)
    end = len(split) - len(split) % batch_size if drop_last else len(split)
    for start in range(0, end, batch_size):
        stop = min(start + batch_size, end)
        if order is None:
            yield split.images[start:stop], split.labels[start:stop]
        else:
            # index_select copies whole images; indexing with [] goes pixel by pixel and takes 15 times as long.
            chosen = order[start:stop]
            yield split.images.index_select(0, chosen), split.labels.index_select(0, chosen)
