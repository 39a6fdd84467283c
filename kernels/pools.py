"""Both pools of a DARTS cell in one pass, by the kernels of ``native/pools.c``.

Images are as ``calls`` has them: [N, H, W, edges, C].
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from kernels import calls
from kernels.calls import checked, real_of, view


@dataclass
class Pools:
    """What ``pool`` puts out; ``None`` stands for what was not asked for.

    Attributes
    ----------
    largest, mean
        [N, H', W', 1, C].
    index
        The place of the largest value in its window, of the same shape, in uint8.
    sums
        [2, 2, C] in float64: of both and of their squares. ``pool_back`` does not read them.
    """

    largest: Tensor | None
    mean: Tensor | None
    index: Tensor | None
    sums: Tensor | None = None


def pool(x: Tensor, stride: int, *, largest: bool = True, mean: bool = True) -> Pools:
    """Return the largest value and the mean under a window of 3x3, as ``max_pool2d`` and ``avg_pool2d(count_include_pad=False)`` do."""
    images, height, width, _, channels = x.shape
    size = (images, -(-height // stride), -(-width // stride), 1, channels)
    pools = Pools(
        x.new_empty(size) if largest else None,
        x.new_empty(size) if mean else None,
        torch.empty(size, dtype=torch.uint8) if largest else None,
        torch.empty(2, 2, channels, dtype=torch.float64),
    )
    sizes = (images, height, width, channels, stride)
    passed = (view(x, x.dtype), view(pools.largest, x.dtype), view(pools.mean, x.dtype))
    calls.call("pool", x.dtype, *sizes, *passed, pools.index, pools.sums)
    return pools


def pool_back(
    pools: Pools, stride: int, gradient: Tensor, rates: Tensor, of_pools: Tensor, state_gradient: Tensor, dtype: torch.dtype, *,
    factor: Tensor | None = None, identity: bool = False,
) -> None:  # fmt: skip
    """Add to ``state_gradient`` what comes back through the pools and, where ``identity``, the state itself.

    The gradient of each is the sum over edges of ``rates * factor * gradient``, to which a pool adds
    ``of_pools[:, 0] * pool + of_pools[:, 1]``.

    Parameters
    ----------
    pools, stride
        What ``pool`` returned, and its stride.
    gradient
        [N, H', W', edges, C].
    rates
        [3, edges, C]: for the largest value, the mean, the state itself.
    of_pools
        [2, 2, C].
    state_gradient
        [N, H, W, 1, C].
    dtype
        Of the state.
    factor
        [N]; ``None``: 1.
    identity
        Whether the state itself was read, too.
    """
    images, height, width, _, channels = state_gradient.shape
    edges, size = gradient.shape[3], (images, -(-height // stride), -(-width // stride))
    real, of_pool = real_of(dtype), (*size, 1, channels)
    plain = (checked(factor, dtype, images), checked(rates, dtype, 3, edges, channels), checked(of_pools, dtype, 2, 2, channels))
    calls.call(
        *("pool_back", dtype, images, height, width, channels, stride, edges, view(gradient, real, (*size, edges, channels)), *plain),
        *(view(pools.largest, dtype, of_pool), view(pools.mean, dtype, of_pool), pools.index, int(identity), view(state_gradient, real)),
    )
