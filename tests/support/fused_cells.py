"""The fused cell's two ways to compute, and how near what it computes is to a reference."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from kernels.build import VARIABLE, kernels_for, why_not


@pytest.fixture(params=["compiled", "torch"])
def operations_of(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The fused cell's two ways to compute."""
    if request.param == "torch":
        monkeypatch.setenv(VARIABLE, "torch")
    elif kernels_for(torch.float32) is None:
        pytest.skip(f"no compiled kernels here: {why_not()}")


def check_agreement(ours: dict[str, Tensor], reference: dict[str, Tensor], tolerance: float) -> None:
    """Each quantity by the largest of its group: gradients of a softmax, and of weights before a normalisation, are small differences of
    large numbers, of kernels and of edges.
    """
    scale: dict[str, float] = {}
    for name, expected in reference.items():
        scale[group_of(name)] = max(scale.get(group_of(name), 0.0), expected.abs().max().item())
    for name, expected in reference.items():
        error = (ours[name] - expected).abs().max().item()
        assert error <= tolerance * scale[group_of(name)], f"{name}: {error:.2e} of {scale[group_of(name)]:.2e}"


def group_of(name: str) -> str:
    """Quantities of one size: all alphas, all weights, all statistics, an input."""
    return "alphas" if "/" in name else name.rpartition(".")[2] if "." in name else name
