"""CIFAR-10 in the forms that it has on disk, made of the archive that the tests have."""

from __future__ import annotations

import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

from PIL import Image
from torchvision.datasets import CIFAR10

from evaluators.data.cifar10 import CLASSES
from evaluators.data.dataset import Dataset, load_dataset

ARCHIVE, BATCHES = "cifar-10-python.tar.gz", "cifar-10-batches-py"


def load(data_dir: Path, dataset: str = "cifar10", announce: Callable[[str], None] | None = None) -> Dataset:
    return load_dataset(dataset, data_dir=data_dir, validation_fraction=0.5, announce=announce)


def unpack(data_dir: Path) -> Path:
    with tarfile.open(data_dir / ARCHIVE) as tar:
        tar.extractall(data_dir, filter="data")
    (data_dir / ARCHIVE).unlink()
    return data_dir


def as_images(data_dir: Path) -> Path:
    """What `data_dir` holds, as train/<class>/ and test/<class>/ images."""
    unpack(data_dir)
    for split in ("train", "test"):
        part = CIFAR10(data_dir, train=split == "train")
        for index, (pixels, label) in enumerate(zip(part.data, part.targets, strict=True)):
            file = data_dir / split / CLASSES[label] / f"{index}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(file)
    shutil.rmtree(data_dir / BATCHES)
    return data_dir


def listing(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*")) if folder.exists() else []
