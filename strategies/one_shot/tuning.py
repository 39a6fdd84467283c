"""How a supernet is tuned while its architecture is selected: the learning rate of its weights, as the authors of DARTS-PT have it."""

from __future__ import annotations

import math
from typing import Any

import torch

from strategies.one_shot.selection import Selection

FIRST, LAST = 0.1, 0.04  # of the search's first learning rate: 0.0025 and 0.001 of 0.025


def tuning_rate(number: int, epochs: int) -> float:
    """Return the learning rate in the epoch of this number, from 0, of so many: a cosine from a tenth of the search's first one."""
    return LAST + (FIRST - LAST) * (1 + math.cos(math.pi * number / epochs)) / 2


def begin_tuning_epoch(selection: Selection, optimizer: torch.optim.Optimizer, number: int, steps: int) -> None:
    """Select what is to be selected before an epoch, and set its learning rate; the first begins without the momentum of the search.

    ``steps`` are those of all optimizers before it.
    """
    selection.supernet.steps = steps
    selection.begin_epoch(number)
    if number == 0:
        optimizer.state.clear()
    for group in optimizer.param_groups:
        settings: dict[str, Any] = group
        if "fused" in settings:  # a checkpoint of a version in which all weights learned in each step says so: now some have no momentum
            settings["fused"] = optimizer.defaults["fused"]
        settings["lr"] = settings["initial_lr"] * tuning_rate(number, selection.epochs)
