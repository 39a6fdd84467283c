"""Augmentation of whole batches of images, and their normalisation.

Every function takes images [N, C, H, W], uint8 or floating point, leaves them as they are and returns others of the same shape and type,
or these very ones where there is nothing to do; ``rand_augment`` takes uint8 alone, ``shrink`` returns
smaller ones, ``Normalizer`` float32. Random draws come from the generator given, which stays on its own device whatever that of the images.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.nn.functional import interpolate, pad
from torchvision.transforms.v2 import RandAugment

ALIKE = 8  # images of a batch that RandAugment changes in the same way: one by one they would take several times as long


def random_crop(images: Tensor, padding: int = 4, *, generator: torch.Generator, fill: str = "black") -> Tensor:
    """Pad every side by ``padding`` pixels and cut the old size at a place drawn uniformly for each image.

    ``fill`` is what is padded with: ``black``, 0, on uint8 images before normalisation as in torchvision's
    RandomCrop(size, padding); or ``reflect``, the image mirrored at its edge.
    """
    if padding == 0:
        return images
    top, left = _draw(2 * padding + 1, 2 * padding + 1, images, generator)
    return crop_at(images, top, left, padding, fill)


def crop_at(images: Tensor, top: Tensor, left: Tensor, padding: int, fill: str = "black") -> Tensor:
    """Cut the old size from the padded images at the offsets top, left: int64 [N] in 0..2*padding."""
    count, _, height, width = images.shape
    if fill == "reflect":
        rows, columns = (_reflected(length, padding).to(images.device) for length in (height, width))
        padded = images.index_select(2, rows).index_select(3, columns)
    else:
        padded = pad(images, (padding, padding, padding, padding))
    # A view [N, C, 2p+1, 2p+1, H, W] of every possible crop: nothing is copied but the crop chosen of each image.
    windows = padded.unfold(2, height, 1).unfold(3, width, 1)
    return windows[torch.arange(count, device=images.device), :, top, left]


def _reflected(length: int, padding: int) -> Tensor:
    """Return positions -padding .. length + padding - 1, those outside mirrored at the first and the last one: int64."""
    distance = torch.arange(-padding, length + padding).abs()
    return (length - 1 - (length - 1 - distance).abs()).clamp(0)


def random_flip(images: Tensor, *, generator: torch.Generator) -> Tensor:
    """Mirror each image left to right with probability 1/2."""
    chosen = torch.rand(len(images), generator=generator, device=generator.device) < 0.5
    return flip_at(images, chosen.to(images.device))


def flip_at(images: Tensor, chosen: Tensor) -> Tensor:
    """Mirror the images where ``chosen``, bool [N], is true."""
    return torch.where(chosen[:, None, None, None], images.flip(3), images)


def rand_augment(images: Tensor, magnitude: int, *, generator: torch.Generator) -> Tensor:
    """Apply torchvision's RandAugment (arXiv 1909.13719): two of its 14 operations, drawn anew for every 8 images of the batch.

    ``magnitude`` is 0 to 30, 0 is off; ``images`` are uint8.
    """
    if magnitude == 0:
        return images
    change = RandAugment(num_ops=2, magnitude=magnitude)
    with lend(generator):
        return torch.cat([change(group) for group in images.split(ALIKE)])


@contextmanager
def lend(generator: torch.Generator) -> Iterator[None]:
    """Seed torch's own generator of the CPU from ``generator`` for functions that draw from it; put it back afterwards."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(int(torch.randint(2**62, (1,), generator=generator, device=generator.device)))
        yield


def cutout(images: Tensor, size: int, *, generator: torch.Generator, value: float | Sequence[float] = 0) -> Tensor:
    """Fill one square of ``size`` pixels in each image with ``value`` (DeVries & Taylor 2017).

    The centre is drawn uniformly over all pixels, so a part of the square may lie outside of the image. Size 0 is off.
    ``value`` is one number, or one a channel. In the paper (and in DARTS) it is 0 after normalisation, the mean colour: on
    uint8 images that are normalised later, 255 times the mean of each channel comes to the same, to the nearest level.
    """
    if size == 0:
        return images
    row, column = _draw(images.shape[2], images.shape[3], images, generator)
    return cutout_at(images, row, column, size, value)


def cutout_at(images: Tensor, row: Tensor, column: Tensor, size: int, value: float | Sequence[float] = 0) -> Tensor:
    """Fill the square with its centre at row, column (int64 [N]): rows row - size//2 up to row - size//2 + size - 1."""
    inside_rows = _inside(row, size, images.shape[2])
    inside_columns = _inside(column, size, images.shape[3])
    mask = (inside_rows[:, :, None] & inside_columns[:, None, :])[:, None]
    fill = torch.as_tensor(value, device=images.device)
    if not images.is_floating_point():
        fill = fill.round()
    return torch.where(mask, fill.to(images.dtype).reshape(-1, 1, 1), images)


