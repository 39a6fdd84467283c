"""A supernet of fused cells against NNI's path: choices, loss, gradients, a whole search, and half precision."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from drawn_weights import seeded  # noqa: F401
from fused_cells import check_agreement, operations_of  # noqa: F401
from small_supernets import facts_of
from torch import Tensor, nn
from torch.nn import functional

from common.errors import StrategyError
from spaces.darts.space import DartsSpace
from strategies.one_shot.darts import DartsStrategy
from strategies.one_shot.supernet_modules import MixedForm, MixedLayer


def make_supernet(
    supernet: str, dtype: torch.dtype, **arguments: Any
) -> tuple[DartsSpace, dict[str, nn.Parameter], dict[str, nn.Parameter]]:
    """A space as a supernet, its architecture parameters by label, and its weights by the names they have in the space."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        space = DartsSpace(**{"width": 2, "num_cells": 3, "num_nodes": 2, "num_classes": 3, **arguments})
        weights = dict(space.named_parameters())
        strategy = DartsStrategy(supernet=supernet, facts=facts_of(space))
        torch.manual_seed(2)
        space = strategy.mutate_model(space).to(dtype)
    alphas = {label: alpha for label, alpha in strategy._arch_parameters.items() if "edge" in label}
    return space, alphas, weights


def test_the_strategy_takes_the_form_that_a_module_offers() -> None:
    kinds = {}
    for supernet in ("fused", "stock"):
        space, _, weights = make_supernet(supernet, torch.float32)
        kinds[supernet] = {type(module) for module in space.modules()}
        assert {id(parameter) for parameter in weights.values()} <= {id(parameter) for parameter in space.parameters()}
    assert MixedForm in kinds["fused"] and MixedLayer not in kinds["fused"]
    assert MixedForm not in kinds["stock"] and MixedLayer in kinds["stock"]
    with pytest.raises(StrategyError, match="the supernet is 'thin'; expected one of fused, stock"):
        DartsStrategy(supernet="thin")


def test_both_forms_say_the_same_of_their_choices() -> None:
    said = []
    for supernet in ("fused", "stock"):
        space, alphas, _ = make_supernet(supernet, torch.float32, none=True)
        probabilities: dict[str, Any] = {}
        sample: dict[str, Any] = {}
        order: dict[int, None] = {}
        for module in space.modules():
            if hasattr(module, "export_probs"):
                probabilities |= module.export_probs(probabilities)
                sample |= module.export(sample)
                order |= {id(parameter): None for parameter in getattr(module, "arch_parameters", tuple)()}
        labels = {id(alpha): label for label, alpha in alphas.items()}
        said.append((list(probabilities.items()), list(sample.items()), [labels[key] for key in order]))
    assert said[0] == said[1]


@pytest.mark.usefixtures("operations_of")
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-9), (torch.float32, 1e-4)])
def test_loss_and_gradients_of_a_whole_supernet(dtype: torch.dtype, tolerance: float) -> None:
    results: list[dict[str, Tensor]] = []
    images = torch.randn(8, 3, 12, 12, dtype=torch.float64)
    for supernet in ("fused", "stock"):
        space, alphas, weights = make_supernet(supernet, dtype, none=True, width=4)
        loss = functional.cross_entropy(space(images.to(dtype)), torch.arange(8) % 3)
        loss.backward()
        gradients = {name: parameter.grad for name, parameter in {**alphas, **weights}.items() if parameter.grad is not None}
        assert gradients.keys() == {**alphas, **weights}.keys()
        results.append({"loss": loss.detach(), **gradients})
    check_agreement(results[0], results[1], tolerance)


def search(supernet: str, steps: int) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Alternating steps in float64, each with the gradients of its own half only; the alphas, and the weights and statistics."""
    space, alphas, weights = make_supernet(supernet, torch.float64, none=True)
    optimizers = (
        torch.optim.Adam(alphas.values(), lr=0.1, betas=(0.5, 0.999), weight_decay=1e-3),
        torch.optim.SGD(weights.values(), lr=0.1, momentum=0.9, weight_decay=3e-4),
    )
    halves = (list(alphas.values()), list(weights.values()))
    generator = torch.Generator().manual_seed(3)
    for _ in range(steps):
        for mine, others, optimizer in ((halves[0], halves[1], optimizers[0]), (halves[1], halves[0], optimizers[1])):
            for parameters, wanted in ((mine, True), (others, False)):
                for parameter in parameters:
                    parameter.requires_grad_(wanted).grad = None
            images = torch.randn(4, 3, 8, 8, dtype=torch.float64, generator=generator)
            loss = functional.cross_entropy(space(images), torch.randint(3, (4,), generator=generator))
            loss.backward()
            assert all(parameter.grad is None for parameter in others) and all(parameter.grad is not None for parameter in mine)
            optimizer.step()
    return ({label: alpha.detach() for label, alpha in alphas.items()}, {name: weight.detach() for name, weight in weights.items()})


@pytest.mark.slow
@pytest.mark.usefixtures("operations_of")
def test_a_search_of_twenty_steps_ends_at_the_same_alphas() -> None:
    (fused, fused_weights), (stock, stock_weights) = search("fused", 20), search("stock", 20)
    assert max((alpha.softmax(0) - 1 / len(alpha)).abs().max().item() for alpha in stock.values()) > 0.05, "the search has gone somewhere"
    assert stock.keys() == fused.keys() and stock_weights.keys() == fused_weights.keys()
    for label, alpha in stock.items():
        assert torch.allclose(fused[label], alpha, rtol=1e-9, atol=1e-9), label
    for name, weight in stock_weights.items():
        assert torch.allclose(fused_weights[name], weight, rtol=1e-7, atol=1e-9), name


@pytest.mark.usefixtures("operations_of")
def test_half_precision_keeps_statistics_in_float32_and_alphas_apart() -> None:
    outcomes = {}
    for dtype in (torch.float32, torch.bfloat16):
        space, alphas, weights = make_supernet("fused", torch.float32, width=4)
        images = torch.randn(16, 3, 8, 8, generator=torch.Generator().manual_seed(0))
        with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
            logits = space(images).float()
        functional.cross_entropy(logits, torch.arange(16) % 3).backward()
        gradients = [torch.cat([p.grad.flatten() for p in group.values()]) for group in (alphas, weights)]
        outcomes[dtype] = [logits.detach(), *gradients]
        assert all(value.dtype == torch.float32 for value in (*gradients, *(b for b in space.buffers() if b.is_floating_point())))
        outcomes[dtype].append(torch.cat([buffer.flatten() for name, buffer in space.named_buffers() if "running" in name]))
    for exact, rounded in zip(*outcomes.values(), strict=True):
        assert functional.cosine_similarity(exact, rounded, dim=-1).min() > 0.98
        assert 0 < (exact - rounded).norm() < 0.2 * exact.norm()
