"""Whether the networks of a space take the images at all: found out once, before a run, and not in every trial."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from common.errors import SpaceError, describe_error
from evaluators.training.recipes import Recipe
from retiarius.context import RunContext
from retiarius.search_plan import SearchPlan
from retiarius.settings import TRAIN, SearchSettings

TRIED = 3  # networks
DRAWS = 50  # of an architecture, of which constraints may refuse some


def fit_to_images(context: RunContext, settings: SearchSettings, plan: SearchPlan) -> None:
    """Try a few networks on images of the size at hand; begin trainings with no smaller images than they take.

    Registered spaces take all sizes, and evaluators of a person's own have images of their own.

    Raises
    ------
    SpaceError
        None of the networks takes the images, or they tell fewer classes than there are.
    """
    if context.space.is_registered or settings.evaluator != TRAIN or context.image_shape is None:
        return
    # A supernet is trained on whole images.
    is_settled = settings.strategy.one_shot or "start_size" in settings.fixed or "start_size" in plan.searched.hyperparameters
    start = 1.0 if is_settled else float(context.recipe["start_size"])
    shares: list[float] = []
    refusals: list[SpaceError] = []
    for architecture in _drawn(plan.searched.architecture, settings.seed):
        try:
            network = context.build(architecture)
        except Exception:  # a constraint, or a fault that the trial of it will tell
            continue
        try:
            shares.append(_least_share(context, network, start))
        except SpaceError as error:
            refusals.append(error)
        if len(shares) + len(refusals) == TRIED:
            break
    if refusals and not shares:
        raise refusals[0]
    if shares and max(shares) > start:
        context.recipe["start_size"] = max(shares)
        _warn(context, max(shares), start)


def fit_recipe(context: RunContext, network: Any, recipe: Recipe) -> Recipe:
    """Return ``recipe``, with images at the start of the training that are not smaller than ``network`` takes.

    Raises
    ------
    SpaceError
        The network does not take the images, or tells fewer classes than there are.
    """
    if context.space.is_registered or "start_size" in context.settings.fixed:
        return recipe
    share = _least_share(context, network, recipe.start_size)
    if share == recipe.start_size:
        return recipe
    _warn(context, share, recipe.start_size)
    context.recipe["start_size"] = share
    return replace(recipe, start_size=share)


def _warn(context: RunContext, share: float, start: float) -> None:
    context.reporter.warn(f"trainings start with images at {share:.0%} of their size, not {start:.0%}: the networks reject smaller ones")


def _drawn(mutables: Mapping[str, Any], seed: int) -> Iterator[dict[str, Any]]:
    """Yield the default architecture, then random ones."""
    from numpy.random import RandomState

    random = RandomState(seed)
    yield {label: mutable.default() for label, mutable in mutables.items()}
    for _ in range(DRAWS):
        yield {label: mutable.random(random_state=random) for label, mutable in mutables.items()}


def _least_share(context: RunContext, network: Any, start: float) -> float:
    """Return the least share of the side of the images, from ``start`` on, that ``network`` takes.

    Raises
    ------
    SpaceError
        It takes none, or tells fewer classes than there are.
    """
    import torch

    from evaluators.training.augmentation import shrunk_size, sides_of_training

    _, height, width = context.image_shape or (3, 1, 1)
    least: float | None = None
    try:
        tried = copy.deepcopy(network).train()  # running statistics move
        for side in reversed(sides_of_training(height, start)):
            with torch.no_grad(), torch.random.fork_rng(devices=[]):
                answer = tried(torch.zeros(2, 3, *shrunk_size(side, height, width)))
            if least is None:
                _require_classes(context, (answer[0] if isinstance(answer, tuple) else answer).shape[-1])
            least = side / height
    except SpaceError:
        raise
    except Exception as error:
        if least is None:
            why = describe_error(error)[:300]
            told = f"{context.space.name} does not accept images of {height}x{width} pixels and 3 channels: {why}"
            raise SpaceError(f"{told}; check the arguments of its constructor") from error
        return least
    return start


def _require_classes(context: RunContext, classes: int) -> None:
    if context.data.num_classes is not None and classes < context.data.num_classes:
        raise SpaceError(f"{context.space.name} has {classes} outputs, and the images have {context.data.num_classes} classes")
