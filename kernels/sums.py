"""Sums of images, normalised as they are read, and sums of their products, by the kernels of ``native/sums.c``.

Images are as ``calls`` has them: [N, H, W, edges, C].
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from kernels import calls
from kernels.calls import checked, real_of, view, views


def mix(sources: Sequence[Tensor], scale: Tensor, shift: Tensor, factor: Tensor | None, y: Tensor, *, adds: bool) -> None:
    """Put into ``y``, or add to it where ``adds``, the sum of ``factor * (scale * source + shift)`` over the sources.

    Parameters
    ----------
    sources, y
        [N, H, W, edges, C] each.
    scale, shift
        [sources, edges, C].
    factor
        [sources, N]; ``None``: 1.
    adds
        Whether ``y`` holds something already.
    """
    images, height, width, edges, channels = y.shape
    count, stored = len(sources), y.dtype
    plain = (
        checked(scale, stored, count, edges, channels),
        checked(shift, stored, count, edges, channels),
        checked(factor, stored, count, images),
    )
    sizes = (images, height * width, edges, channels, count)
    calls.call("mix", stored, *sizes, views(sources, stored, y.shape), *plain, view(y, stored), int(adds))


def products(sources: Sequence[Tensor], gradient: Tensor, factor: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Return sums over batch and pixels of ``factor * gradient * source`` and of ``factor * gradient``: [sources, edges, C] in float64."""
    images, height, width, edges, channels = gradient.shape
    count, dtype = len(sources), sources[0].dtype
    sums = torch.empty(2, count, edges, channels, dtype=torch.float64)
    passed = (views(sources, dtype, gradient.shape), view(gradient, real_of(dtype)), checked(factor, dtype, count, images))
    calls.call("products", dtype, images, height * width, edges, channels, count, *passed, sums)
    return sums[0], sums[1]
