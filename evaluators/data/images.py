"""Labelled images in memory, in an order and with a fingerprint that depend on their content alone."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class Split:
    """Images with their labels.

    Attributes
    ----------
    images
        uint8 [N, 3, H, W], 0 to 255, contiguous.
    labels
        int64 [N], 0 to classes - 1.
    """

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, indices: Tensor) -> Split:
        """Return the images at ``indices`` (int64 [M]), in that order, in memory of their own."""
        return Split(self.images.index_select(0, indices), self.labels.index_select(0, indices))

    def to(self, device: torch.device | str) -> Split:
        """Return the same in the memory of ``device``; nothing is copied where it lies there already."""
        return Split(self.images.to(device), self.labels.to(device))


@dataclass(frozen=True)
class LabelledImages:
    """A whole data set before the validation split is cut.

    Attributes
    ----------
    classes
        Names of the classes, in the order of their labels.
    train, test
        All images with their labels.
    mean, std
        Per channel (R, G, B) over all training images, in the [0, 1] scale.
    fingerprint
        32 hexadecimal digits of the content.
    """

    classes: tuple[str, ...]
    train: Split
    test: Split
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    fingerprint: str


@dataclass(frozen=True)
class Source:
    """Where a data set lies, before it is read.

    Attributes
    ----------
    path
        Of the file or folder.
    key
        Changes when a file is added, removed, renamed or written to; known without opening any.
    count
        How many images there are.
    read
        Reads them.
    """

    path: Path
    key: str
    count: int
    read: Callable[[], LabelledImages]

    @property
    def cache_name(self) -> str:
        """A file name that belongs to this path alone, so that a new state replaces the cache of the old one."""
        path = self.path.resolve()
        return f"{path.name or 'images'}-{hashlib.sha256(os.fsencode(path)).hexdigest()[:12]}"


def file_identity(name: str, stat: os.stat_result) -> bytes:
    """Return bytes that change when the file ``name`` is written to.

    The change time is among them: tools that copy or edit can set the modification time back, this one they cannot.
    """
    return os.fsencode(f"{name}\0{stat.st_size}\0{stat.st_mtime_ns}\0{stat.st_ctime_ns}\n")


def label_images(classes: Sequence[str], train: Split, test: Split) -> LabelledImages:
    """Put both splits into their canonical order and add statistics and fingerprint.

    The same images give the same order, hence the same validation split for a seed, whether they were read from an
    archive or from files of any name.
    """
    hasher = hashlib.sha256(json.dumps([list(classes), list(train.images.shape[1:])]).encode())
    ordered = []
    for split in (train, test):
        split, digests = in_order_of_content(split)
        hasher.update(split.labels.numpy().tobytes() + digests.tobytes())
        ordered.append(split)
    mean, std = channel_statistics(ordered[0].images)
    return LabelledImages(tuple(classes), ordered[0], ordered[1], mean, std, hasher.hexdigest()[:32])


def in_order_of_content(split: Split) -> tuple[Split, np.ndarray]:
    """Return ``split`` sorted by the digests of its images (which mixes the classes), and these digests, uint64 [N, 2]."""
    rows = split.images.numpy().reshape(len(split), -1)
    joined = b"".join(hashlib.blake2b(row.data, digest_size=16).digest() for row in rows)
    digests = np.frombuffer(joined, dtype=">u8").reshape(-1, 2)
    order = np.lexsort((split.labels.numpy(), digests[:, 1], digests[:, 0]))
    return split.take(torch.from_numpy(order)), digests[order]


def channel_statistics(images: Tensor) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    """Return mean and population standard deviation of each channel of uint8 [N, 3, H, W], in the [0, 1] scale.

    They come from histograms, so they are exact whatever the number of images. A channel that is constant gets the
    deviation 1, so that normalising it stays finite.
    """
    values = torch.arange(256, dtype=torch.float64) / 255
    means, deviations = [], []
    for channel in range(3):
        histogram = torch.bincount(images[:, channel].reshape(-1), minlength=256).double()
        share = histogram / histogram.sum()
        mean = float((share * values).sum())
        means.append(mean)
        deviations.append(float((share * (values - mean) ** 2).sum().sqrt()) or 1.0)
    return (means[0], means[1], means[2]), (deviations[0], deviations[1], deviations[2])


def stratified_cut(labels: Tensor, size: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Draw ``size`` indices with the classes in their proportions; return them and the others, each in rising order.

    Shares are rounded by largest remainder: their sum is ``size``, and none is a whole image away from its exact value. Where that leaves
    some of many classes of one size without any image, which ones is drawn.
    """
    counts = torch.bincount(labels)
    exact = counts.double() * size / len(labels)
    shares = exact.floor().long()
    missing = size - int(shares.sum())
    if missing:
        remainders = exact - shares
        least = remainders.sort(descending=True).values[missing - 1]
        tied = (remainders == least).nonzero().flatten()
        needed = missing - int((remainders > least).sum())
        if needed < len(tied) and not bool(shares[tied].all()):  # else the first classes would have all the images
            tied = tied[torch.randperm(len(tied), generator=generator)]
        shares[remainders > least] += 1
        shares[tied[:needed]] += 1
    chosen = torch.zeros(len(labels), dtype=torch.bool)
    for label, share in enumerate(shares.tolist()):
        members = (labels == label).nonzero().flatten()
        chosen[members[torch.randperm(len(members), generator=generator)[:share]]] = True
    return chosen.nonzero().flatten(), (~chosen).nonzero().flatten()
