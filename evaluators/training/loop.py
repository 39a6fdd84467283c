"""Training of one network on images held in memory: trials, single configurations and retraining share this loop."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR
from torchvision.ops import StochasticDepth

from evaluators.data.images import Split
from evaluators.data.splits import Dataset
from evaluators.devices import denormals_as_zero, gpus_of
from evaluators.memory import keep_freed_memory
from evaluators.training.accuracy import measure_accuracies, measure_accuracy
from evaluators.training.averaging import AveragedWeights
from evaluators.training.batches import TrainingBatches
from evaluators.training.checkpoints import Stateful, load_checkpoint, save_checkpoint, save_weights
from evaluators.training.first_weights import initialize_from_images
from evaluators.training.optimizers import learning_rate_factor, make_optimizer
from evaluators.training.placement import place
from evaluators.training.recipes import Recipe, make_recipe
from evaluators.training.step import take_step
from evaluators.training.time_limit import TimeLimit


@dataclass(frozen=True)
class Epoch:
    """What one epoch of training brought.

    Attributes
    ----------
    number
        1, 2, ...; those that were left out for want of time are not there.
    loss, accuracy
        Means over the augmented training images; the accuracy is a fraction in [0, 1].
    seconds
        Duration, without the scoring afterwards.
    learning_rate
        The one that it began with; ``None`` in checkpoints of older trainings.
    """

    number: int
    loss: float
    accuracy: float
    seconds: float
    learning_rate: float | None = None


def train_and_validate(
    network: nn.Module,
    *,
    data: Dataset,
    epochs: int,
    seed: int = 0,
    device: torch.device | str = "cpu",
    precision: torch.dtype = torch.float32,
    report: Callable[[float], Any] | None = None,
    checkpoint: Path | str | None = None,
    since: int = 0,
    until: int | None = None,
    **hyperparameters: Any,
) -> float:
    """Train ``network`` on ``data.train`` and return its accuracy on ``data.validation``, a fraction in [0, 1].

    The test set is not touched.

    Parameters
    ----------
    network
        Normalised images [N, 3, H, W] -> logits [N, classes]; in training perhaps a pair, of which the second are an auxiliary head's.
    data
        The images, and how they are normalised.
    epochs
        1 or more.
    seed
        Of the order of the images and of their augmentation.
    device, precision
        Where and how exactly it computes.
    report
        Called with the validation accuracy of every epoch; what it raises ends the training.
    checkpoint
        A file in which the state is kept after every epoch, and with which the training goes on where it exists.
    since, until
        The training has gone as far as epoch ``since``, of which is not reported again, and pauses after epoch ``until``: the learning
        rate is that of a training of all ``epochs``.
    hyperparameters
        Those of ``Recipe``; what is not given is at its default.

    Raises
    ------
    EvaluatorError
        A hyperparameter is unknown or its value illegal, or the network does not take the images as small as ``start_size`` has them.
    TrainingDiverged
        The loss is no longer finite.
    """
    recipe = make_recipe(hyperparameters)
    validation = data.validation.to(device)
    accuracy = 0.0
    how: dict[str, Any] = {"epochs": epochs, "recipe": recipe, "seed": seed, "device": device, "precision": precision}
    for epoch in train(network, data.train, data, **how, checkpoint=None if checkpoint is None else Path(checkpoint)):
        if epoch.number <= since:  # a later one that the file has is scored by the weights there are, as its own are gone
            continue
        accuracy = measure_accuracy(network, validation, data, device=device, precision=precision, flip_averaging=recipe.flip_averaging)
        if report is not None:
            report(accuracy)
        if epoch.number == until:
            break
    return accuracy


def train(
    network: nn.Module,
    split: Split,
    data: Dataset,
    *,
    epochs: int,
    recipe: Recipe,
    seed: int = 0,
    device: torch.device | str = "cpu",
    precision: torch.dtype = torch.float32,
    checkpoint: Path | None = None,
    seconds: float | None = None,
) -> Iterator[Epoch]:
    """Train ``network`` in place; yield every epoch, those of an interrupted training first.

    Where the recipe averages weights, ``network`` has the average while an epoch is yielded and at the end.

    Parameters
    ----------
    network
        As ``train_and_validate`` takes it.
    split
        The images to train on.
    data
        Says how they are normalised.
    epochs, recipe, device, precision
        How long, by which hyperparameters, where and how exactly.
    seed
        Of a generator of its own, from which order and augmentation are drawn; dropout and drop-path draw from torch's generator, which the
        caller seeds.
    checkpoint
        A file in which the state is kept after every epoch. A training whose file exists is resumed: on the same machine the result is the
        same, bit for bit (on a GPU up to the order of its sums), as without the interruption.
    seconds
        Of the whole training: where there is no time for all ``epochs``, some are left out, as ``TimeLimit`` says. The others are what they
        would be, by learning rate and size of the images.

    Raises
    ------
    EvaluatorError
        The checkpoint is broken or of another network, or the network does not take images as small as ``start_size`` has them.
    TrainingDiverged
        The loss is no longer finite.
    """
    keep_freed_memory()
    device = torch.device(device)
    generator = torch.Generator().manual_seed(seed)
    place(network, device)
    batches = TrainingBatches(split, data, recipe, epochs, generator, device)
    initialize_from_images(network, batches)
    optimizer = make_optimizer(network, recipe)
    factor = learning_rate_factor(recipe, epochs, batches.steps)
    scheduler = LambdaLR(optimizer, factor)
    state: dict[str, Stateful] = {"network": network, "optimizer": optimizer, "scheduler": scheduler}
    average = AveragedWeights(network, recipe.ema_decay) if recipe.ema_decay else None
    if average is not None:
        state["average"] = average
    history = load_checkpoint(checkpoint, state, generator) if checkpoint is not None else []
    with nullcontext() if average is None else average.instead_of_weights(network):
        yield from (Epoch(**epoch) for epoch in history)
    paths = [module for module in network.modules() if isinstance(module, StochasticDepth)] if recipe.drop_path else []
    height, width = split.images.shape[2:]
    full_size = height, width
    limit = None if seconds is None else TimeLimit(seconds, epochs, height, recipe.start_size)
    while (number := history[-1]["number"] if history else 0) < epochs:
        left_out = 0 if limit is None else limit.leave_out([(epoch["number"] - 1, epoch["seconds"]) for epoch in history])
        if left_out:
            number += left_out
            scheduler.last_epoch += left_out * batches.steps - 1
            scheduler.step()
        start = time.perf_counter()
        network.train()
        for path in paths:
            path.p = recipe.drop_path * number / epochs
        totals = torch.zeros(2, device=device)
        with denormals_as_zero():
            for step, (inputs, labels) in enumerate(batches.epoch(number), start=number * batches.steps + 1):
                totals += take_step(network, optimizer, inputs, labels, recipe, precision, full_size)
                scheduler.step()
                if average is not None:
                    average.update(network, step)
        loss, correct = totals.tolist()
        rate = recipe.initial_lr * factor(number * batches.steps)
        epoch = Epoch(number + 1, loss / batches.steps, correct / batches.images, time.perf_counter() - start, rate)
        history.append(asdict(epoch))
        if checkpoint is not None:
            save_checkpoint(checkpoint, state, generator, history)
        with nullcontext() if average is None else average.instead_of_weights(network):
            yield epoch
    if average is not None:
        average.put_into(network)


def idle_settings(network: nn.Module, recipe: Recipe) -> Iterator[str]:
    """Yield a line for each hyperparameter of ``recipe`` that is on and changes nothing in a training of ``network``: which and why."""
    if recipe.drop_path and not any(isinstance(module, StochasticDepth) for module in network.modules()):
        yield f"drop_path {recipe.drop_path:g} has no effect: this network has no paths to drop"
    if recipe.warmup_epochs and recipe.schedule == "cosine_per_batch":
        yield f"warmup_epochs {recipe.warmup_epochs:g} has no effect: the schedule {recipe.schedule} has no warm-up"


def retrain(
    network: nn.Module,
    *,
    data: Dataset,
    epochs: int,
    recipe: Recipe,
    seed: int = 0,
    device: torch.device | str = "cpu",
    precision: torch.dtype = torch.float32,
    checkpoint: Path | None = None,
    weights: Path | None = None,
    seconds: float | None = None,
    on_epoch: Callable[[Epoch], Any] | None = None,
) -> dict[str, Any]:
    """Train ``network`` on the whole training set (validation part included) and score the test set, once, at the end.

    Torch's generator, from which dropout and drop-path draw, is seeded for the training and put back afterwards.

    Parameters
    ----------
    network, data, epochs, recipe, seed, device, precision, checkpoint
        As ``train`` takes them.
    weights
        Where the trained weights go (safetensors).
    seconds
        As ``train`` takes it.
    on_epoch
        Called with every ``Epoch``, those of an interrupted training included.

    Returns
    -------
    dict
        ``test_accuracy``: a fraction in [0, 1], by the recipe's ``flip_averaging``, which is told beside it; ``plain_test_accuracy`` and
        ``mirrored_test_accuracy``: both of them, without and with mirror images; ``curve``: each ``Epoch`` as a dict, of the training set;
        ``seconds``: of training.

    Raises
    ------
    EvaluatorError, TrainingDiverged
        As ``train`` raises them.
    OSError
        The checkpoint or the weights cannot be written.
    """
    curve = []
    settings: dict[str, Any] = {"epochs": epochs, "recipe": recipe, "seed": seed, "checkpoint": checkpoint, "seconds": seconds}
    with torch.random.fork_rng(devices=gpus_of(device)):
        torch.manual_seed(seed)
        for epoch in train(network, data.train_and_validation, data, device=device, precision=precision, **settings):
            curve.append(asdict(epoch))
            if on_epoch is not None:
                on_epoch(epoch)
    if weights is not None:
        save_weights(network, weights)
    plain, mirrored = measure_accuracies(network, data.test, data, device=device, precision=precision)
    return {
        "test_accuracy": mirrored if recipe.flip_averaging else plain,
        "flip_averaging": recipe.flip_averaging,
        "plain_test_accuracy": plain,
        "mirrored_test_accuracy": mirrored,
        "curve": curve,
        "seconds": sum(epoch["seconds"] for epoch in curve),
    }
