"""One entry for all data sets: CIFAR-10, a folder of images, scikit-learn's digits, or images that were handed over."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from common.errors import DataError
from common.text import show
from evaluators.data.cache import cache_directories, read_cached
from evaluators.data.cifar10 import HOW_TO_GET, download_cifar10, find_archive, find_cifar10, is_cifar10, require_cifar10
from evaluators.data.digits import read_digits
from evaluators.data.folder import folder_source
from evaluators.data.images import LabelledImages, Split
from evaluators.data.own import own_dataset
from evaluators.data.splits import Dataset, check_sizes, cut_dataset, iterate_batches
from evaluators.names import DATASETS, LONGEST_PATH, existing_folder

__all__ = ["Dataset", "Split", "iterate_batches", "load_dataset"]


def load_dataset(
    dataset: Any = "auto",
    *,
    test: Any = None,
    data_dir: Path | str = Path("data"),
    seed: int = 0,
    validation_fraction: float = 0.1,
    limit: int | None = None,
    classes: Sequence[str] | None = None,
    announce: Callable[[str], None] | None = None,
    warn: Callable[[str], None] | None = None,
) -> Dataset:
    """Load a data set and cut its splits.

    Parameters
    ----------
    dataset
        ``cifar10``; ``digits``; ``auto``: CIFAR-10 where it is under ``data_dir`` or can be downloaded, else the digits, and ``warn`` is
        told so; the path of a folder with ``train/<class>/`` and ``test/<class>/``; images of one's own, as ``own_dataset`` takes them;
        or a ``Dataset``, which stays as it is unless ``limit`` makes it smaller.
    test
        The test set of images of one's own.
    data_dir
        Where CIFAR-10 is looked for and downloaded to, and where decoded images are cached.
    seed
        Of the subset that ``limit`` draws and of the validation split; the test set does not depend on it.
    validation_fraction
        Share of the training set that becomes the validation split, in (0, 1).
    limit
        Keep at most so many images of the training set (train and validation together) and of the test set.
    classes
        Names of the classes of images of one's own.
    announce
        Called with one line before something that takes a while.
    warn
        Called with one line where something else happens than was asked for; ``announce`` where it is not given.

    Raises
    ------
    DataError
        The data cannot be had or used.
    """
    check_sizes(validation_fraction, limit)
    cut: dict[str, Any] = {"seed": seed, "validation_fraction": validation_fraction, "limit": limit}
    if not isinstance(dataset, str | Path | Dataset):
        return own_dataset(dataset, test, classes=classes, **cut)
    if test is not None or classes is not None:
        told = show(dataset, LONGEST_PATH) if isinstance(dataset, str | Path) else "this data set"
        raise DataError(f"a test set and names of classes are for your own images; {told} has both already")
    if isinstance(dataset, Dataset):
        return dataset if limit is None else _cut_again(dataset, **cut)
    try:
        say = announce or _ignore
        name, images = _read(str(dataset), Path(data_dir).expanduser(), say, warn or say)
    except OSError as error:
        raise DataError(f"data set {show(str(dataset), LONGEST_PATH)} cannot be read: {error}") from error
    return cut_dataset(name, images, **cut)


def _cut_again(dataset: Dataset, seed: int, validation_fraction: float, limit: int) -> Dataset:
    """Return ``dataset`` with at most ``limit`` images."""
    if limit >= max(len(dataset.train) + len(dataset.validation), len(dataset.test)):
        return dataset
    whole = dataset.train_and_validation
    images = LabelledImages(dataset.classes, whole, dataset.test, dataset.mean, dataset.std, dataset.fingerprint)
    return cut_dataset(dataset.name, images, seed, validation_fraction, limit)


def _ignore(line: str) -> None:
    """Do nothing with a line to which nobody listens."""


def _read(dataset: str, data_dir: Path, say: Callable[[str], None], warn: Callable[[str], None]) -> tuple[str, LabelledImages]:
    """Return the name that records call the data set by, and all of it."""
    if dataset == "digits":
        return "digits", read_digits()
    directories = cache_directories(data_dir)
    if dataset not in DATASETS:
        path = existing_folder(dataset)
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
            warn(f"using scikit-learn's digits INSTEAD: CIFAR-10 is not in {data_dir}, and {error}; to get it, {remedy}")
            return "digits", read_digits()
    images = read_cached(source, directories, say)
    require_cifar10(images, source.path)
    return "cifar10", images


def _name_of(path: Path) -> str:
    """Return the folder's own name, but never that of a data set that it is not."""
    name = path.resolve().name or "images"
    return f"folder-{name}" if name in DATASETS else name
