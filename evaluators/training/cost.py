"""What an epoch costs here, measured by a few steps, so that trainings of equal seconds can be planned."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from evaluators.data.splits import Dataset
from evaluators.devices import denormals_as_zero, gpus_of
from evaluators.training.augmentation import sides_of_training
from evaluators.training.batches import TrainingBatches
from evaluators.training.optimizers import make_optimizer
from evaluators.training.recipes import Recipe
from evaluators.training.step import take_step
from kernels.grouped import keep_grouped_in_float32
from kernels.small_maps import speed_up_small_maps
from kernels.thin_strides import avoid_thin_strides

MOST_STEPS = 10  # after the first, which sets things up
FORWARD = 1 / 3  # of a step: what a scored image costs
MOST_EPOCHS = 300  # more have brought nothing here
RESERVE = 0.05  # of the time, for what the measurement does not see


def measure_epoch(
    network: nn.Module,
    data: Dataset,
    recipe: Recipe,
    *,
    device: torch.device | str = "cpu",
    precision: torch.dtype = torch.float32,
    seconds: float = 0.5,
) -> float:
    """Return about how many seconds an epoch of training takes, the scoring of the validation images included.

    It is the mean over a training: where the recipe begins with smaller images, those cost as much less as they have fewer pixels.

    Parameters
    ----------
    network
        It is changed by the steps: take one that is not needed any more.
    data, recipe, device, precision
        As ``evaluators.training.loop.train`` takes them.
    seconds
        How long it measures, at least one step; the first step is not counted.

    Raises
    ------
    EvaluatorError, TrainingDiverged
        As a training raises them.
    """
    device = torch.device(device)
    network.to(device=device).to(memory_format=torch.channels_last).train()
    if device.type == "cpu":
        avoid_thin_strides(network)
        speed_up_small_maps(network)
        keep_grouped_in_float32(network)
    with torch.random.fork_rng(devices=gpus_of(device)):
        generator = torch.Generator().manual_seed(0)
        batches = TrainingBatches(data.train, data, replace(recipe, start_size=1.0), 1, generator, device)
        optimizer = make_optimizer(network, recipe)
        height, width = data.train.images.shape[2:]
        taken: list[float] = []
        with denormals_as_zero():
            begin = time.perf_counter()
            for inputs, labels in batches.epoch(0):
                take_step(network, optimizer, inputs, labels, recipe, precision, (height, width)).tolist()  # which waits for a GPU
                end = time.perf_counter()
                taken.append(end - begin)
                begin = end
                if len(taken) > MOST_STEPS or (len(taken) > 1 and sum(taken[1:]) > seconds) or taken[0] > 10 * seconds:
                    break
    sides = sides_of_training(height, recipe.start_size)
    step = sum((side / height) ** 2 for side in sides) / len(sides) * min(taken[1:] or taken)  # other work on the machine only adds
    scored = len(data.validation.labels) * (2 if recipe.flip_averaging else 1) * FORWARD / recipe.batch_size
    return step * (batches.steps + scored)


def epochs_within(seconds: float, network: nn.Module, data: Dataset, recipe: Recipe, **where: Any) -> int:
    """Return how many epochs on training and validation images fit into so many seconds, 1 to ``MOST_EPOCHS``; ``network`` is changed.

    Parameters
    ----------
    where
        ``device`` and ``precision``, as ``measure_epoch`` takes them.
    """
    cost = measure_epoch(network, data, recipe, **where) * len(data.train_and_validation.labels) / len(data.train.labels)
    return max(1, min(MOST_EPOCHS, int(seconds * (1 - RESERVE) / cost)))