def _inside(centre: Tensor, size: int, length: int) -> Tensor:
    """Return bool [N, length]: which positions the square covers along one side."""
    offset = torch.arange(length, device=centre.device) - (centre - size // 2)[:, None]
    return (offset >= 0) & (offset < size)


def _draw(rows: int, columns: int, images: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Draw a row in 0..rows-1 and a column in 0..columns-1 for each image, int64 [N], on the device of the images."""
    count, device = len(images), generator.device
    row = torch.randint(rows, (count,), generator=generator, device=device)
    column = torch.randint(columns, (count,), generator=generator, device=device)
    return row.to(images.device), column.to(images.device)


def augment(
    images: Tensor,
    *,
    padding: int = 4,
    fill: str = "black",
    flip: bool = True,
    rand_magnitude: int = 0,
    cutout_size: int = 0,
    cutout_value: float | Sequence[float] = 0,
    generator: torch.Generator,
) -> Tensor:
    """Augment as is usual for CIFAR-10: random crop, random flip, RandAugment, cutout, in this order; each can be off (0, False)."""
    images = random_crop(images, padding, fill=fill, generator=generator)
    if flip:
        images = random_flip(images, generator=generator)
    images = rand_augment(images, rand_magnitude, generator=generator)
    return cutout(images, cutout_size, generator=generator, value=cutout_value)


def normalization(mean: Sequence[float], std: Sequence[float]) -> tuple[Tensor, Tensor]:
    """Return what pixels from 0 to 255 are multiplied by, and what is then added, float32 [C, 1, 1], to have (x / 255 - mean) / std.

    Parameters
    ----------
    mean, std
        One a channel, in the [0, 1] scale; every std more than 0.

    Raises
    ------
    ValueError
        They are of two lengths, or some std is not more than 0.
    """
    if len(mean) != len(std) or min(std) <= 0:
        raise ValueError(f"mean {tuple(mean)} and std {tuple(std)} must have one length, and every std must be above 0")
    deviation = torch.tensor(std, dtype=torch.float64)
    # x / 255 / std - mean / std: one multiplication and one addition a pixel
    scale = (1 / (255 * deviation)).float().reshape(-1, 1, 1)
    return scale, (-torch.tensor(mean, dtype=torch.float64) / deviation).float().reshape(-1, 1, 1)


class Normalizer:
    """Turns uint8 images [N, 3, H, W] into (images / 255 - mean) / std, float32 of the memory format wanted.

    Parameters
    ----------
    mean, std
        As ``normalization`` takes them.
    channels_last
        Memory format of the result, which convolutions on new CPUs and GPUs prefer.
    """

    def __init__(
        self,
        mean: Sequence[float],
        std: Sequence[float],
        *,
        channels_last: bool = False,
    ) -> None:
        self._scale, self._shift = normalization(mean, std)
        self._memory_format = torch.channels_last if channels_last else torch.contiguous_format

    def __call__(self, images: Tensor) -> Tensor:
        """Return ``images``, uint8 [N, C, H, W], normalised; raise ``TypeError`` where they are of another type."""
        if images.dtype != torch.uint8:
            raise TypeError(f"images of {images.dtype} given to Normalizer; it takes torch.uint8")
        self._scale, self._shift = self._scale.to(images.device), self._shift.to(images.device)
        # Laid out last: with the channels innermost, the arithmetic alone would take several times as long on a CPU.
        normalised = images.contiguous().float().mul_(self._scale).add_(self._shift)
        return normalised.contiguous(memory_format=self._memory_format)


def sides_of_training(side: int, start_size: float) -> list[int]:
    """Return the sides, in pixels, that images of a full ``side`` have in the course of a training, the smallest first.

    They are all multiples of 4 pixels from ``start_size`` (a share of the full side) on, and the full side.
    """
    first = min(side, max(4, 4 * round(start_size * side / 4)))
    return [*range(first, side, 4), side]


def side_at(progress: float, side: int, start_size: float) -> int:
    """Return which of ``sides_of_training`` images have at this ``progress`` in [0, 1] of a training."""
    sides = sides_of_training(side, start_size)
    return sides[min(len(sides) - 1, int(progress * len(sides)))]


def cost_at(side: int, full: int) -> float:
    """Return about what a step with images of ``side`` takes, as a share of one with images of ``full``: half of it goes with the pixels.

    At 24 of 32 pixels that is 0.78; measured on one core, 0.79 (convnet32, width 32) and 0.73 (width 64).
    """
    return (1 + (side / full) ** 2) / 2


def shrunk_size(now: int, height: int, width: int) -> tuple[int, int]:
    """Return height and width of images [height, width] whose height is made ``now``."""
    return now, max(1, round(now * width / height))


def shrink(images: Tensor, start_size: float, progress: float) -> Tensor:
    """Resize images [N, C, H, W], floating point, to the side for this ``progress`` in [0, 1] of a training.

    The side rises in equal spans of the training through those of ``sides_of_training``.
    """
    height, width = images.shape[2:]
    now = side_at(progress, height, start_size)
    if now == height:
        return images
    smaller = interpolate(images, size=shrunk_size(now, height, width), mode="bilinear", antialias=True)
    return smaller.contiguous(memory_format=torch.channels_last)
