"""How long the operations of a space take on this machine: what a one-shot search can weigh them by."""

from __future__ import annotations

import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from nni.nas.nn.pytorch import LayerChoice
from torch import nn

from common.errors import StrategyError
from evaluators.devices import autocast

WARM_UP_PASSES, PASSES = 2, 10


def operation_names(space: nn.Module) -> list[str]:
    """Return the names of the operations of ``space``, an unfrozen one, in the order of its choices.

    Raises
    ------
    StrategyError
        There are none: no ``LayerChoice`` whose candidates have names.
    """
    names = list(dict.fromkeys(name for choice in _choices(space) for name in choice.names))
    if not names:
        raise StrategyError("`cost='latency'` needs choices among operations with names, and this space has none")
    return names


@torch.no_grad()
def measure_operations(
    space: nn.Module, image_shape: Sequence[int], *, device: torch.device | str = "cpu", precision: torch.dtype = torch.float32
) -> dict[str, float]:
    """Return by name how long operations take in inference, where 1 is the slowest of them.

    An operation is measured wherever the space can have it, on what comes there of one image: the median of ten passes. The mean of these
    places counts.

    Parameters
    ----------
    space
        Unfrozen, images [1, C, H, W] -> logits. It is moved to ``device``, and in evaluation mode afterwards.
    image_shape
        C, H and W.
    device, precision
        Where and how exactly it computes.

    Raises
    ------
    StrategyError
        There are no operations with names, or one is never reached.
    """
    names, device = operation_names(space), torch.device(device)
    reached: list[tuple[Any, tuple[Any, ...], dict[str, Any]]] = []

    def note(choice: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        reached.append((choice, args, kwargs))
        for name in choice.names[1:]:  # the space takes the first: so choices within the others are reached, too
            choice[name](*args, **kwargs)

    space.to(device).eval()
    hooks = [choice.register_forward_pre_hook(note, with_kwargs=True) for choice in _choices(space)]
    seconds: dict[str, list[float]] = defaultdict(list)
    with autocast(device, precision):
        space(torch.zeros(1, *image_shape, device=device))
        for hook in hooks:
            hook.remove()
        for choice, args, kwargs in reached:
            for name in choice.names:
                seconds[name].append(_median_seconds(partial(choice[name], *args, **kwargs), device))
    if missing := [name for name in names if name not in seconds]:
        raise StrategyError(f"`cost='latency'`: {missing[0]} cannot be measured, as nothing reaches it")
    means = {name: statistics.fmean(seconds[name]) for name in names}
    return {name: round(mean / max(means.values()), 4) for name, mean in means.items()}


def _choices(space: nn.Module) -> list[Any]:
    found: list[Any] = [module for module in space.modules() if type(module) is LayerChoice]
    return [choice for choice in found if all(isinstance(name, str) for name in choice.names)]


def _median_seconds(compute: Callable[[], Any], device: torch.device) -> float:
    seconds = []
    for _ in range(WARM_UP_PASSES + PASSES):
        start = time.perf_counter()
        compute()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds[WARM_UP_PASSES:])
