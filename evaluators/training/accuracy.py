"""How many images a network answers correctly: as they are, and averaged over mirror images."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from evaluators.data.images import Split
from evaluators.data.splits import Dataset, iterate_batches
from evaluators.devices import autocast
from evaluators.training.augmentation import Normalizer

EVALUATION_BATCH = 500


def measure_accuracy(
    network: nn.Module,
    split: Split,
    data: Dataset,
    *,
    device: torch.device | str = "cpu",
    precision: torch.dtype = torch.float32,
    flip_averaging: bool = False,
) -> float:
    """Return the share of ``split`` that ``network`` answers correctly, in [0, 1]: one pass in evaluation mode.

    Parameters
    ----------
    network
        Normalised images [N, 3, H, W] -> logits [N, classes], on ``device``.
    split
        The images, as bytes.
    data
        Says how images are normalised.
    device, precision
        Where and how exactly it computes.
    flip_averaging
        Whether an answer is the mean of the logits of the image and of its mirror image, in place of those of the image alone.
    """
    plain, mirrored = _count_correct(network, split, data, device, precision, mirrors=flip_averaging)
    return int(mirrored if flip_averaging else plain) / len(split)


def measure_accuracies(
    network: nn.Module,
    split: Split,
    data: Dataset,
    *,
    device: torch.device | str = "cpu",
    precision: torch.dtype = torch.float32,
) -> tuple[float, float]:
    """Return what ``measure_accuracy`` does without and with mirror images, of one pass over the images.

    Returns
    -------
    plain, mirrored : float
        In [0, 1].
    """
    plain, mirrored = _count_correct(network, split, data, device, precision, mirrors=True)
    return int(plain) / len(split), int(mirrored) / len(split)


@torch.no_grad()
def _count_correct(
    network: nn.Module, split: Split, data: Dataset, device: torch.device | str, precision: torch.dtype, *, mirrors: bool
) -> tuple[Tensor, Tensor]:
    """Return the numbers of correct answers for the images and, with ``mirrors``, for them and their mirror images."""
    device = torch.device(device)
    normalize = Normalizer(data.mean, data.std, channels_last=True)
    network.eval()
    counts = torch.zeros(2, dtype=torch.int64, device=device)  # read once, so that a GPU need not wait for its answers
    for images, labels in iterate_batches(split, EVALUATION_BATCH, generator=None, drop_last=False):
        inputs, labels = normalize(images.to(device)), labels.to(device)
        with autocast(device, precision):
            answers = [network(inputs)]
            if mirrors:
                answers.append(answers[0] + network(inputs.flip(3)))
        counts[: len(answers)] += torch.stack([(logits.argmax(1) == labels).sum() for logits in answers])
    return counts[0], counts[1]
