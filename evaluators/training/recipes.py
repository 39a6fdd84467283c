"""Training recipes: every setting of a training but the network, the data and the number of epochs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from common.errors import EvaluatorError, unknown_name
from common.text import show
from evaluators.names import LONGEST_PATH
from evaluators.training.hyperparameters import HYPERPARAMETERS, check_hyperparameter


@dataclass(frozen=True)
class Recipe:
    """Hyperparameters of a training; ``evaluators.training.hyperparameters`` has their ranges.

    Attributes
    ----------
    initial_lr, ending_lr
        Learning rate at its peak (more than 0) and at the end (0 or more), at most 1000.
    weight_decay
        L2 penalty, 0 to 1000; on norms and biases too only where ``decay_norms`` is true. With ``muon``, whose steps have a length of their
        own, the dense convolutions are without, and what is left is decayed apart from the gradient, as AdamW does.
    optimizer, momentum, nesterov
        ``sgd``, ``rmsprop``, ``adam`` or ``muon``; momentum in [0, 1) (Adam: its first beta); Nesterov's form for ``sgd`` and ``muon``.
    batch_size
        Images a step, 2 (batch normalisation needs two) to 100,000.
    drop_last
        Whether the last batch of an epoch is left out where it is not full.
    schedule, warmup_epochs
        ``cosine``, ``linear``: a linear rise over ``warmup_epochs`` (half of all at most), then half a cosine, or a line, to
        ``ending_lr``, set at every step.
        ``cosine_per_batch``: the lab's program as it is given. Its scheduler is stepped per batch with a period counted in epochs:
        the rate swings between both ends every ``2 * epochs`` batches.
    crop_padding
        Images are moved by up to so many pixels, at random, 0 to 1024.
    crop_fill
        What then comes in from outside: ``black``, or ``reflect``, the image mirrored at its edge.
    flip
        ``random``: images are mirrored by a coin each time. ``alternating``: a coin for each image in the first epoch, then the other way
        in every next epoch, so that two epochs in a row show both (arXiv 2404.00498).
    start_size
        Side of the images at the start of training, as a share of the full one, 0.1 to 1, if the network takes images so small. It rises
        in steps of 4 pixels (progressive resizing: arXiv 2104.00298, section 4.2, without its change of regularisation).
    rand_augment
        Magnitude of RandAugment, 0 to 30, 0 = off: two operations, the same for every 8 images of a batch (arXiv 1909.13719).
    cutout
        Side of the square that is blanked in training images, in pixels, 0 to 1024, 0 = off (arXiv 1708.04552).
    mixup, cutmix
        Of the Beta distribution that says how two images of a batch, and their labels, are mixed. 0 to 1024, below 0.001 = off. ``mixup``
        mixes pixel by pixel (arXiv 1710.09412), ``cutmix`` puts a rectangle of one into the other (arXiv 1905.04899). Where both are on,
        a coin decides for each batch.
    label_smoothing
        In [0, 1).
    grad_clip
        Largest norm of the gradient, up to 100,000, 0 = off.
    ema_decay
        Share that an average of the weights keeps of itself in each step, in [0, 1), 0 = off. In step t it is at most 1 - t ** (-2 / 3):
        0.984 after 500 steps, 0.997 after 6,000. The average is then scored and kept.
    drop_path
        Probability to drop a path at the end of training, in [0, 1), risen to linearly (arXiv 1605.07648).
    auxiliary_weight
        Weight of the auxiliary head's loss, where the network has one, 0 to 1000.
    flip_averaging
        Whether an image is scored by the mean of its logits and those of its mirror image.
    """

    initial_lr: float = 0.1
    ending_lr: float = 0.0
    weight_decay: float = 5e-4
    decay_norms: bool = True
    optimizer: str = "sgd"
    momentum: float = 0.9
    nesterov: bool = False
    batch_size: int = 128
    drop_last: bool = True
    schedule: str = "cosine"
    warmup_epochs: float = 0.0
    crop_padding: int = 4
    crop_fill: str = "black"
    flip: str = "random"
    start_size: float = 1.0
    rand_augment: int = 0
    cutout: int = 0
    mixup: float = 0.0
    cutmix: float = 0.0
    label_smoothing: float = 0.0
    grad_clip: float = 0.0
    ema_decay: float = 0.0
    drop_path: float = 0.0
    auxiliary_weight: float = 0.4
    flip_averaging: bool = False

    @classmethod
    def named(cls, name: str, **changes: Any) -> Recipe:
        """Return the recipe called ``name``, such as ``"cells"``, with ``changes`` of its values.

        Raises
        ------
        EvaluatorError
            There is no recipe of this name, or a value is illegal.
        """
        return make_recipe({**recipe_values(name), **changes})


# For short trainings, after airbench94_muon (arXiv 2404.00498 and its repository).
# What was measured of it is in docs/measurements/2026-11-recipe-fast.md.
FAST = Recipe(
    optimizer="muon",
    initial_lr=0.03,
    momentum=0.85,
    nesterov=True,
    decay_norms=False,
    batch_size=256,
    schedule="linear",
    label_smoothing=0.2,
    crop_padding=2,
    crop_fill="reflect",
    flip="alternating",
    start_size=0.75,
    flip_averaging=True,
)
RECIPES: dict[str, Recipe] = {
    "fast": FAST,
    # The same for networks of cells, which gain from more and larger steps.
    "cells": replace(FAST, initial_lr=0.06, batch_size=64),
    # The lab's program as it is given, its scheduler's slip included. Its loader keeps the last batch, so that 50,000 images are 391 steps:
    # after 30 epochs the rate, which swings with a period of 60 steps, is then at its lowest, and without that batch at its highest.
    "lab": Recipe(schedule="cosine_per_batch", drop_last=False),
    # Liu et al. 2019, section 3.1: the weights of the supernet.
    "darts_search": Recipe(initial_lr=0.025, ending_lr=0.001, weight_decay=3e-4, batch_size=64, grad_clip=5.0),
    # Liu et al. 2019, section 3.2 and the authors' train.py; batch 96 for one GPU there. Theirs sets the learning rate once an epoch and
    # keeps the last, shorter batch.
    "darts": Recipe(initial_lr=0.025, weight_decay=3e-4, batch_size=96, cutout=16, grad_clip=5.0, drop_path=0.2),
}

# A supernet is trained on the paper's images and in whole batches; it has no paths to drop, no auxiliary head, and no test. Whatever the
# recipe, these stay as they are in `darts_search`.
NOT_OF_SUPERNETS = (
    *("drop_last", "crop_padding", "crop_fill", "flip", "start_size", "rand_augment", "mixup", "cutmix", "ema_decay"),
    *("drop_path", "auxiliary_weight", "flip_averaging"),
)


def make_recipe(values: Mapping[str, Any]) -> Recipe:
    """Return a recipe of checked values; what is not given is the default.

    Raises
    ------
    EvaluatorError
        A name is unknown, or a value illegal.
    """
    return Recipe(**{name: check_hyperparameter(name, value) for name, value in values.items()})


def complete_recipe(values: Mapping[str, Any], *, where: str) -> dict[str, Any]:
    """Return all hyperparameters of a file, checked; those that are newer than the file are at their defaults.

    Parameters
    ----------
    values
        What the file has. Where there is nothing, it says nothing of the training, and nothing is returned.
    where
        The file, for messages.

    Raises
    ------
    EvaluatorError
        A name is unknown, a value illegal, or there is no ``optimizer``: the others were made for one, and a default would be another.
    """
    if not values:
        return {}
    told = show(where, LONGEST_PATH)[1:-1]
    try:
        recipe = make_recipe(values)
    except EvaluatorError as error:
        raise EvaluatorError(f"{told}: {error}") from None
    if "optimizer" not in values:
        have = ", ".join(values)
        raise EvaluatorError(f"{told}: the hyperparameters {have} need an 'optimizer'; add it, or remove them all")
    return asdict(recipe)


def supernet_values(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of a recipe as a supernet is trained by it: those that it does not use are replaced."""
    own = asdict(RECIPES["darts_search"])
    return {name: own[name] if name in NOT_OF_SUPERNETS else value for name, value in values.items()}


