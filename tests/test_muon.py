"""Muon's orthogonal steps: the iteration against timm's, and small weights together against each by itself."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from evaluators import muon
from evaluators.muon import Muon, orthogonalize


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
