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
from evaluators.data.splits import Dataset, iterate_batches
from evaluators.devices import autocast, denormals_as_zero, gpus_of
from evaluators.memory import keep_freed_memory
from evaluators.training.augmentation import Normalizer
from evaluators.training.averaging import AveragedWeights
from evaluators.training.batches import TrainingBatches
from evaluators.training.checkpoints import Stateful, load_checkpoint, save_checkpoint, save_weights
from evaluators.training.optimizers import learning_rate_factor, make_optimizer
from evaluators.training.recipes import Recipe, make_recipe
from kernels.grouped import keep_grouped_in_float32
from kernels.small_maps import speed_up_small_maps
from kernels.thin_strides import avoid_thin_strides

EVALUATION_BATCH = 500
INITIALIZATION_PIXELS = 5_000 * 32 * 32  # of images from which first weights are taken


@dataclass(frozen=True)
class Epoch:
    """What one epoch of training brought: mean loss and accuracy (a fraction) on the augmented training images, and its seconds.

    ``learning_rate`` is the one it began with; ``None`` in checkpoints of older trainings.
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

    ``report`` gets the validation accuracy of every epoch; it may end the training by raising. ``hyperparameters`` are those of
    ``Recipe``. The test set is not touched.

    Raises
    ------
    EvaluatorError
        On an unknown hyperparameter or an illegal value.
    TrainingDiverged
        When the loss is no longer finite.
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
    """Train ``network`` in place on ``split``, normalised as ``data`` says; yields every epoch, those of an interrupted run first.

    Order and augmentation come from a generator of their own, seeded by ``seed``; dropout and drop-path draw from torch's generator,
    which the caller seeds. With ``checkpoint`` the state is kept in that file after every epoch, and an existing file is gone on from:
    on the same machine the result is the same, bit for bit (on a GPU up to the order of its sums), as without the interruption. Where the
    recipe averages weights, ``network`` has the average while a new epoch is yielded and at the end.
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
    _initialize_from(network, batches)
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
    for number in range(len(history), epochs):
        start = time.perf_counter()
        network.train()
        for path in paths:
            path.p = recipe.drop_path * number / epochs
        totals = torch.zeros(2, device=device)
        with denormals_as_zero():
            for step, (inputs, labels) in enumerate(batches.epoch(number), start=number * batches.steps + 1):
                totals += _step(network, optimizer, inputs, labels, recipe, precision)
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
    """A line for each hyperparameter of ``recipe`` that is on and changes nothing in a training of ``network``: which and why."""
    if recipe.drop_path and not any(isinstance(module, StochasticDepth) for module in network.modules()):
        yield f"drop_path {recipe.drop_path:g} has no effect: this network has no paths that could be dropped"
    if recipe.warmup_epochs and recipe.schedule == "cosine_per_batch":
        yield f"warmup_epochs {recipe.warmup_epochs:g} has no effect: the schedule {recipe.schedule} has no warm-up"


def _initialize_from(network: nn.Module, batches: TrainingBatches) -> None:
    """Let those modules that offer it (``initialize_from``) take their first weights from training images."""
    initializers: list[Any] = [module.initialize_from for module in network.modules() if hasattr(module, "initialize_from")]
    if initializers:
        height, width = batches.split.images.shape[2:]
        images = batches.first(max(1, INITIALIZATION_PIXELS // (height * width)))
        for initialize_from in initializers:
            initialize_from(images)


def _step(network: nn.Module, optimizer: Optimizer, images: Tensor, labels: Tensor, recipe: Recipe, precision: torch.dtype) -> Tensor:
    """One gradient step; returns (loss, number of correct answers; of mixed images the larger part is what is right)."""
    with autocast(images.device, precision):
        output = network(images)
    logits, auxiliary = output if isinstance(output, tuple) else (output, None)
    loss = functional.cross_entropy(logits.float(), labels, label_smoothing=recipe.label_smoothing)
    total = loss
    if auxiliary is not None:
        total = loss + recipe.auxiliary_weight * functional.cross_entropy(auxiliary.float(), labels, label_smoothing=recipe.label_smoothing)
    if not math.isfinite(total.item()):
        raise TrainingDiverged(f"the loss is {total.item()}: the training diverged (a smaller initial_lr or a grad_clip may help)")
    optimizer.zero_grad(set_to_none=True)
    total.backward()
    if recipe.grad_clip > 0:
        nn.utils.clip_grad_norm_(network.parameters(), recipe.grad_clip)
    optimizer.step()
    answers = labels if labels.dim() == 1 else labels.argmax(1)
    return torch.stack([loss.detach(), (logits.detach().argmax(1) == answers).sum()])


@torch.no_grad()
def measure_accuracy(
    network: nn.Module,
    split: Split,
    data: Dataset,
    *,
    device: torch.device | str = "cpu",
    precision: torch.dtype = torch.float32,
    flip_averaging: bool = False,
) -> float:
    """Share of ``split`` that ``network`` answers correctly, in [0, 1]: one pass in evaluation mode, images as they are.

    With ``flip_averaging`` an answer is the mean of the logits of the image and of its mirror image.
    """
    device = torch.device(device)
    normalize = Normalizer(data.mean, data.std, channels_last=True)
    network.eval()
    correct = torch.zeros((), dtype=torch.int64, device=device)  # read once, so that a GPU need not wait for its answers
    for images, labels in iterate_batches(split, EVALUATION_BATCH, generator=None, drop_last=False):
        inputs = normalize(images.to(device))
        with autocast(device, precision):
            logits = network(inputs)
            if flip_averaging:
                logits = logits + network(inputs.flip(3))
        correct += (logits.argmax(1) == labels.to(device)).sum()
    return int(correct) / len(split)


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

    ``weights`` is where the trained weights go (safetensors). Torch's generator, from which dropout and drop-path draw, is seeded for the
    training and put back afterwards.

    Returns ``{"test_accuracy": fraction, "flip_averaging": whether mirror images were scored too, "curve": [an Epoch as a dict, ...],
    "seconds": of training}``; the curve is of the training set.
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
    flips = recipe.flip_averaging
    test_accuracy = measure_accuracy(network, data.test, data, device=device, precision=precision, flip_averaging=flips)
    return {"test_accuracy": test_accuracy, "flip_averaging": flips, "curve": curve, "seconds": sum(epoch["seconds"] for epoch in curve)}
