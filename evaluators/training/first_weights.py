"""First weights that are taken from training images."""

from __future__ import annotations

from typing import Any

from torch import nn

from evaluators.training.batches import TrainingBatches

INITIALIZATION_PIXELS = 5_000 * 32 * 32  # of images from which first weights are taken


def initialize_from_images(network: nn.Module, batches: TrainingBatches) -> None:
    """Let those modules of ``network`` that offer it (``initialize_from``) take their first weights from the images of ``batches``."""
    initializers: list[Any] = [module.initialize_from for module in network.modules() if hasattr(module, "initialize_from")]
    if initializers:
        height, width = batches.split.images.shape[2:]
        images = batches.first(max(1, INITIALIZATION_PIXELS // (height * width)))
        for initialize_from in initializers:
            initialize_from(images)
