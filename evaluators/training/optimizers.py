"""Optimizers and learning rate schedules, as a recipe names them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from evaluators.training.muon import Muon
from evaluators.training.recipes import Recipe

# Newton-Schulz steps of Muon; three are enough for convolutions (airbench94_muon).
ORTHOGONALIZATION_STEPS = 3
ADAMW_SHARE = 0.1
ADAMW_BETA2 = 0.95


def make_optimizer(network: nn.Module, recipe: Recipe, *, fused: bool = True) -> Optimizer:
    """Return the recipe's optimizer over the trainable parameters of ``network``.

    There is no weight decay on vectors (norms, biases) unless ``decay_norms``.

    Parameters
    ----------
    network
        What is trained; with ``muon`` its convolutions are scaled.
    recipe
        Names the optimizer and its settings.
    fused
        Whether SGD and Adam take their steps in one pass over memory.
    """
    if recipe.optimizer == "muon":
        return _make_muon(network, recipe)
    groups = _decay_groups([p for p in network.parameters() if p.requires_grad], recipe)
    if recipe.optimizer == "sgd":
        nesterov = recipe.nesterov and recipe.momentum > 0
        return torch.optim.SGD(groups, recipe.initial_lr, momentum=recipe.momentum, nesterov=nesterov, fused=fused)
    if recipe.optimizer == "rmsprop":
        return torch.optim.RMSprop(groups, recipe.initial_lr, momentum=recipe.momentum)
    return torch.optim.Adam(groups, recipe.initial_lr, betas=(recipe.momentum, 0.999), fused=fused)


def _decay_groups(parameters: list[nn.Parameter], recipe: Recipe) -> list[dict[str, Any]]:
    groups: list[dict[str, Any]] = [
        {"params": [p for p in parameters if p.ndim > 1 or recipe.decay_norms], "weight_decay": recipe.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1 and not recipe.decay_norms], "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]


def _make_muon(network: nn.Module, recipe: Recipe) -> Optimizer:
    """Return Muon on convolutions, AdamW at ``ADAMW_SHARE`` of its rate on all else.

    A grouped convolution is taken as one matrix [out, in / groups]; a depthwise one is AdamW's. Muon's steps are of one size whatever
    that of the gradient. So that they stay of one size relative to the filters too, those without a bias are brought back to a fixed size
    after every step (as in airbench94_muon): a norm follows them as a rule, and takes their size out anyway. The shortcuts of
    ``nasbench201``, which no norm follows, keep that size, too.
    """
    convolutions = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d) and layer.weight.requires_grad]
    convolutions = [layer for layer in convolutions if min(layer.weight.shape[:2]) > 1]  # depthwise ones have nothing to orthogonalise
    of_muon = {id(layer.weight) for layer in convolutions}
    others = [p for p in network.parameters() if p.requires_grad and id(p) not in of_muon]
    groups = [{**group, "lr": ADAMW_SHARE * recipe.initial_lr} for group in _decay_groups(others, recipe)]
    if convolutions:
        groups.append({"params": [layer.weight for layer in convolutions], "orthogonal": True, "weight_decay": 0.0})
    settings: dict[str, Any] = {"nesterov": recipe.nesterov, "beta2": ADAMW_BETA2, "steps": ORTHOGONALIZATION_STEPS}
    optimizer = Muon(groups, lr=recipe.initial_lr, momentum=recipe.momentum, **settings)
    before_norms = [layer.weight for layer in convolutions if layer.bias is None]
    _normalize(before_norms)
    optimizer.register_step_post_hook(lambda *_: _normalize(before_norms))
    return optimizer


@torch.no_grad()
def _normalize(filters: list[Tensor]) -> None:
    """Scale the weights [out, in, h, w] of each convolution to the norm ``sqrt(out)``: one a filter on average."""
    if not filters:
        return
    factors = torch._foreach_norm(filters)
    torch._foreach_clamp_min_(factors, 1e-12)
    torch._foreach_reciprocal_(factors)
    torch._foreach_mul_(factors, [len(weights) ** 0.5 for weights in filters])
    torch._foreach_mul_(filters, factors)


def learning_rate_factor(recipe: Recipe, epochs: int, steps: int) -> Callable[[int], float]:
    """Return the factor on ``initial_lr`` before each step (0, 1, ...), as ``Recipe`` describes its schedules.

    A warm-up takes half of the training at most. One function for torch's ``LambdaLR``, whose state is the number of the step alone;
    timm's schedulers bring all groups to one and the same rate at the end, where AdamW's keep ``ADAMW_SHARE`` of Muon's here.

    Parameters
    ----------
    recipe
        Names the schedule and its ends.
    epochs
        Of the whole training.
    steps
        Of one epoch.
    """
    floor = recipe.ending_lr / recipe.initial_lr
    total, warmup = epochs * steps, min(recipe.warmup_epochs, epochs / 2) * steps

    def cosine(progress: float) -> float:
        return floor + (1 - floor) * (1 + math.cos(math.pi * progress)) / 2

    def factor(step: int) -> float:
        if recipe.schedule == "cosine_per_batch":
            return cosine(step / epochs)
        if step < warmup:
            return (step + 1) / (warmup + 1)
        progress = (step - warmup) / max(1.0, total - warmup)
        return floor + (1 - floor) * (1 - progress) if recipe.schedule == "linear" else cosine(progress)

    return factor
