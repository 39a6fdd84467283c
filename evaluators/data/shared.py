"""A data set that worker processes share: its images lie in one file without a name, which every process maps into its memory."""

from __future__ import annotations

import mmap
import os
import tempfile
import weakref
from collections.abc import Callable
from dataclasses import fields
from multiprocessing.reduction import DupFd
from typing import Any, BinaryIO

import torch
from torch import Tensor

from evaluators.data.images import Split
from evaluators.data.splits import Dataset

_ALIGNMENT = 64


class SharedDataset:
    """Pickled as an argument of a new process, it arrives there as an equal ``Dataset`` whose images are in memory once for all.

    The file has no name and goes when the last process that has it open ends. Not torch's own shared memory: containers give that 64 MB.
    What a process writes into its images stays its own.

    Parameters
    ----------
    dataset
        What is shared; its images are copied once, into the file.
    """

    def __init__(self, dataset: Dataset) -> None:
        self._descriptor, path = tempfile.mkstemp(prefix="retiarius-")
        weakref.finalize(self, os.close, self._descriptor)
        os.unlink(path)
        self._places: list[tuple[str, tuple[int, ...], str, int]] = []
        self._plain: dict[str, Any] = {}
        with open(self._descriptor, "wb", closefd=False) as file:
            for field in fields(dataset):
                value = getattr(dataset, field.name)
                if not isinstance(value, Split):
                    self._plain[field.name] = value
                    continue
                for part, tensor in (("images", value.images), ("labels", value.labels)):
                    dtype = str(tensor.dtype).removeprefix("torch.")
                    self._places.append((f"{field.name}.{part}", tuple(tensor.shape), dtype, _write(file, tensor)))

    def __reduce__(self) -> tuple[Callable[..., Dataset], tuple[Any, ...]]:
        handle: Any = DupFd(self._descriptor)
        return _open, (handle, self._places, self._plain)


def _write(file: BinaryIO, tensor: Tensor) -> int:
    """Write ``tensor`` and return where its content begins in the file."""
    file.write(bytes(-file.tell() % _ALIGNMENT))
    offset = file.tell()
    file.write(tensor.contiguous().numpy().data)
    return offset


def _open(handle: Any, places: list[tuple[str, tuple[int, ...], str, int]], plain: dict[str, Any]) -> Dataset:
    descriptor = handle.detach()
    try:
        memory = mmap.mmap(descriptor, 0, access=mmap.ACCESS_COPY)
    finally:
        os.close(descriptor)
    tensors = {name: _view(memory, shape, getattr(torch, dtype), offset) for name, shape, dtype, offset in places}
    for name in dict.fromkeys(name.partition(".")[0] for name in tensors):
        plain[name] = Split(tensors[f"{name}.images"], tensors[f"{name}.labels"])
    return Dataset(**plain)


def _view(memory: mmap.mmap, shape: tuple[int, ...], dtype: torch.dtype, offset: int) -> Tensor:
    count = 1
    for size in shape:
        count *= size
    return torch.frombuffer(memory, dtype=dtype, count=count, offset=offset).reshape(shape) if count else torch.empty(shape, dtype=dtype)
