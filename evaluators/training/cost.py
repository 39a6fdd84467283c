"""What an epoch costs here, measured by a few steps, so that trainings of equal seconds can be planned."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from evaluators.data.images import Split
from evaluators.data.splits import Dataset
from evaluators.devices import denormals_as_zero, gpus_of
from evaluators.training.augmentation import cost_at, sides_of_training
from evaluators.training.batches import TrainingBatches
from evaluators.training.optimizers import make_optimizer
from evaluators.training.placement import place
from evaluators.training.recipes import Recipe
from evaluators.training.step import take_step

LEAST_STEPS, MOST_STEPS = 3, 10  # whole ones: in the first one the library still prepares itself for their size
FEW, SETS_UP = 8, 4  # the first step has an eighth of the images, and may take four times as long as it should
FORWARD = 1 / 3  # of a step: what a scored image costs
MOST_EPOCHS = 300  # more have brought nothing here
MEASURING = 0.01  # of the time of a retraining, for measuring what an epoch of it costs
FREE = 0.25  # of an epoch


def measure_epoch(
    network: nn.Module,
    data: Dataset,
    recipe: Recipe,
    *,
    device: torch.device | str = "cpu",
    precision: torch.dtype = torch.float32,
    seconds: float = 0.5,
    enough: float = math.inf,
    retrains: bool = False,
) -> float:
    """Return about how many seconds an epoch of a trial takes, the scoring of the validation images included.

    It is the mean over a training: where the recipe begins with smaller images, those cost less.

    Parameters
    ----------
    network
        It is changed by the steps: take one that is not needed any more.
    data, recipe, device, precision
        As ``evaluators.training.loop.train`` takes them.
    seconds
        How long it measures, at least three steps. A step of few images comes first, and is not counted.
    enough
        Of an epoch that takes longer for certain, judged by that first step, nothing more is measured.
    retrains
        Whether it is an epoch of a retraining: the validation images are trained on, and none is scored.

    Raises
    ------
    EvaluatorError, TrainingDiverged
        As a training raises them.
    """
    device = torch.device(device)
    place(network, device)
    network.train()
    height = data.train.images.shape[2]
    with torch.random.fork_rng(devices=gpus_of(device)), denormals_as_zero():
        some = Split(data.train.images[: (MOST_STEPS + 1) * recipe.batch_size], data.train.labels[: (MOST_STEPS + 1) * recipe.batch_size])
        batches = TrainingBatches(some, data, replace(recipe, start_size=1.0), 1, torch.Generator().manual_seed(0), device)
        steps = len((data.train_and_validation if retrains else data.train).labels) / batches.size
        times = _times_of_steps(network, batches, recipe, precision)
        shortest = next(times) / SETS_UP
        is_enough = shortest * steps >= enough
        if not is_enough:
            begin = time.perf_counter()
            taken = []
            for each in times:
                taken.append(each)
                if len(taken) >= LEAST_STEPS and time.perf_counter() - begin >= seconds:
                    break
            shortest = min(taken)  # other work on the machine only adds
    sides = sides_of_training(height, recipe.start_size)
    share = sum(cost_at(side, height) for side in sides) / len(sides)
    scored = 0 if retrains else len(data.validation.labels) * (2 if recipe.flip_averaging else 1) * FORWARD / batches.size
    cost = shortest * (share * steps + scored)
    return max(cost, enough) if is_enough else cost


def _times_of_steps(network: nn.Module, batches: TrainingBatches, recipe: Recipe, precision: torch.dtype) -> Iterator[float]:
    """Yield the seconds of steps: of one with few images what that would come to with all, then of whole ones, their images included."""
    optimizer = make_optimizer(network, recipe)

    def step(inputs: Tensor, labels: Tensor) -> float:
        height, width = inputs.shape[2:]
        begin = time.perf_counter()
        take_step(network, optimizer, inputs, labels, recipe, precision, (height, width)).tolist()  # which waits for a GPU
        return time.perf_counter() - begin

    begin = time.perf_counter()
    for number, (inputs, labels) in enumerate(batches.epoch(0)):
        drawing = time.perf_counter() - begin
        if number == 0:
            few = max(2, len(inputs) // FEW)
            yield step(inputs[:few], labels[:few]) * len(inputs) / few
        yield drawing + step(inputs, labels)
        begin = time.perf_counter()


def epochs_within(seconds: float, network: nn.Module, data: Dataset, recipe: Recipe, **where: Any) -> int:
    """Return how many epochs of a retraining fit into so many seconds, 1 to ``MOST_EPOCHS``; ``network`` is changed.

    They fill the time where steps are as fast as the fastest that was measured. Where they turn out slower, a training leaves epochs out;
    as one of few epochs cannot, a quarter of an epoch is left free.

    Parameters
    ----------
    where
        ``device`` and ``precision``, as ``measure_epoch`` takes them.
    """
    cost = measure_epoch(network, data, recipe, seconds=max(0.5, MEASURING * seconds), retrains=True, **where)
    return max(1, min(MOST_EPOCHS, int(seconds / cost - FREE)))
