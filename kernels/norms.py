"""Batch normalisation from sums that others have taken, by the kernels of ``native/norms.c``."""

from __future__ import annotations

import torch
from torch import Tensor

from kernels import calls
from kernels.calls import checked


def batch_norm(
    sums: Tensor, count: int, weight: Tensor, bias: Tensor, running: tuple[Tensor, Tensor], eps: float, momentum: float
) -> Tensor:
    """Return what normalises values, as ``BatchNorm2d`` of all C = edges * C' channels does in training.

    Parameters
    ----------
    sums
        [edges, 2, C'] in float64: of the values and of their squares.
    count
        How many values a channel has, 2 or more.
    weight, bias
        [C].
    running
        Mean and variance [C], which are moved.
    eps, momentum
        As ``BatchNorm2d`` has them.

    Returns
    -------
    normed
        [4, C]: mean, inverse standard deviation, by what a value is multiplied, and what is added to it.
    """
    if count < 2:
        raise ValueError(f"a batch's variance wants more than one value per channel, not {count}")
    normed = weight.new_empty(4, len(weight))
    edges, _, channels = sums.shape
    plain = [checked(number, weight.dtype, edges * channels) for number in (weight, bias, *running)]
    calls.call("batch_norm", weight.dtype, edges, channels, count, float(eps), float(momentum), sums, *plain, normed)
    return normed


def batch_norm_back(
    normed: Tensor, count: int, edges: int, weight: Tensor, of_gradient: Tensor, of_product: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the rates that ``convolve_back`` wants, and the gradient of the weight, of what ``batch_norm`` normalises.

    Parameters
    ----------
    normed, count
        What ``batch_norm`` returned, and of how many values a channel.
    edges
        Into so many groups the channels are divided.
    weight
        [C].
    of_gradient, of_product
        Sums, of C numbers in float64: of the gradient of what was normalised, and of that times what was put in.

    Returns
    -------
    rates
        [edges, 3, C'].
    of_weight
        [C].
    """
    rates, of_weight = weight.new_empty(edges, 3, len(weight) // edges), torch.empty_like(weight)
    plain = (checked(normed, weight.dtype, 4, len(weight)), checked(weight, weight.dtype, len(weight)))
    sums = (checked(of_gradient, torch.float64, len(weight)), checked(of_product, torch.float64, len(weight)))
    calls.call("batch_norm_back", weight.dtype, edges, len(weight) // edges, count, *plain, *sums, rates, of_weight)
    return rates, of_weight
