"""The kernels of ``native/`` that DARTS cells consist of, as functions of tensors: see there for what each computes.

Images are [N, H, W, edges, C], with channels next to one another, and images, pixels and edges at one distance each: slices of wider
tensors, and ``expand`` over the edges where all read the same. What a convolution reads, and its gradient, may be
[N, H, W, edges, C / 8, 8], too, with the blocks of eight channels at one distance from one another. Kernels, statistics and gradients are
in float32 for images in float32 and bfloat16, in float64 for those in float64.
"""

from __future__ import annotations

import ctypes
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, overload

import torch
from torch import Tensor

from kernels.build import library

LANES = 8  # channels that the kernels work on at once, as in native/vectors.h


class _Images(ctypes.Structure):
    _fields_ = (("data", ctypes.c_void_p), *((name, ctypes.c_long) for name in ("image", "pixel", "edge", "block")))
    read = 0  # bytes, in one pass over them; for who measures what a call costs


class _Shape(ctypes.Structure):
    _fields_ = tuple(
        (name, ctypes.c_long)
        for name in ("edges", "images", "height", "width", "channels_in", "channels_out", "size", "dilation", "stride")
    )


def real_of(stored: torch.dtype) -> torch.dtype:
    """In what tensors of dtype ``stored`` are computed with, and their kernels, statistics and gradients are kept."""
    return torch.float64 if stored is torch.float64 else torch.float32


@dataclass
class Convolution:
    """ReLU, depthwise convolution and pointwise convolution, of several edges.

    ``taps`` [edges, C_in, k, k], k = 3 or 5, padded by half the kernel's reach; ``None``: no depthwise convolution, stride 1.
    ``matrix`` [edges, C_out, C_in]; ``dilation`` and ``stride`` 1 or 2.
    """

    taps: Tensor | None
    matrix: Tensor
    dilation: int = 1
    stride: int = 1

    def __post_init__(self) -> None:
        taps = self.taps
        if taps is not None and (taps.shape[2:] not in ((3, 3), (5, 5)) or not {self.dilation, self.stride} <= {1, 2}):
            raise ValueError(f"no kernel for taps {tuple(taps.shape)}, dilation {self.dilation}, stride {self.stride}")
        if taps is None and (self.dilation, self.stride) != (1, 1):
            raise ValueError("a pointwise convolution has neither dilation nor stride here")

    def kernels_for(self, stored: torch.dtype) -> tuple[Tensor | None, Tensor]:
        """``taps`` and ``matrix`` as they are passed with images in ``stored``."""
        taps, matrix = self.taps, self.matrix.contiguous()
        checked(matrix, stored, *matrix.shape)
        if taps is None:
            return None, matrix
        return checked(taps.contiguous(), stored, len(matrix), matrix.shape[2], *taps.shape[2:]), matrix

    def shape(self, x: Tensor) -> _Shape:
        edges, c_out, c_in = self.matrix.shape
        if x.shape[3] != edges or math.prod(x.shape[4:]) != c_in:
            raise ValueError(f"images of shape {tuple(x.shape)} where {edges} edges of {c_in} channels are read")
        return _Shape(edges, *x.shape[:3], c_in, c_out, 0 if self.taps is None else self.taps.shape[-1], self.dilation, self.stride)


