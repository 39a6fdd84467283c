"""The fused form of a supernet against the stock one: the same loss, weight gradients and architecture gradients, to rounding."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from spaces.darts import DartsSpace
from strategies.darts import DartsStrategy


def step(supernet: str, arguments: dict[str, Any], side: int, *, training: bool = True) -> dict[str, Tensor]:
    """Loss, gradients and running statistics of one step in float64, each under the name that it has in the unsearched space."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        space, strategy = DartsSpace(**arguments), DartsStrategy(seed=0, supernet=supernet)
        named = dict(space.named_parameters())
        strategy.mutate_model(space)
        alphas = {label: alpha for label, alpha in strategy._arch_parameters.items() if "edge" in label}
        for alpha in alphas.values():
            alpha.data = torch.randn(alpha.shape, dtype=torch.float64)
        space.double().train(training)
        images, labels = torch.randn(4, 3, side, side, dtype=torch.float64), torch.arange(4)
    loss = nn.functional.cross_entropy(space(images), labels)
    loss.backward()
    gradients = {name: parameter.grad for name, parameter in (named | alphas).items() if parameter.grad is not None}
    return {"loss": loss.detach(), **gradients}


@pytest.mark.parametrize("none", [False, True])
@pytest.mark.parametrize(("num_nodes", "side"), [(2, 16), (3, 7), (4, 12), (5, 8)])
def test_the_fused_form_is_exact(num_nodes: int, side: int, none: bool) -> None:
    arguments = {"width": 4, "num_cells": 3, "num_nodes": num_nodes, "none": none}
    stock, fused = (step(supernet, arguments, side) for supernet in ("stock", "fused"))
    assert stock.keys() == fused.keys()
    assert len(stock) > 100
    for name, expected in stock.items():
        # Behind a normalisation a convolution's scale has no effect: what is left of such a gradient is rounding.
        scale = max(expected.abs().max().item(), 1e-3)
        assert (fused[name] - expected).abs().max().item() < 1e-9 * scale, name


def test_the_fused_form_is_exact_in_evaluation_too() -> None:
    arguments = {"width": 4, "num_cells": 3, "num_nodes": 3}
    stock, fused = (step(supernet, arguments, 8, training=False) for supernet in ("stock", "fused"))
    for name, expected in stock.items():
        assert torch.allclose(fused[name], expected, rtol=1e-9, atol=1e-12), name
