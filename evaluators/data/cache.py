"""Decoded images kept as one safetensors file, so that the second start reads no archive and no image file."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from common.files import replace_atomically
from common.user_cache import user_cache
from evaluators.data.images import LabelledImages, Source, Split

_FORMAT = "retiarius-images-2"
_SLOW = 10_000  # images; so many take more than a second to decode


def cache_directories(data_dir: Path) -> tuple[Path, ...]:
    """Return where caches may lie, best first: with the data, or in the user's own cache where that cannot be written."""
    try:
        return data_dir / ".cache", user_cache()
    except RuntimeError:  # a user without a home
        return (data_dir / ".cache",)


def read_cached(source: Source, directories: Sequence[Path], say: Callable[[str], None]) -> LabelledImages:
    """Return the images of ``source``, from a cache file that fits its key, else read and, where possible, cached.

    A cache that is damaged or belongs to another state of the source is replaced; one that cannot be written only
    costs the time.

    Parameters
    ----------
    source
        Where the images lie.
    directories
        Where caches may lie, best first.
    say
        Called with one line before a reading that takes a while, and where nothing could be cached.
    """
    file_name = f"{source.cache_name}.safetensors"
    for directory in directories:
        images = _load(directory / file_name, source.key)
        if images is not None:
            return images
    if source.count > _SLOW:
        say(f"reading the {source.count:,} images in {source.path} (this time only)")
    images = source.read()
    reasons = []
    for directory in directories:
        try:
            _store(directory / file_name, source.key, images)
            return images
        except (OSError, SafetensorError) as error:
            reasons.append(f"{directory}: {error}")
    say(f"the decoded images cannot be cached and are read again at each start ({'; '.join(reasons)})")
    return images


def _load(path: Path, key: str) -> LabelledImages | None:
    """Return what the cache file holds; ``None`` where it is absent, damaged or of another key."""
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            if header.get("format") != _FORMAT or header.get("key") != key:
                return None
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
        if header["checksum"] != _checksum(tensors):
            return None
        mean, std = json.loads(header["mean"]), json.loads(header["std"])
        return LabelledImages(
            tuple(json.loads(header["classes"])),
            Split(tensors["train_images"], tensors["train_labels"]),
            Split(tensors["test_images"], tensors["test_labels"]),
            (mean[0], mean[1], mean[2]),
            (std[0], std[1], std[2]),
            header["fingerprint"],
        )
    except (OSError, SafetensorError, KeyError, ValueError):
        return None


def _store(path: Path, key: str, images: LabelledImages) -> None:
    tensors = {
        "train_images": images.train.images,
        "train_labels": images.train.labels,
        "test_images": images.test.images,
        "test_labels": images.test.labels,
    }
    header = {
        "format": _FORMAT,
        "key": key,
        "checksum": _checksum(tensors),
        "classes": json.dumps(images.classes),
        "mean": json.dumps(images.mean),
        "std": json.dumps(images.std),
        "fingerprint": images.fingerprint,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_atomically(path, lambda unfinished: save_file(tensors, unfinished, metadata=header))


def _checksum(tensors: dict[str, Tensor]) -> str:
    """Return the CRC-32 of all tensors in the order of their names: 0.04 s for CIFAR-10, and it finds a damaged disk block."""
    value = 0
    for name in sorted(tensors):
        value = zlib.crc32(tensors[name].numpy().data, value)
    return f"{value:08x}"