def convolve(
    x: Tensor, convolution: Convolution, scale: Tensor | None = None, shift: Tensor | None = None, y: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """``convolution`` of the ReLU of ``scale * x + shift`` [edges, C_in]: ``y`` [N, H', W', edges, C_out], made here or given, and sums.

    The sums [edges, 2, C_out], in float64, are over batch and pixels: of the values and of their squares.
    """
    images, height, width = x.shape[:3]
    edges, channels, _ = convolution.matrix.shape
    stride = convolution.stride
    size = (images, -(-height // stride), -(-width // stride), edges, channels)
    if y is None:
        y = _edge_by_edge(x, *size)
    elif y.shape != size:
        raise ValueError(f"a result of {size} has no room in {tuple(y.shape)}")
    sums = torch.empty(edges, 2, channels, dtype=torch.float64)
    shape = convolution.shape(x)
    call(
        *("convolve", x.dtype, ctypes.byref(shape), _view(x, x.dtype), *_norm(x, scale, shift)),
        *(*convolution.kernels_for(x.dtype), _view(y, x.dtype), sums),
    )
    return y, sums


def convolve_back(
    x: Tensor,
    convolution: Convolution,
    gradient: Tensor,
    y: Tensor,
    rates: Tensor,
    *,
    scale: Tensor | None = None,
    shift: Tensor | None = None,
    factor: Tensor | None = None,
    state_gradient: Tensor | None = None,
    adds: bool = True,
    want_x: bool = False,
    want_kernels: bool = True,
) -> tuple[Tensor | None, Tensor, Tensor | None, Tensor | None]:
    """The gradients of ``convolve``, where that of y is ``rates[:, 0] * factor * gradient + rates[:, 1] * y + rates[:, 2]``.

    ``rates`` [edges, 3, C_out], ``factor`` [N] or ``None``. Returned are, where ``want_x``, the gradient of ``scale * x + shift``, with the
    sums [edges, 2, C_in] of it and of it times x, and, where ``want_kernels``, those of ``taps`` and ``matrix``. The gradient of an x that
    has one edge or is read by all is added to ``state_gradient`` [N, H, W, 1, C_in], or in blocks, where that is given; not ``adds``: put
    there.
    """
    taps, matrix = convolution.kernels_for(x.dtype)
    real = real_of(x.dtype)
    edges, c_out, c_in = matrix.shape
    images, height, width = x.shape[:3]
    of_y = (images, -(-height // convolution.stride), -(-width // convolution.stride), edges, c_out)
    x_gradient = _edge_by_edge(matrix, images, height, width, edges, c_in) if want_x else None
    sums = torch.zeros(edges, 2, c_in, dtype=torch.float64)
    taps_gradient = torch.empty_like(taps) if want_kernels and taps is not None else None
    matrix_gradient = torch.empty_like(matrix) if want_kernels else None
    shape = convolution.shape(x)
    call(
        *("convolve_back", x.dtype, ctypes.byref(shape), _view(x, x.dtype)),
        *(*_norm(x, scale, shift), taps, matrix),
        *(_view(gradient, real, of_y), checked(factor, x.dtype, images), _view(y, x.dtype, of_y), checked(rates, x.dtype, edges, 3, c_out)),
        *(_view(x_gradient, real), _view(state_gradient, real, (images, height, width, 1, c_in)), int(adds)),
        *(sums, taps_gradient, matrix_gradient),
    )
    return x_gradient, sums, taps_gradient, matrix_gradient


def batch_norm(
    sums: Tensor, count: int, weight: Tensor, bias: Tensor, running: tuple[Tensor, Tensor], eps: float, momentum: float
) -> Tensor:
    """What normalises ``count`` values of these ``sums`` [edges, 2, C'], as ``BatchNorm2d`` of all C = edges * C' channels in training.

    Returned are [4, C]: mean, inverse standard deviation, and by what a value is multiplied and what is added to it. Moves ``running``,
    mean and variance.
    """
    if count < 2:
        raise ValueError(f"a batch's variance wants more than one value per channel, not {count}")
    normed = weight.new_empty(4, len(weight))
    edges, _, channels = sums.shape
    plain = [checked(number, weight.dtype, edges * channels) for number in (weight, bias, *running)]
    call("batch_norm", weight.dtype, edges, channels, count, float(eps), float(momentum), sums, *plain, normed)
    return normed


def batch_norm_back(
    normed: Tensor, count: int, edges: int, weight: Tensor, of_gradient: Tensor, of_product: Tensor
) -> tuple[Tensor, Tensor]:
    """The ``rates`` [edges, 3, C'] that ``convolve_back`` wants, and the gradient of ``weight`` [C].

    ``of_gradient`` and ``of_product`` are the sums, of C numbers in float64, of the gradient of what was normalised and of that times what
    was put in.
    """
    rates, of_weight = weight.new_empty(edges, 3, len(weight) // edges), torch.empty_like(weight)
    plain = (checked(normed, weight.dtype, 4, len(weight)), checked(weight, weight.dtype, len(weight)))
    sums = (checked(of_gradient, torch.float64, len(weight)), checked(of_product, torch.float64, len(weight)))
    call("batch_norm_back", weight.dtype, edges, len(weight) // edges, count, *plain, *sums, rates, of_weight)
    return rates, of_weight


def mix(sources: Sequence[Tensor], scale: Tensor, shift: Tensor, factor: Tensor | None, y: Tensor, *, adds: bool) -> None:
    """Put into ``y``, or add to it, the sum of ``factor * (scale * source + shift)`` over the sources.

    ``scale`` and ``shift`` are [sources, edges, C], ``factor`` is [sources, N] or ``None``.
    """
    images, height, width, edges, channels = y.shape
    count, stored = len(sources), y.dtype
    plain = (
        checked(scale, stored, count, edges, channels),
        checked(shift, stored, count, edges, channels),
        checked(factor, stored, count, images),
    )
    sizes = (images, height * width, edges, channels, count)
    call("mix", stored, *sizes, _views(sources, stored, y.shape), *plain, _view(y, stored), int(adds))


def products(sources: Sequence[Tensor], gradient: Tensor, factor: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Sums over batch and pixels of ``factor * gradient * source`` and of ``factor * gradient``, [sources, edges, C] in float64."""
    images, height, width, edges, channels = gradient.shape
    count, dtype = len(sources), sources[0].dtype
    sums = torch.empty(2, count, edges, channels, dtype=torch.float64)
    views = (_views(sources, dtype, gradient.shape), _view(gradient, real_of(dtype)), checked(factor, dtype, count, images))
    call("products", dtype, images, height * width, edges, channels, count, *views, sums)
    return sums[0], sums[1]


@dataclass
class Pools:
    """What ``pool`` puts out: [N, H', W', 1, C] each, the place of the largest value, and the sums of both and of their squares.

    ``pool_back`` reads all but the sums.
    """

    largest: Tensor | None
    mean: Tensor | None
    index: Tensor | None
    sums: Tensor | None = None


def pool(x: Tensor, stride: int, *, largest: bool = True, mean: bool = True) -> Pools:
    """The largest value and the mean under a window of three by three, as ``max_pool2d`` and ``avg_pool2d(count_include_pad=False)``."""
    images, height, width, _, channels = x.shape
    size = (images, -(-height // stride), -(-width // stride), 1, channels)
    pools = Pools(
        x.new_empty(size) if largest else None,
        x.new_empty(size) if mean else None,
        torch.empty(size, dtype=torch.uint8) if largest else None,
        torch.empty(2, 2, channels, dtype=torch.float64),
    )
    sizes = (images, height, width, channels, stride)
    views = (_view(x, x.dtype), _view(pools.largest, x.dtype), _view(pools.mean, x.dtype))
    call("pool", x.dtype, *sizes, *views, pools.index, pools.sums)
    return pools


def pool_back(
    pools: Pools, stride: int, gradient: Tensor, rates: Tensor, of_pools: Tensor, state_gradient: Tensor, dtype: torch.dtype, *,
    factor: Tensor | None = None, identity: bool = False,
) -> None:  # fmt: skip
    """Add to ``state_gradient`` what comes back through the pools and, where ``identity``, the state itself.

    The gradient of each is the sum over edges of ``rates`` [3, edges, C] times ``factor`` [N] times ``gradient``, for the pools plus
    ``of_pools[:, 0] * pool + of_pools[:, 1]`` [2, 2, C].
    """
    images, height, width, _, channels = state_gradient.shape
    edges, size = gradient.shape[3], (images, -(-height // stride), -(-width // stride))
    real, of_pool = real_of(dtype), (*size, 1, channels)
    plain = (checked(factor, dtype, images), checked(rates, dtype, 3, edges, channels), checked(of_pools, dtype, 2, 2, channels))
    call(
        *("pool_back", dtype, images, height, width, channels, stride, edges, _view(gradient, real, (*size, edges, channels)), *plain),
        *(_view(pools.largest, dtype, of_pool), _view(pools.mean, dtype, of_pool), pools.index, int(identity), _view(state_gradient, real)),
    )


def _edge_by_edge(like: Tensor, *sizes: int) -> Tensor:
    """Room for [images, height, width, edges, channels], an image edge by edge: who works on one edge reads memory in one go."""
    images, height, width, edges, channels = sizes
    return like.new_empty(images, edges, height, width, channels).permute(0, 2, 3, 1, 4)


def _norm(x: Tensor, scale: Tensor | None, shift: Tensor | None) -> tuple[Tensor | None, Tensor | None]:
    """What images are multiplied by, and what is added to them: both or neither."""
    if (scale is None) != (shift is None):
        raise ValueError("a scale goes with a shift")
    return checked(scale, x.dtype, *x.shape[3:]), checked(shift, x.dtype, *x.shape[3:])


@overload
def checked(x: Tensor, stored: torch.dtype, *size: int) -> Tensor: ...
@overload
def checked(x: None, stored: torch.dtype, *size: int) -> None: ...
def checked(x: Tensor | None, stored: torch.dtype, *size: int) -> Tensor | None:
    """``x`` if it holds as many numbers as ``size`` says, as ones that go with images in ``stored`` are kept."""
    if x is not None and (x.dtype is not real_of(stored) or x.numel() != math.prod(size) or not x.is_contiguous() or not x.is_cpu):
        given = f"{x.dtype} on {x.device} of shape {tuple(x.shape)} and strides {x.stride()}"
        wanted = f"{real_of(stored)} of {size}, next to one another on the CPU,"
        raise ValueError(f"numbers in {given} where {wanted} go with images in {stored}")
    return x


def _view(x: Tensor | None, dtype: torch.dtype, size: Sequence[int] | None = None) -> Any:
    return ctypes.byref(_Images() if x is None else _images(x, dtype, size))


def _views(tensors: Sequence[Tensor], dtype: torch.dtype, size: Sequence[int]) -> Any:
    views = [_images(tensor, dtype, size) for tensor in tensors]
    array: Any = (_Images * len(tensors))(*views)
    array.read = sum(view.read for view in views)
    return array


def _images(x: Tensor, dtype: torch.dtype, size: Sequence[int] | None) -> _Images:
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
    images = _Images(x.data_ptr(), image, pixel, edge, *(blocks or (LANES,)))
    images.read = x.nbytes if edge else x.nbytes // shape[3]
    return images


def call(name: str, dtype: torch.dtype, *arguments: Any) -> None:
    """Run a kernel. Tensors that are no images are passed by their address: contiguous ones in ``real_of(dtype)``, float64 or uint8.

    Raises ``MemoryError`` where there is none for the planes of its threads; nothing is written then.
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
