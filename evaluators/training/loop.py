"""Training of one network on images held in memory: trials, single configurations and retraining share this loop."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR
from torchvision.ops import StochasticDepth

from common.errors import TrainingDiverged
from evaluators.data.images import Split
from evaluators.data.splits import Dataset
from evaluators.devices import autocast, denormals_as_zero, gpus_of
from evaluators.memory import keep_freed_memory
from evaluators.training.accuracy import measure_accuracies, measure_accuracy
from evaluators.training.averaging import AveragedWeights
from evaluators.training.batches import TrainingBatches
from evaluators.training.checkpoints import Stateful, load_checkpoint, save_checkpoint, save_weights
from evaluators.training.first_weights import initialize_from_images
from evaluators.training.optimizers import learning_rate_factor, make_optimizer
from evaluators.training.recipes import Recipe, make_recipe
from evaluators.training.small_images import refuse_small_images
from kernels.grouped import keep_grouped_in_float32
from kernels.small_maps import speed_up_small_maps
from kernels.thin_strides import avoid_thin_strides


@dataclass(frozen=True)
class Epoch:
    """What one epoch of training brought.

    Attributes
    ----------
    number
        1, 2, ...
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
    for _ in train(network, data.train, data, epochs=epochs, recipe=recipe, seed=seed, device=device, precision=precision):
        accuracy = measure_accuracy(network, validation, data, device=device, precision=precision, flip_averaging=recipe.flip_averaging)
        if report is not None:
            report(accuracy)
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
) -> Iterator[Epoch]:
    """Train ``network`` in place; yield every epoch, those of an interrupted training first.

    Where the recipe averages weights, ``network`` has the average while a new epoch is yielded and at the end.

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
    network.to(device=device).to(memory_format=torch.channels_last)
    if device.type == "cpu":
        avoid_thin_strides(network)
        speed_up_small_maps(network)
        keep_grouped_in_float32(network)
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
    yield from (Epoch(**epoch) for epoch in history)
    paths = [module for module in network.modules() if isinstance(module, StochasticDepth)] if recipe.drop_path else []
    height, width = split.images.shape[2:]
    full_size = height, width
    for number in range(len(history), epochs):
        start = time.perf_counter()
        network.train()
        for path in paths:
            path.p = recipe.drop_path * number / epochs
        totals = torch.zeros(2, device=device)
        with denormals_as_zero():
            for step, (inputs, labels) in enumerate(batches.epoch(number), start=number * batches.steps + 1):
                totals += _step(network, optimizer, inputs, labels, recipe, precision, full_size)
                scheduler.step()
                if average is not None:
                    average.update(network, step)
        loss, correct = totals.tolist()
        rate = recipe.initial_lr * factor(number * batches.steps)
        epoch = Epoch(number + 1, loss / batches.steps, correct / batches.images, time.perf_counter() - start, rate)
        if checkpoint is not None:
            history.append(asdict(epoch))
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


def _step(
    network: nn.Module,
    optimizer: Optimizer,
    images: Tensor,
    labels: Tensor,
    recipe: Recipe,
    precision: torch.dtype,
    full_size: tuple[int, int],
) -> Tensor:
    """Take one gradient step; return (loss, number of correct answers; of mixed images the larger part is what is right).

    ``full_size`` is that of the images before they were made smaller, height and width.
    """
    with autocast(images.device, precision):
        try:
            output = network(images)
        except (RuntimeError, ValueError) as error:
            if images.shape[2] < full_size[0]:
                refuse_small_images(network, images, full_size, recipe.start_size, error)
            raise
    logits, auxiliary = output if isinstance(output, tuple) else (output, None)
    loss = functional.cross_entropy(logits.float(), labels, label_smoothing=recipe.label_smoothing)
    total = loss
    if auxiliary is not None:
        total = loss + recipe.auxiliary_weight * functional.cross_entropy(auxiliary.float(), labels, label_smoothing=recipe.label_smoothing)
    if not math.isfinite(total.item()):
        raise TrainingDiverged(f"the training diverged: the loss is {total.item()} (a smaller initial_lr or a grad_clip may help)")
    optimizer.zero_grad(set_to_none=True)
    total.backward()
    if recipe.grad_clip > 0:
        nn.utils.clip_grad_norm_(network.parameters(), recipe.grad_clip)
    optimizer.step()
    answers = labels if labels.dim() == 1 else labels.argmax(1)
    return torch.stack([loss.detach(), (logits.detach().argmax(1) == answers).sum()])


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
    settings: dict[str, Any] = {"epochs": epochs, "recipe": recipe, "seed": seed, "checkpoint": checkpoint}
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
