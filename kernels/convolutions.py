"""ReLU, depthwise and pointwise convolutions of several edges of a DARTS cell, by the kernels of ``native/convolutions.c``.

Images are as ``calls`` has them: [N, H, W, edges, C]. What a convolution reads, and its gradient, may be in blocks of eight channels.
"""

from __future__ import annotations

import ctypes
import math
from dataclasses import dataclass

import torch
from torch import Tensor

from kernels import calls
from kernels.calls import Shape, checked, real_of, view


@dataclass
class Convolution:
    """ReLU, depthwise convolution and pointwise convolution, of several edges.

    Attributes
    ----------
    taps
        [edges, C_in, k, k], k = 3 or 5, padded by half the kernel's reach; ``None``: no depthwise convolution, stride 1.
    matrix
        [edges, C_out, C_in].
    dilation, stride
        1 or 2.

    Raises
    ------
    ValueError
        There is no kernel for such a convolution.
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
        """Return ``taps`` and ``matrix`` as they are passed with images in ``stored``."""
        taps, matrix = self.taps, self.matrix.contiguous()
        checked(matrix, stored, *matrix.shape)
        if taps is None:
            return None, matrix
        return checked(taps.contiguous(), stored, len(matrix), matrix.shape[2], *taps.shape[2:]), matrix

    def shape(self, x: Tensor) -> Shape:
        """Return the sizes of the convolution of ``x`` [N, H, W, edges, C_in]."""
        edges, c_out, c_in = self.matrix.shape
        if x.shape[3] != edges or math.prod(x.shape[4:]) != c_in:
            raise ValueError(f"images of shape {tuple(x.shape)} where {edges} edges of {c_in} channels are read")
        return Shape(edges, *x.shape[:3], c_in, c_out, 0 if self.taps is None else self.taps.shape[-1], self.dilation, self.stride)


def convolve(
    x: Tensor, convolution: Convolution, scale: Tensor | None = None, shift: Tensor | None = None, y: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Return ``convolution`` of the ReLU of ``scale * x + shift``, and sums of it.

    Parameters
    ----------
    x
        [N, H, W, edges, C_in].
    convolution
        What is computed.
    scale, shift
        [edges, C_in], both or neither.
    y
        Room for the result; made here where it is not given.

    Returns
    -------
    y
        [N, H', W', edges, C_out].
    sums
        [edges, 2, C_out] in float64, over batch and pixels: of the values and of their squares.
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
    calls.call(
        *("convolve", x.dtype, ctypes.byref(shape), view(x, x.dtype), *_norm(x, scale, shift)),
        *(*convolution.kernels_for(x.dtype), view(y, x.dtype), sums),
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
    """Return the gradients of ``convolve``, where that of y is ``rates[:, 0] * factor * gradient + rates[:, 1] * y + rates[:, 2]``.

    Parameters
    ----------
    x, convolution, scale, shift
        As ``convolve`` had them.
    gradient, y
        [N, H', W', edges, C_out].
    rates
        [edges, 3, C_out].
    factor
        [N]; ``None``: 1.
    state_gradient
        [N, H, W, 1, C_in], or in blocks. Gets the gradient of an x that has one edge or is read by all.
    adds
        Whether it is added there; else it is put there.
    want_x, want_kernels
        What is returned.

    Returns
    -------
    x_gradient
        Of ``scale * x + shift``, [N, H, W, edges, C_in]; ``None`` unless ``want_x``.
    sums
        [edges, 2, C_in] in float64: of that gradient, and of it times x.
    taps_gradient, matrix_gradient
        As ``taps`` and ``matrix``; ``None`` unless ``want_kernels``.
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
    calls.call(
        *("convolve_back", x.dtype, ctypes.byref(shape), view(x, x.dtype)),
        *(*_norm(x, scale, shift), taps, matrix),
        *(view(gradient, real, of_y), checked(factor, x.dtype, images), view(y, x.dtype, of_y), checked(rates, x.dtype, edges, 3, c_out)),
        *(view(x_gradient, real), view(state_gradient, real, (images, height, width, 1, c_in)), int(adds)),
        *(sums, taps_gradient, matrix_gradient),
    )
    return x_gradient, sums, taps_gradient, matrix_gradient


def _edge_by_edge(like: Tensor, *sizes: int) -> Tensor:
    """Return room for [images, height, width, edges, channels], an image edge by edge: who works on one edge reads memory in one go."""
    images, height, width, edges, channels = sizes
    return like.new_empty(images, edges, height, width, channels).permute(0, 2, 3, 1, 4)


def _norm(x: Tensor, scale: Tensor | None, shift: Tensor | None) -> tuple[Tensor | None, Tensor | None]:
    """Return what images are multiplied by, and what is added to them, checked: both or neither."""
    if (scale is None) != (shift is None):
        raise ValueError("a scale goes with a shift")
    return checked(scale, x.dtype, *x.shape[3:]), checked(shift, x.dtype, *x.shape[3:])
