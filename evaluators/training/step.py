"""One gradient step of a training."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import Optimizer

from common.errors import TrainingDiverged
from evaluators.devices import autocast
from evaluators.training.recipes import Recipe
from evaluators.training.small_images import refuse_small_images


def take_step(
    network: nn.Module,
    optimizer: Optimizer,
    images: Tensor,
    labels: Tensor,
    recipe: Recipe,
    precision: torch.dtype,
    full_size: tuple[int, int],
) -> Tensor:
    """Take one gradient step; return [2]: the loss, and the number of correct answers (of mixed images the larger part is what is right).

    Parameters
    ----------
    network
        Normalised images [N, 3, H, W] -> logits [N, classes], or a pair of which the second are an auxiliary head's.
    optimizer
        Of its parameters.
    images, labels
        One batch; labels are numbers [N], or shares of the classes [N, classes].
    recipe, precision
        By which hyperparameters, and how exactly.
    full_size
        Height and width of the images before they were made smaller.

    Raises
    ------
    EvaluatorError
        The network does not take images as small as these.
    TrainingDiverged
        The loss is not finite.
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
