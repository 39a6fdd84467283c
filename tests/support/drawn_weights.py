"""The weights of networks in tests: drawn by one seed, and counted."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import nn


@pytest.fixture(autouse=True)
def seeded() -> Iterator[None]:
    """Same draws in every test of a file that imports this, and the random state of the others left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


def parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())
