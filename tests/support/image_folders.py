"""Folders of images for tests, and what a data set made of them holds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from evaluators.data.dataset import Dataset, Split, load_dataset


def write_images(folder: Path, classes: tuple[str, ...] = ("cat", "dog"), train: int = 10, test: int = 3, side: int = 8) -> Path:
    """A folder of images, every one different from all others."""
    rng = np.random.default_rng(0)
    for split, count in (("train", train), ("test", test)):
        for name in classes:
            (folder / split / name).mkdir(parents=True)
            for index in range(count):
                pixels = rng.integers(0, 256, (side, side, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / split / name / f"{index:03d}.png")
    return folder


def load(folder: Path, **options: object) -> Dataset:
    return load_dataset(str(folder), data_dir=folder.parent / "data", **options)  # type: ignore[arg-type]


def keys(split: Split) -> list[tuple[bytes, int]]:
    """What each image is, to compare sets of them."""
    return [(image.numpy().tobytes(), int(label)) for image, label in zip(split.images, split.labels, strict=True)]


def all_keys(dataset: Dataset) -> list[tuple[bytes, int]]:
    return keys(dataset.train) + keys(dataset.validation) + keys(dataset.test)


def open_image(file: Path, mode: str = "RGB") -> Image.Image:
    with Image.open(file) as image:
        return image.convert(mode)


def keys_on_disk(folder: Path) -> list[tuple[bytes, int]]:
    found = []
    for split in ("train", "test"):
        for label, name in enumerate(sorted(path.name for path in (folder / split).iterdir())):
            for file in (folder / split / name).iterdir():
                found.append((np.asarray(open_image(file)).transpose(2, 0, 1).tobytes(), label))
    return found
