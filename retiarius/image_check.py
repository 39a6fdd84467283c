"""Whether the networks of a space take the images at all: found out once, before the search, and not in every trial."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from common.errors import SpaceError, describe_error
from retiarius.context import RunContext
from retiarius.search_plan import SearchPlan
from retiarius.settings import TRAIN, SearchSettings

if TYPE_CHECKING:
    from evaluators.training.recipes import Recipe

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
    if context.space.is_registered or settings.evaluator != TRAIN or context.image_shape is None or settings.strategy.one_shot:
        return
    start = float(context.recipe.get("start_size", 1.0))
    is_settled = "start_size" in settings.fixed or "start_size" in plan.searched.hyperparameters
    shares: list[float] = []
    refusals: list[str] = []
    for architecture in _drawn(plan.searched.architecture, settings.seed):
        try:
            network = context.build(architecture)
        except Exception:  # a constraint, or a fault that the trial of it will tell
            continue
        share = _least_share(context, network, start, refusals)
        if share is not None:
            shares.append(share)
        if len(shares) + len(refusals) == TRIED:
            break
    if refusals and not shares:
        raise SpaceError(refusals[0])
    if shares and max(shares) > start and not is_settled:
        context.recipe["start_size"] = max(shares)
        _warn_of_start(context, max(shares), start)


def fit_recipe(context: RunContext, architecture: Mapping[str, Any], recipe: Recipe) -> Recipe:
    """Return the ``recipe`` of a retraining, which begins with no smaller images than the network of ``architecture`` takes.

    A size that a person asks for stays as it is: the training says what is wrong with it. What takes no images at all is said elsewhere.
    """
    settings = context.settings
    if context.space.is_registered or settings.recipe is not None or "start_size" in settings.fixed:
        return recipe
    share = _least_share(context, context.build(architecture), recipe.start_size, [])
    if share is None or share <= recipe.start_size:
        return recipe
    _warn_of_start(context, share, recipe.start_size)
    context.recipe["start_size"] = share
    return replace(recipe, start_size=share)


def _warn_of_start(context: RunContext, share: float, start: float) -> None:
    context.reporter.warn(f"trainings begin with images of {share:.0%} of their side, not {start:.0%}: smaller ones are refused")


def _drawn(mutables: Mapping[str, Any], seed: int) -> Iterator[dict[str, Any]]:
    """Yield the default architecture, then random ones."""
    from numpy.random import RandomState

    random = RandomState(seed)
    yield {label: mutable.default() for label, mutable in mutables.items()}
    for _ in range(DRAWS):
        yield {label: mutable.random(random_state=random) for label, mutable in mutables.items()}


def _least_share(context: RunContext, network: Any, start: float, refusals: list[str]) -> float | None:
    """Return the least share of the side of the images, from ``start`` on, that ``network`` takes; None, and why, where it takes none."""
    import torch

    from evaluators.training.augmentation import shrunk_size, sides_of_training

    _, height, width = context.image_shape or (3, 1, 1)
    least: float | None = None
    for side in reversed(sides_of_training(height, start)):
        try:
            with torch.no_grad(), torch.random.fork_rng(devices=[]):
                answer = network.train()(torch.zeros(2, 3, *shrunk_size(side, height, width)))
        except Exception as error:
            if least is None:
                why = describe_error(error)[:300]
                refusals.append(f"{context.space.name} takes no images of {height}x{width} pixels: {why}; --set may give it their size")
            return least
        least = side / height
        classes = (answer[0] if isinstance(answer, tuple) else answer).shape[-1]
        if context.data.num_classes is not None and classes < context.data.num_classes:
            raise SpaceError(f"{context.space.name} tells {classes} classes apart, and the images have {context.data.num_classes}")
    return start
