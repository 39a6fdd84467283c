"""The gradient of second-order DARTS in its finite-difference form (Liu et al. 2019, arXiv 1806.09055, equations 6 to 8)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import torch
from torch import Tensor, nn

RADIUS = 0.01  # the paper's epsilon is this over the norm of the gradient
Losses = TypeVar("Losses")


def architecture_gradient(
    train_loss: Callable[[], Tensor],
    validate: Callable[[], tuple[Tensor, Losses]],
    weights: Sequence[nn.Parameter],
    alphas: Sequence[nn.Parameter],
    xi: float,
) -> tuple[list[Tensor], Losses]:
    """Return the gradient of L_val(w - xi * grad_w L_train(w, alpha), alpha) for the alphas, and what ``validate`` measured.

    The weights are put back, bit for bit; what the passes move besides, such as running statistics, is not.

    Parameters
    ----------
    train_loss, validate
        Compute on one batch each with the parameters as they are; the latter's loss comes first.
    weights, alphas
        The parameters w and alpha.
    xi
        Learning rate of the weights.

    Returns
    -------
    gradients
        One tensor for each of ``alphas``, of its shape.
    measured
        What ``validate`` gave beside its loss.
    """
    before = [weight.detach().clone() for weight in weights]
    step = _gradients(train_loss(), weights)
    _move(weights, step, -xi)
    loss, measured = validate()
    gradients = _gradients(loss, [*alphas, *weights])
    direct, direction = gradients[: len(alphas)], gradients[len(alphas) :]
    norm = torch.stack([part.norm() for part in direction]).norm()
    radius = RADIUS / norm.clamp(min=torch.finfo(norm.dtype).tiny).item()
    sides = []
    for sign in (1, -1):
        _restore(weights, before)
        _move(weights, direction, sign * radius)
        sides.append(_gradients(train_loss(), alphas))
    _restore(weights, before)
    curved = [(above - below) / (2 * radius) for above, below in zip(*sides, strict=True)]
    return [first - xi * second for first, second in zip(direct, curved, strict=True)], measured


def _gradients(loss: Tensor, parameters: Sequence[nn.Parameter]) -> list[Tensor]:
    found = torch.autograd.grad(loss, parameters, allow_unused=True)
    return [torch.zeros_like(p) if gradient is None else gradient for p, gradient in zip(parameters, found, strict=True)]


@torch.no_grad()
def _move(weights: Sequence[nn.Parameter], direction: Sequence[Tensor], factor: float) -> None:
    for weight, part in zip(weights, direction, strict=True):
        weight.add_(part, alpha=factor)


@torch.no_grad()
def _restore(weights: Sequence[nn.Parameter], values: Sequence[Tensor]) -> None:
    for weight, value in zip(weights, values, strict=True):
        weight.copy_(value)
