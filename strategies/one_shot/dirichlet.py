"""DrNAS (Chen et al. 2021, arXiv 2006.10355): the weights of an edge are drawn from a Dirichlet distribution that is learnt.

This is its section on architecture search as distribution learning. Of the operations' outputs o_1(x), ..., o_n(x) an edge puts out
theta_1 o_1(x) + ... + theta_n o_n(x), where theta is drawn from Dirichlet(beta_1, ..., beta_n) and beta = elu(alpha) + 1. What is learnt is
beta, by the expected validation loss.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from strategies.one_shot.sampler import Sampler


def concentration_of(alpha: Tensor) -> Tensor:
    """Return the concentration elu(alpha) + 1, which is above 0, of the same shape."""
    return functional.elu(alpha) + 1


class Dirichlet(Sampler):
    """Draws the weights from the Dirichlet distribution of concentration elu(alpha) + 1, with its pathwise gradient."""

    def noise(self, label: str, alpha: Tensor) -> Tensor:
        return torch._sample_dirichlet(concentration_of(alpha), generator=self.generator)

    def weigh(self, alpha: Tensor, noise: Tensor) -> Tensor:
        weights: Tensor = _Pathwise.apply(concentration_of(alpha), noise)
        return weights

    def probabilities(self, alpha: Tensor) -> Tensor:
        concentration = concentration_of(alpha)
        return concentration / concentration.sum(-1, keepdim=True)


class _Pathwise(torch.autograd.Function):
    """A draw that is known already, with the paper's pathwise derivative for its concentration (Jankowiak and Obermeyer 2018).

    That is d theta_i / d beta_j = -(dF / d beta_j)(theta_j) / f(theta_j) * (delta_ij - theta_i) / (1 - theta_j), where F and f are the
    distribution function and the density of Beta(beta_j, the sum of the other betas), which theta_j follows.
    """

    @staticmethod
    def forward(ctx: Any, concentration: Tensor, drawn: Tensor) -> Tensor:
        ctx.save_for_backward(concentration, drawn)
        return drawn.clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        concentration, drawn = ctx.saved_tensors
        rate = torch._dirichlet_grad(drawn, concentration, concentration.sum(-1, keepdim=True).expand_as(concentration))
        return rate * (gradient - (drawn * gradient).sum(-1, keepdim=True)), None
