"""How tensors are passed to the kernels of ``native/``: as images at their distances, or as plain numbers next to one another.

Images are [N, H, W, edges, C], with channels next to one another, and images, pixels and edges at one distance each: slices of wider
tensors, and ``expand`` over the edges where all read the same. They may be [N, H, W, edges, C / 8, 8], too, with the blocks of eight
channels at one distance from one another. Kernels, statistics and gradients are in float32 for images in float32 and bfloat16, in float64
for those in float64.
"""

from __future__ import annotations

import ctypes
import math
from collections.abc import Sequence
from typing import Any, overload

import torch
from torch import Tensor

from kernels.build import library

LANES = 8  # channels that the kernels work on at once, as in native/vectors.h


class Images(ctypes.Structure):
    """Where images lie: the address of the first number, and by how many numbers images, pixels, edges and blocks are apart.

    Attributes
    ----------
    read
        Bytes in one pass over them, for who measures what a call costs.
    """

    _fields_ = (("data", ctypes.c_void_p), *((name, ctypes.c_long) for name in ("image", "pixel", "edge", "block")))
    read = 0


class Shape(ctypes.Structure):
    """The sizes of a convolution; ``height`` and ``width`` are those of what it reads, ``size`` 0 stands for no depthwise convolution."""

    _fields_ = tuple(
        (name, ctypes.c_long)
        for name in ("edges", "images", "height", "width", "channels_in", "channels_out", "size", "dilation", "stride")
    )


def real_of(stored: torch.dtype) -> torch.dtype:
    """Return the dtype in which images in ``stored`` are computed with, and their kernels, statistics and gradients are kept."""
    return torch.float64 if stored is torch.float64 else torch.float32


@overload
def checked(x: Tensor, stored: torch.dtype, *size: int) -> Tensor: ...
@overload
def checked(x: None, stored: torch.dtype, *size: int) -> None: ...
def checked(x: Tensor | None, stored: torch.dtype, *size: int) -> Tensor | None:
    """Return ``x`` if it is fit to be passed with images in ``stored``: as many numbers as ``size`` says, next to one another.

    Raises
    ------
    ValueError
        It is not.
    """
    if x is not None and (x.dtype is not real_of(stored) or x.numel() != math.prod(size) or not x.is_contiguous() or not x.is_cpu):
        given = f"{x.dtype} on {x.device} of shape {tuple(x.shape)} and strides {x.stride()}"
        wanted = f"{real_of(stored)} of {size}, next to one another on the CPU,"
        raise ValueError(f"numbers in {given} where {wanted} go with images in {stored}")
    return x


def view(x: Tensor | None, dtype: torch.dtype, size: Sequence[int] | None = None) -> Any:
    """Return images ``x`` of ``dtype`` and, where it is given, of ``size`` as they are passed; ``None`` becomes a null address."""
    return ctypes.byref(Images() if x is None else _images(x, dtype, size))


def views(tensors: Sequence[Tensor], dtype: torch.dtype, size: Sequence[int]) -> Any:
    """Return several images, as ``view`` has one, as they are passed."""
    each = [_images(tensor, dtype, size) for tensor in tensors]
    array: Any = (Images * len(tensors))(*each)
    array.read = sum(images.read for images in each)
    return array


def _images(x: Tensor, dtype: torch.dtype, size: Sequence[int] | None) -> Images:
    image, row, pixel, edge, *blocks, channel = x.stride()
    shape = tuple(x.shape)
    if blocks:
        if shape[5] != LANES:
            raise ValueError(f"images of shape {shape} where blocks of {LANES} channels are wanted")
        shape = (*shape[:4], shape[4] * LANES)
    if x.dtype is not dtype or not x.is_cpu:
        raise ValueError(f"images in {x.dtype} on {x.device} where {dtype} on the CPU is wanted")
    if size is not None and shape != tuple(size):
        raise ValueError(f"images of shape {shape} where {tuple(size)} is wanted")
    if channel != 1 or (row != shape[2] * pixel and shape[1] > 1):
        raise ValueError(f"images of shape {shape} and strides {x.stride()} have no one distance between pixels")
    images = Images(x.data_ptr(), image, pixel, edge, *(blocks or (LANES,)))
    images.read = x.nbytes if edge else x.nbytes // shape[3]
    return images


def call(name: str, dtype: torch.dtype, *arguments: Any) -> None:
    """Run the kernel called ``name``, for images in ``dtype``.

    Parameters
    ----------
    name
        Of a function of ``native/``, whose first argument, the number of threads, is filled in.
    dtype
        Of the images.
    arguments
        The others: images from ``view`` and ``views``, numbers, and tensors that are no images, which are passed by their address:
        contiguous ones in ``real_of(dtype)``, float64 or uint8.

    Raises
    ------
    MemoryError
        There is none for the planes of its threads; nothing is written then.
    ValueError
        A tensor cannot be passed.
    """
    passed: list[Any] = [ctypes.c_long(torch.get_num_threads())]
    plain = (real_of(dtype), torch.float64, torch.uint8)
    for value in arguments:
        if isinstance(value, Tensor):
            if value.dtype not in plain or not value.is_contiguous() or not value.is_cpu:
                given = f"a tensor in {value.dtype} on {value.device} of strides {value.stride()}"
                raise ValueError(f"{name}: {given} cannot be passed with images in {dtype}")
            passed.append(ctypes.c_void_p(value.data_ptr()))
        else:
            passed.append(ctypes.c_long(value) if isinstance(value, int) else ctypes.c_double(value) if isinstance(value, float) else value)
    if getattr(library(dtype), name)(*passed) != 0:
        raise MemoryError(f"{name}: no memory for what its threads work on")
