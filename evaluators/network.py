"""A trained network that takes images as they are: the normalisation is a part of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn

from common.errors import EvaluatorError
from common.text import show
from evaluators.data.pixels import as_tensor, many_images, one_image
from evaluators.devices import autocast
from evaluators.training.accuracy import EVALUATION_BATCH
from evaluators.training.augmentation import normalization

SLACK = 0.5  # images that were resized may be a little below 0 or above 1


class ReadyNetwork(nn.Module):
    """Images -> logits [N, classes], in evaluation mode from the start.

    Its state is that of the network, under ``network.``, and two tensors of the normalisation.

    Parameters
    ----------
    network
        Normalised images [N, 3, H, W] -> logits [N, classes]. It is taken as it is, not copied.
    mean, std
        Per channel, in the [0, 1] scale, of the images by which it was trained (``Dataset.mean``, ``Dataset.std``).
    classes
        Names of the classes, in the order of their labels.
    precision
        In which it was trained and scored, ``torch.float32`` or ``torch.bfloat16``: it computes in the same.
    """

    scale: Tensor
    shift: Tensor

    def __init__(
        self,
        network: nn.Module,
        mean: Sequence[float],
        std: Sequence[float],
        classes: Sequence[str],
        precision: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        self.precision = precision
        self._range_is_checked = False
        self.network = network.to(memory_format=torch.channels_last)
        self.classes = tuple(classes)
        scale, shift = normalization(mean, std)
        self.register_buffer("scale", scale)
        self.register_buffer("shift", shift)
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits [N, classes], float32, of images [N, 3, H, W] on the network's device: uint8, or floating point from 0 to 1.

        Raises
        ------
        EvaluatorError
            The images have another type or shape, or those of the first batch in floating point another range by far.
        """
        if not isinstance(images, Tensor):
            raise EvaluatorError(f"{show(images)} is no tensor; expected one, [N, 3, H, W]. classify() takes pictures and arrays, too")
        if images.dim() != 4 or images.shape[1] != 3:
            raise EvaluatorError(f"images of shape {tuple(images.shape)}; expected [N, 3, H, W]")
        if images.dtype != torch.uint8 and not images.is_floating_point():
            raise EvaluatorError(f"images of {images.dtype}; expected torch.uint8, or floating point from 0 to 1")
        pixels = images.contiguous().to(self.scale.dtype)
        if images.dtype != torch.uint8:
            self._check_range(pixels)
            pixels = pixels * 255
        with autocast(images.device, self.precision):
            logits = self.network((pixels * self.scale + self.shift).contiguous(memory_format=torch.channels_last))
        return (logits[0] if isinstance(logits, tuple) else logits).float()  # in training an auxiliary head answers too

    @torch.no_grad()
    def _check_range(self, pixels: Tensor) -> None:
        """Check the first batch alone: each look waits for the device. What is traced or exported can branch on no value."""
        if self._range_is_checked or not len(pixels) or torch.compiler.is_compiling() or torch.jit.is_tracing():
            return
        low, high = (float(end) for end in pixels.aminmax())
        if low < -SLACK or high > 1 + SLACK:
            raise EvaluatorError(f"images in floating point from {low:.3g} to {high:.3g}; expected 0 to 1, not normalised")
        self._range_is_checked = True

    @torch.no_grad()
    def classify(self, images: Any) -> list[str]:
        """Return the name of the class of each image.

        Parameters
        ----------
        images
            One picture or several: pillow's, or a tensor or array [N, 3, H, W], [N, H, W, 3] or without N; uint8, or floating point from
            0 to 1; one channel is repeated. They have the size of those by which the network was trained.

        Raises
        ------
        DataError
            The images have another form or range.
        """
        self.eval()
        pixels = _as_batch(images).to(self.scale.device)
        numbers = torch.cat([self(batch).argmax(1) for batch in pixels.split(EVALUATION_BATCH)]).tolist() if len(pixels) else []
        return [self.classes[number] for number in numbers]


def _as_batch(images: Any) -> Tensor:
    """Return one picture or several as uint8 [N, 3, H, W]."""
    if isinstance(images, Image.Image):
        return one_image(images, "the image")[None]
    if isinstance(images, list | tuple):
        return (
            torch.stack([one_image(image, f"image {index}") for index, image in enumerate(images)]) if images else torch.empty(0, 3, 1, 1)
        )
    tensor = as_tensor(images, "the images")
    return many_images(tensor, "the images") if tensor.dim() == 4 else one_image(tensor, "the image")[None]
