"""Supernets whose networks have scores that are known without any training."""

from __future__ import annotations

from typing import Any

import torch
from small_supernets import facts_of, seeded

from strategies.one_shot.darts import DartsStrategy
from strategies.one_shot.restriction import RestrictedSupernet, Supernet

TINY = {"width": 2, "cells": 1, "num_classes": 3}


def supernet_of(kind: Any, arguments: dict[str, Any]) -> Supernet:
    space = seeded(kind, arguments)
    strategy = DartsStrategy(facts=facts_of(space))
    strategy.mutate_model(space)
    return strategy.restrictable


class Sum:
    """An accuracy that is known: the sum of what each operation is worth, times its weight."""

    def __init__(self, supernet: Supernet, seed: int = 0) -> None:
        generator = torch.Generator().manual_seed(seed)
        self.supernet, self.calls = supernet, 0
        self.worth = {label: torch.rand(len(alpha), generator=generator) for label, alpha in supernet.alphas.items()}

    def __call__(self, model: Any) -> float:
        self.calls += 1
        held = self.supernet.weights_of(model.sample) if isinstance(model, RestrictedSupernet) else self.supernet.expected
        return float(sum((weights * self.worth[label]).sum() for label, weights in held.items()))
