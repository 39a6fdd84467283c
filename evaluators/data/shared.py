"""A data set that is sent to other processes, where its images are read in the very memory in which they arrive."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import fields
from typing import Any

import torch

from evaluators.data.images import Split
from evaluators.data.splits import Dataset


class SharedDataset:
    """Pickled, it becomes an equal ``Dataset``; by protocol 5 its images go beside the pickle, and are then nobody's to write to.

    Parameters
    ----------
    dataset
        What is shared.
    """

    def __init__(self, dataset: Dataset) -> None:
        self._values = {field.name: getattr(dataset, field.name) for field in fields(dataset)}

    @property
    def num_bytes(self) -> int:
        """The memory that the images and their labels take."""
        splits = [value for value in self._values.values() if isinstance(value, Split)]
        return sum(tensor.nbytes for split in splits for tensor in (split.images, split.labels))

    def __reduce__(self) -> tuple[Callable[..., Dataset], tuple[Any, ...]]:
        splits = {name: value for name, value in self._values.items() if isinstance(value, Split)}
        arrays = {name: (split.images.contiguous().numpy(), split.labels.contiguous().numpy()) for name, split in splits.items()}
        return _open, (arrays, {name: value for name, value in self._values.items() if name not in splits})


def _open(arrays: dict[str, tuple[Any, Any]], plain: dict[str, Any]) -> Dataset:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*not writable", category=UserWarning)  # we do not write
        splits = {name: Split(torch.from_numpy(images), torch.from_numpy(labels)) for name, (images, labels) in arrays.items()}
    values: dict[str, Any] = {**splits, **plain}
    return Dataset(**values)