def check_supernet_values(values: Mapping[str, Any], argument: str = "fixed") -> None:
    """Raise ``EvaluatorError`` where ``values``, told by ``argument``, name a hyperparameter that a supernet does not use."""
    if unused := [name for name in values if name in NOT_OF_SUPERNETS]:
        raise EvaluatorError(f"supernet training does not use {', '.join(unused)}: leave it out of `{argument}`")


def override(values: Mapping[str, Any], pins: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``values`` with those that ``pins`` names replaced, checked; pins that are no hyperparameters are left alone."""
    return {**values, **{name: check_hyperparameter(name, value) for name, value in pins.items() if name in HYPERPARAMETERS}}


def recipe_values(name: str) -> dict[str, Any]:
    """Return the values of the recipe called ``name``; raise ``EvaluatorError`` that names the known ones."""
    if name not in RECIPES:
        raise EvaluatorError(unknown_name("recipe", name, RECIPES))
    return asdict(RECIPES[name])


def values_as_told(values: Mapping[str, Any], told: Any) -> dict[str, Any]:
    """Return ``values`` of a recipe as they are compared with those that an older version noted of a run that is resumed.

    A hyperparameter that is new since then and at its default (of ``Recipe``: as trainings were before) is left out.

    Parameters
    ----------
    values
        What this version would note.
    told
        What was noted; where that is no mapping, nothing was, and all of ``values`` are returned.
    """
    if not isinstance(told, Mapping):
        return dict(values)
    return {name: value for name, value in values.items() if name in told or value != getattr(Recipe, name, None)}
