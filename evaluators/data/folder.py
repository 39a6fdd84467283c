"""A folder of images, train/<class>/* and test/<class>/*, read into memory."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError

from common.errors import DataError
from common.text import show
from evaluators.data.images import LabelledImages, Source, Split, file_identity, label_images
from evaluators.data.pixels import check_memory, rgb_pixels
from evaluators.names import FOLDER_LAYOUT

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".ppm", ".pgm", ".tif", ".tiff")
LAYOUT = f"{FOLDER_LAYOUT} with images (.png, .jpg, .webp, ...)"
_CHUNK = 256


@dataclass(frozen=True)
class ImageFolder:
    """What a folder holds, listed without opening an image.

    Attributes
    ----------
    path
        Of the folder.
    classes
        Names of the classes, sorted.
    train, test
        Path and label of each image.
    key
        Changes when a file is added, removed, renamed or written to.
    """

    path: Path
    classes: tuple[str, ...]
    train: tuple[tuple[str, int], ...]
    test: tuple[tuple[str, int], ...]
    key: str


def folder_source(path: Path) -> Source:
    """Return the folder as a source: scanned now, decoded when it is read."""
    folder = scan_folder(path)

    def read() -> LabelledImages:
        images = read_folder(folder)
        if scan_folder(path).key != folder.key:
            raise DataError(f"data folder {path} changed while it was read; start again when it no longer changes")
        return images

    return Source(path, folder.key, len(folder.train) + len(folder.test), read)


def scan_folder(path: Path) -> ImageFolder:
    """List the images of ``path``; raise ``DataError`` where the layout is not ``train/<class>/`` and ``test/<class>/``."""
    if not path.is_dir():
        what = "is a file" if path.exists() else "does not exist"
        raise DataError(f"data folder {path} {what}; it must be a folder that holds {LAYOUT}")
    for split in ("train", "test"):
        if not (path / split).is_dir():
            raise DataError(f"data folder {path} has no {split}/ folder; it must hold {LAYOUT}")
    classes = {split: subfolders(path / split) for split in ("train", "test")}
    _check_classes(path, classes["train"], classes["test"])
    hasher = hashlib.sha256()
    listed: dict[str, list[tuple[str, int]]] = {"train": [], "test": []}
    for split, entries in listed.items():
        for label, name in enumerate(classes[split]):
            for file, identity in _list_images(path / split / name):
                entries.append((file, label))
                hasher.update(identity)
    return ImageFolder(path, tuple(classes["train"]), tuple(listed["train"]), tuple(listed["test"]), hasher.hexdigest())


def subfolders(path: Path) -> list[str]:
    """Return the names of the folders in ``path``, sorted, without hidden ones."""
    with os.scandir(path) as entries:
        return sorted(entry.name for entry in entries if entry.is_dir() and not entry.name.startswith("."))


def _check_classes(path: Path, train: Sequence[str], test: Sequence[str]) -> None:
    if not train and not test:
        raise DataError(f"data folder {path} holds no class folders in train/ or test/; it must hold {LAYOUT}")
    for here, there, present, absent in ((train, test, "train", "test"), (test, train, "test", "train")):
        for name in here:
            if name not in there:
                raise DataError(
                    f"data folder {path}: class {show(name)} is in {present}/ but missing in {absent}/; both must have the same classes"
                )
    if len(train) < 2:
        raise DataError(f"data folder {path} has only the class {show(train[0])}; at least two are needed")


def _list_images(folder: Path) -> list[tuple[str, bytes]]:
    """Return path and identity of each image in one class folder, by name."""
    files = []
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            if entry.name.startswith(".") or not entry.name.lower().endswith(SUFFIXES) or entry.is_dir():
                continue
            try:
                identity = file_identity(f"{folder.parent.name}/{folder.name}/{entry.name}", entry.stat())
            except OSError as error:
                raise DataError(f"image {entry.path} cannot be read: {error.strerror}") from error
            files.append((entry.path, identity))
    if not files:
        raise DataError(f"class folder {folder} holds no images; it needs at least one (.png, .jpg, .webp, ...)")
    return files


def read_folder(folder: ImageFolder) -> LabelledImages:
    """Decode every image; raise ``DataError`` that names the file where one is damaged or of another size."""
    first, _ = folder.train[0]
    height, width = _decode(first).shape[:2]
    check_memory(f"data folder {folder.path}", len(folder.train) + len(folder.test), height, width)
    splits = []
    for entries in (folder.train, folder.test):
        labels = torch.tensor([label for _, label in entries], dtype=torch.int64)
        splits.append(Split(_decode_all([file for file, _ in entries], first, height, width), labels))
    return label_images(folder.classes, splits[0], splits[1])


def _decode(file: str) -> np.ndarray:
    """Return the pixels of a file, uint8 [H, W, 3]."""
    try:
        with Image.open(file) as image:
            return rgb_pixels(image, f"image {file}")
    except DataError:
        raise
    except Exception as error:  # Pillow's decoders raise many types on damaged files, and all mean the same here
        raise DataError(f"image {file} cannot be read ({_reason(error)}); replace or remove it") from error


def _reason(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        return "damaged, or not an image"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error).replace("\n", " ") or type(error).__name__


def _decode_all(files: list[str], first: str, height: int, width: int) -> torch.Tensor:
    """Return the pixels of all files, uint8 [N, 3, H, W]."""
    images = np.empty((len(files), 3, height, width), dtype=np.uint8)

    def decode_chunk(start: int) -> None:
        for index in range(start, min(start + _CHUNK, len(files))):
            pixels = _decode(files[index])
            if pixels.shape[:2] != (height, width):
                raise DataError(
                    f"images of mixed sizes: {first} is {height}x{width} and {files[index]} is "
                    f"{pixels.shape[0]}x{pixels.shape[1]} (height x width); all must have one size"
                )
            images[index] = pixels.transpose(2, 0, 1)

    pool = ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1))
    try:
        list(pool.map(decode_chunk, range(0, len(files), _CHUNK)))
    finally:
        pool.shutdown(cancel_futures=True)
    return torch.from_numpy(images)
