"""What a training sees: images drawn, augmented, normalised and sized as the recipe has it, batch by batch, from memory."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor
from torchvision.transforms.v2 import CutMix, MixUp, RandomChoice

from evaluators.data.images import Split
from evaluators.data.splits import Dataset, iterate_batches
from evaluators.training.augmentation import Normalizer, augment, lend, random_flip, shrink
from evaluators.training.recipes import Recipe

LEAST_MIXING = 0.001  # below, one of two images has next to all of the share


class TrainingBatches:
    """The batches of a whole training.

    The images are moved to the device once, as bytes, and stay there; each batch is augmented there as a whole. A last batch that is not
    full is left out, unless the recipe keeps it and it has the two images that batch normalisation needs.

    Parameters
    ----------
    split
        The images to train on.
    data
        Says how they are normalised.
    recipe, epochs
        How they are augmented, in how many epochs altogether.
    generator
        From which order and augmentation are drawn, and from nothing else.
    device
        Where batches are made.
    """

    def __init__(self, split: Split, data: Dataset, recipe: Recipe, epochs: int, generator: torch.Generator, device: torch.device) -> None:
        self.recipe, self.epochs, self.generator = recipe, epochs, generator
        self.normalize = Normalizer(data.mean, data.std, channels_last=True)
        self.alternating = recipe.flip == "alternating"
        split = split.to(device)
        self.split = Split(random_flip(split.images, generator=generator), split.labels) if self.alternating else split
        self.size = min(recipe.batch_size, len(split))
        self.drop_last = recipe.drop_last or len(split) % self.size == 1
        self.images = len(split) - len(split) % self.size if self.drop_last else len(split)
        self.steps = math.ceil(self.images / self.size)
        self.augmentation: dict[str, Any] = {"padding": recipe.crop_padding, "fill": recipe.crop_fill, "flip": not self.alternating}
        self.augmentation |= {
            "rand_magnitude": recipe.rand_augment,
            "cutout_size": recipe.cutout,
            "cutout_value": [255 * mean for mean in data.mean],
        }
        self.mixing = _mixing(recipe, data.num_classes, generator)

    def first(self, count: int) -> Tensor:
        """Return the first images, [count, 3, H, W] or fewer: normalised, whole, mirrored as in the first epoch."""
        return self.normalize(self.split.images[:count])

    def epoch(self, number: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the batches of epoch ``number`` (0, 1, ...): inputs [N, 3, H, W], labels [N] or, of mixed images, [N, classes]."""
        batches = iterate_batches(self.split, self.size, generator=self.generator, drop_last=self.drop_last)
        for step, (images, labels) in enumerate(batches, start=number * self.steps):
            if self.alternating and number % 2 == 1:
                images = images.flip(3)
            images = augment(images, **self.augmentation, generator=self.generator)
            inputs = shrink(self.normalize(images), self.recipe.start_size, step / (self.epochs * self.steps))
            if self.mixing is not None:
                inputs, labels = self.mixing(inputs, labels)
            yield inputs, labels


def _mixing(recipe: Recipe, num_classes: int, generator: torch.Generator) -> Callable[[Tensor, Tensor], tuple[Tensor, Tensor]] | None:
    """Return what mixes the images and labels of a batch, if anything does: torchvision's."""
    ways: list[Any] = [MixUp(alpha=recipe.mixup, num_classes=num_classes)] if recipe.mixup >= LEAST_MIXING else []
    ways += [CutMix(alpha=recipe.cutmix, num_classes=num_classes)] if recipe.cutmix >= LEAST_MIXING else []
    if not ways:
        return None
    choice = RandomChoice(ways)

    def mix(inputs: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        with lend(generator):
            inputs, labels = choice(inputs, labels)
        return inputs.contiguous(memory_format=torch.channels_last), labels

    return mix
