"""Data sets in memory: CIFAR-10, a folder of images, or scikit-learn's digits; split train / validation / test.

Search sees `train` and `validation`, both cut from the training set. `test` is for the final score.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from common.errors import DataError
from evaluators.data.cache import cache_directories, read_cached
from evaluators.data.cifar10 import HOW_TO_GET, download_cifar10, find_archive, find_cifar10, is_cifar10, require_cifar10
from evaluators.data.digits import read_digits
from evaluators.data.folder import folder_source
from evaluators.data.images import LabelledImages, Split, stratified_cut

__all__ = ["DATASETS", "DataError", "Dataset", "Split", "iterate_batches", "load_dataset", "require_dataset"]

DATASETS = ("auto", "cifar10", "digits")
_TEST_SUBSET_SEED = 0


@dataclass(frozen=True)
class Dataset:
    """A data set, split.

    mean, std: per channel over all training images (train and validation, before `limit`), in the [0, 1] scale.
    fingerprint: 32 hexadecimal digits of the content of the whole data set, the same for the same images wherever
        they were read from.
    """

    name: str
    classes: tuple[str, ...]
    train: Split
    validation: Split
    test: Split
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    fingerprint: str

    @property
    def num_classes(self) -> int:
        return len(self.classes)

    @property
    def train_and_validation(self) -> Split:
        """The training set before the validation split was cut, for retraining (a copy)."""
        images = torch.cat([self.train.images, self.validation.images])
        return Split(images, torch.cat([self.train.labels, self.validation.labels]))

    def describe(self) -> dict[str, Any]:
        """Plain data that names the data set in a record."""
        return {
            "name": self.name,
            "classes": self.num_classes,
            "train": len(self.train),
            "validation": len(self.validation),
            "test": len(self.test),
            "image_shape": list(self.train.images.shape[1:]),
            "fingerprint": self.fingerprint,
        }


def load_dataset(
    dataset: str = "auto",
    *,
    data_dir: Path,
    seed: int = 0,
    validation_fraction: float = 0.1,
    limit: int | None = None,
    announce: Callable[[str], None] | None = None,
    warn: Callable[[str], None] | None = None,
) -> Dataset:
    """Load a data set and cut its splits.

    dataset: `cifar10`, `digits`, the path of a folder with train/<class>/ and test/<class>/, or `auto`: CIFAR-10 where
        it is under `data_dir` or can be downloaded, else the digits, and `warn` is told so.
    data_dir: where CIFAR-10 is looked for and downloaded to, and where decoded images are cached.
    seed: of the subset that `limit` draws and of the validation split; the test set does not depend on it.
    validation_fraction: share of the training set that becomes the validation split, in (0, 1).
    limit: keep at most so many images of the training set (train and validation together) and of the test set.
    announce: called with one line before something that takes a while.
    warn: called with one line where something else happens than was asked for; `announce` where it is not given.

    Raises DataError where the data cannot be had or used.
    """
    _check_arguments(validation_fraction, limit)
    try:
        name, images = _read(str(dataset), _expanded(data_dir), announce or _ignore, warn or announce or _ignore)
    except OSError as error:
        raise DataError(f"data set {str(dataset)!r} cannot be read: {error}") from error
    return _cut(name, images, seed, validation_fraction, limit)


def require_dataset(dataset: str) -> None:
    """Raise DataError, at once, where `dataset` is neither a name that is known nor a folder."""
    if dataset not in DATASETS:
        _existing_folder(dataset)


def _expanded(path: Path | str) -> Path:
    return Path(os.path.expanduser(path))


def _check_arguments(validation_fraction: float, limit: int | None) -> None:
    if not 0 < validation_fraction < 1:
        raise DataError(f"validation fraction {validation_fraction} must be more than 0 and less than 1")
    if limit is not None and limit < 1:
        raise DataError(f"limit of {limit} images must be at least 1")


def _ignore(line: str) -> None:
    """What is done with a line where nobody listens."""


def _read(dataset: str, data_dir: Path, say: Callable[[str], None], warn: Callable[[str], None]) -> tuple[str, LabelledImages]:
    """The whole data set and the name that records call it by."""
    if dataset == "digits":
        return "digits", read_digits()
    directories = cache_directories(data_dir)
    if dataset not in DATASETS:
        path = _existing_folder(dataset)
        images = read_cached(find_archive(path) or folder_source(path), directories, say)
        return "cifar10" if is_cifar10(images) else _name_of(path), images
    source = find_cifar10(data_dir)
    if source is None:
        try:
            source = download_cifar10(data_dir, say)
        except DataError as error:
            remedy = HOW_TO_GET.format(data_dir)
            if dataset == "cifar10":
                raise DataError(f"CIFAR-10 is not in {data_dir} and {error}; {remedy}") from error
            warn(f"CIFAR-10 is not in {data_dir} and {error}: using scikit-learn's digits INSTEAD; to get it, {remedy}")
            return "digits", read_digits()
    images = read_cached(source, directories, say)
    require_cifar10(images, source.path)
    return "cifar10", images


def _existing_folder(dataset: str) -> Path:
    path = _expanded(dataset)
    if not dataset or not path.is_dir():
        what = "is a file" if dataset and path.exists() else "does not exist"
        raise DataError(
            f"data set {dataset!r} {what}; it must be {', '.join(DATASETS)}, or the path of a folder with images in "
            "train/<class>/ and test/<class>/"
        )
    return path


def _name_of(path: Path) -> str:
    """The folder's own name, but never that of a data set that it is not."""
    name = path.resolve().name or "images"
    return f"folder-{name}" if name in DATASETS else name


def _cut(name: str, images: LabelledImages, seed: int, validation_fraction: float, limit: int | None) -> Dataset:
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
            f"data set {name}: {len(train)} training images with a validation fraction of {validation_fraction} leave "
            f"{classes_left} of {len(images.classes)} classes to train on; use more images or a smaller fraction"
        )
    return Dataset(
        name,
        images.classes,
        train.take(train_indices),
        train.take(validation_indices),
        test,
        images.mean,
        images.std,
        images.fingerprint,
    )


def iterate_batches(
    split: Split, batch_size: int, *, generator: torch.Generator | None, drop_last: bool
) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches of (images uint8 [B, 3, H, W], labels int64 [B]), shuffled by `generator`, or in order without one.

    Raises DataError where `batch_size` is not positive, or `drop_last` would leave no batch at all.
    """
    if batch_size < 1:
        raise DataError(f"batch size {batch_size} must be at least 1")
    if drop_last and len(split) < batch_size:
        raise DataError(f"batch size {batch_size} is more than the {len(split)} images there are; use a smaller one")
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
