"""Whether a network takes images as small as they are at the start of a training."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from common.errors import EvaluatorError
from evaluators.training.augmentation import shrunk_size, sides_of_training


def refuse_small_images(network: nn.Module, images: Tensor, full_size: tuple[int, int], start_size: float, error: Exception) -> None:
    """Raise ``EvaluatorError`` where it is for their size that ``network`` failed on ``images``; else return.

    Parameters
    ----------
    network
        In training.
    images
        [N, 3, H, W], smaller than they will be.
    full_size
        Height and width of the full images.
    start_size
        The hyperparameter that made them so small.
    error
        What the network raised.
    """
    height, width = full_size
    if _takes(network, *images.shape[2:]) or not _takes(network, height, width):
        return  # it is not their size
    least = next(side for side in sides_of_training(height, start_size) if _takes(network, *shrunk_size(side, height, width)))
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
    legal = f"from {least / height:.2g} to 1" if least < height else "only 1"
    raise EvaluatorError(
        f"start_size: {start_size:g} is too small for this network, which accepts {legal} of {height}x{width} pixels: {reason}"
    )


def _takes(network: nn.Module, height: int, width: int) -> bool:
    """Return whether ``network`` can be trained on images of this size; nothing is computed."""
    try:
        shadow = copy.deepcopy(network).to("meta").train()
        with torch.no_grad():
            shadow(torch.zeros(2, 3, height, width, device="meta"))
    except Exception:  # one that cannot be copied is none of which more could be said
        return False
    return True
