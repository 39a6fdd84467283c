"""What is added to the loss of the architecture step, against the papers' formulas."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from strategies.one_shot.regularizers import beta_decay, dirichlet_divergence, expected_cost


def alphas() -> dict[str, Tensor]:
    values = {"a": [0.4, -0.3, 0.1], "b": [1.0, 0.0, -1.0]}
    return {label: torch.tensor(value, dtype=torch.float64, requires_grad=True) for label, value in values.items()}


def test_beta_decay_is_logsumexp_with_a_weight_that_grows_by_the_epoch() -> None:
    """Of the beta-DARTS paper: L = lambda * logsumexp(alpha), whose gradient is lambda * softmax(alpha); lambda from 0 to 50."""
    known, penalty = alphas(), beta_decay(50.0)
    assert penalty(known, 0.0).item() == 0
    sums = [math.log(sum(math.exp(value) for value in alpha.tolist())) for alpha in known.values()]
    assert penalty(known, 0.3).item() == pytest.approx(50 * 0.3 * sum(sums) / 2)
    (gradient,) = torch.autograd.grad(penalty(known, 0.3), known["a"])
    assert torch.allclose(gradient, 15 * known["a"].softmax(0) / 2), "the mean of two edges"


def test_the_divergence_of_drnas_is_that_from_the_even_dirichlet() -> None:
    known = alphas()

    def divergence(alpha: Tensor) -> float:
        c = [value + 1 if value > 0 else math.exp(value) for value in alpha.tolist()]  # elu(alpha) + 1
        digamma = torch.special.digamma(torch.tensor([*c, sum(c)], dtype=torch.float64)).tolist()
        spread = sum((own - 1) * (each - digamma[-1]) for own, each in zip(c, digamma, strict=False))
        return math.lgamma(sum(c)) - sum(math.lgamma(own) for own in c) - math.lgamma(len(c)) + spread

    assert dirichlet_divergence(1e-3)(known, 0.5).item() == pytest.approx(1e-3 * sum(divergence(alpha) for alpha in known.values()))
    even = {"a": torch.zeros(3, requires_grad=True)}
    assert dirichlet_divergence(1.0)(even, 0.0).item() == pytest.approx(0, abs=1e-6)


def test_the_expected_cost_is_the_mean_over_the_edges() -> None:
    known = alphas()
    names = {"a": ["skip", "conv", "pool"], "b": ["skip", "conv", "wide"], "unknown": ["x"]}
    penalty = expected_cost(2.0, {"conv": 0.5, "wide": 1.0}, names, lambda alpha: alpha.softmax(0))
    shares = {label: alpha.softmax(0).tolist() for label, alpha in known.items()}
    assert penalty({**known, "not named": torch.zeros(2)}, 0.0).item() == pytest.approx(
        2 * (0.5 * shares["a"][1] + 0.5 * shares["b"][1] + shares["b"][2]) / 2
    )
    (gradient,) = torch.autograd.grad(penalty(known, 0.0), known["b"])
    assert gradient[2] > 0 > gradient[0], "a step down takes from the dear and gives to the free"
