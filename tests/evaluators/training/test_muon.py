"""Muon: its orthogonal steps against timm's, small weights together against each by itself, and the weights that follow AdamW."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from bright_bars import make_network
from torch import nn

from evaluators.training import muon
from evaluators.training.muon import Muon, orthogonalize
from evaluators.training.optimizers import make_optimizer
from evaluators.training.recipes import make_recipe


@pytest.mark.parametrize("shape", [(8, 72), (72, 8), (16, 16), (4, 1000)])
def test_orthogonalization_on_the_gram_matrix_is_newton_schulz(shape: tuple[int, int]) -> None:
    from timm.optim.muon import zeropower_via_newtonschulz

    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(0)) * torch.logspace(0, -2, shape[1])
    for steps in (1, 3, 5):
        reference = zeropower_via_newtonschulz(matrix, steps, [(3.4445, -4.7750, 2.0315)], dtype=torch.float32)
        # The Gram matrix squares the ratio of the singular values, so in float32 the fourth digit is that of the processor's products.
        assert (orthogonalize(matrix, steps) - reference).norm() < 5e-4 * reference.norm()
    assert torch.linalg.svdvals(orthogonalize(matrix, 5)).max() < 1.3


def test_weights_of_one_shape_are_orthogonalised_together_as_each_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = [(8, 8, 1, 1), (8, 4, 3, 3), (8, 8, 1, 1), (16, 4, 1, 1), (8, 8, 1, 1), (16, 4, 1, 1)]
    results = []
    for limit in (10**6, 0):
        monkeypatch.setattr(muon, "SMALL", limit)
        generator = torch.Generator().manual_seed(0)
        weights = [nn.Parameter(torch.randn(size, generator=generator).to(memory_format=torch.channels_last)) for size in sizes]
        groups = [{"params": weights, "orthogonal": True, "weight_decay": 0.1}]
        optimizer = Muon(groups, lr=0.1, momentum=0.8, nesterov=True, beta2=0.95, steps=3)
        for _ in range(3):
            for weight in weights:
                weight.grad = torch.randn(weight.shape, generator=generator)
            optimizer.step()
        results.append(weights)
    for together, apart in zip(*results, strict=True):
        torch.testing.assert_close(together, apart)


@pytest.mark.parametrize("size", [(16, 4, 1, 1), (8, 4, 3, 3)])
@pytest.mark.parametrize("nesterov", [True, False])
def test_steps_are_those_of_plain_muon(size: tuple[int, ...], nesterov: bool) -> None:
    from timm.optim.muon import zeropower_via_newtonschulz

    generator = torch.Generator().manual_seed(0)
    weight = nn.Parameter(torch.randn(size, generator=generator))
    group = {"params": [weight], "orthogonal": True, "weight_decay": 0.3}
    optimizer = Muon([group], lr=0.1, momentum=0.7, nesterov=nesterov, beta2=0.95, steps=3)
    plain, average = weight.detach().clone().flatten(1), torch.zeros(size[0], weight[0].numel())
    for _ in range(3):
        weight.grad = torch.randn(size, generator=generator)
        optimizer.step()
        gradient = weight.grad.flatten(1)
        average = 0.7 * average + 0.3 * gradient
        update = 0.7 * average + 0.3 * gradient if nesterov else average
        step = zeropower_via_newtonschulz(update, 3, [(3.4445, -4.7750, 2.0315)], dtype=torch.float32)
        plain = (1 - 0.1 * 0.3) * plain - 0.1 * max(1, plain.shape[0] / plain.shape[1]) ** 0.5 * step
    torch.testing.assert_close(weight.detach().flatten(1), plain, rtol=1e-3, atol=1e-3)


def test_what_is_no_convolution_follows_adamw_at_a_tenth_of_the_rate() -> None:
    network = nn.Sequential(nn.Conv2d(3, 8, 3, bias=False), nn.BatchNorm2d(8), nn.Flatten(), nn.Linear(8, 4))
    recipe = make_recipe({"optimizer": "muon", "initial_lr": 0.02, "weight_decay": 0.1, "decay_norms": False})
    groups = make_optimizer(network, recipe).param_groups
    told = [(len(group["params"]), group["lr"], group["weight_decay"], group["orthogonal"]) for group in groups]
    rate = pytest.approx(0.002)
    assert told == [(1, rate, 0.1, False), (3, rate, 0.0, False), (1, 0.02, 0.0, True)], "matrices, vectors, convolutions"


def test_muon_moves_dense_convolutions_by_orthogonal_steps_of_one_size() -> None:
    network = nn.Sequential(nn.Conv2d(3, 8, 3, bias=False), nn.BatchNorm2d(8), nn.Conv2d(8, 8, 3, groups=8), nn.Conv2d(8, 6, 3))
    optimizer = make_optimizer(network, make_recipe({"optimizer": "muon", "initial_lr": 0.02, "momentum": 0.5, "weight_decay": 0.0}))
    weights = network[0].weight
    assert weights.norm().item() == pytest.approx(8**0.5), "of the size that it keeps"
    before, biased = weights.detach().clone(), network[3].weight.detach().clone()
    network(torch.randn(4, 3, 9, 9, generator=torch.Generator().manual_seed(0))).square().mean().backward()
    optimizer.step()
    assert weights.norm().item() == pytest.approx(8**0.5)
    step = (network[3].weight - biased).detach().flatten(1)  # no norm follows: the size is free
    sizes = torch.linalg.svdvals(step) / 0.02
    assert sizes.min() > 0.3 and sizes.max() < 1.5, "orthogonal, as far as three Newton-Schulz steps go"
    assert (before - weights).norm() > 0.01
    assert "momentum_buffer" not in optimizer.state[network[2].weight], "a depthwise convolution has nothing to orthogonalise"


def test_filters_of_every_convolution_without_a_bias_keep_a_size_of_their_own() -> None:
    network = nn.Sequential(
        nn.Conv2d(3, 8, 3, bias=False), nn.Conv2d(8, 6, 3), nn.Conv2d(6, 5, 1, bias=False), nn.Conv2d(5, 7, 3, bias=False)
    )
    optimizer = make_optimizer(network, make_recipe({"optimizer": "muon", "initial_lr": 0.3}))
    for _ in range(2):
        assert [network[number].weight.norm().item() for number in (0, 2, 3)] == pytest.approx([8**0.5, 5**0.5, 7**0.5])
        network(torch.ones(2, 3, 9, 9)).square().mean().backward()
        optimizer.step()


def test_muon_counts_its_steps_where_the_weights_are() -> None:
    """Torch leaves a count that was loaded on the CPU; here the weights are on a device without content."""

    def step_of_muon(device: str, state: dict[str, Any] | None = None) -> Muon:
        weight = nn.Parameter(torch.ones(3, device=device))
        weight.grad = torch.ones(3, device=device)
        group = {"params": [weight], "orthogonal": False}
        optimizer = Muon([group], lr=0.1, momentum=0.9, nesterov=True, beta2=0.99, steps=3)
        if state is not None:
            optimizer.load_state_dict(state)
            assert optimizer.state[weight]["step"].device.type == "cpu"
        optimizer.step()
        return optimizer

    on_cpu = step_of_muon("cpu")
    (state,) = step_of_muon("meta", on_cpu.state_dict()).state.values()
    assert state["step"].device.type == "meta"


def test_muons_other_weights_follow_adamw() -> None:
    networks = [make_network(), make_network()]
    for network in networks:
        network[0].bias = None  # type: ignore[index]  # its gradient is 0 but for rounding, of which Adam makes whole steps
    ours = Muon([{"params": list(networks[0].parameters())}], lr=0.01, momentum=0.8, nesterov=True, beta2=0.95, steps=3)
    theirs = torch.optim.AdamW(networks[1].parameters(), lr=0.01, betas=(0.8, 0.95), weight_decay=0.0)
    generator = torch.Generator().manual_seed(0)
    for _ in range(3):
        images = torch.randn(4, 3, 8, 8, generator=generator)
        for network, optimizer in zip(networks, (ours, theirs), strict=True):
            optimizer.zero_grad()
            network(images).square().sum().backward()
            optimizer.step()
    for a, b in zip(networks[0].parameters(), networks[1].parameters(), strict=True):
        torch.testing.assert_close(a, b)
