"""How good a network is by weights that it has inherited from a supernet: nothing is trained.

Guo et al. 2020 (SPOS, arXiv 1904.00420, section 3.4): the statistics of its batch normalisations, which in a supernet are those of all
paths together, are computed anew on some training images; then it is scored on images that the supernet's weights have not seen.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from evaluators.data.images import Split, stratified_cut
from evaluators.data.splits import Dataset, iterate_batches
from evaluators.devices import autocast, gpus_of
from evaluators.training.accuracy import measure_accuracy
from evaluators.training.augmentation import Normalizer

STATISTICS_IMAGES, VALIDATION_IMAGES = 2_000, 5_000
STATISTICS_BATCH = 250


def supernet_halves(data: Dataset, seed: int) -> Dataset:
    """Return ``data`` as a supernet of this ``seed`` sees it: ``train`` is the half for its weights, ``validation`` that for its alphas.

    The training and validation images together are cut in two halves of one size, class by class (Liu et al. 2019, section 3.1).
    """
    whole = data.train_and_validation
    halves = stratified_cut(whole.labels, len(whole) // 2, torch.Generator().manual_seed(seed))
    # Of an odd number of images one is left out: a half with a batch more would set the number of steps, and the schedule knows one.
    weights_half, architecture_half = (whole.take(half[: len(whole) // 2]) for half in halves)
    return replace(data, train=weights_half, validation=architecture_half)


def inherited_accuracy(
    network: nn.Module,
    *,
    data: Dataset,
    seed: int = 0,
    device: torch.device | str = "cpu",
    precision: torch.dtype = torch.float32,
    statistics_images: int = STATISTICS_IMAGES,
    validation_images: int = VALIDATION_IMAGES,
) -> float:
    """Return the share of validation images that ``network`` answers correctly with the weights it has, in [0, 1]: an evaluator.

    Neither the network nor torch's generators are changed.

    Parameters
    ----------
    network
        Normalised images [N, 3, H, W] -> logits [N, classes].
    data
        What ``supernet_halves`` gives.
    seed
        Of the images that are looked at.
    device, precision
        Where and how exactly it computes.
    statistics_images
        Training images by which the batch statistics are computed, 1 or more; all where there are fewer.
    validation_images
        Images that it is scored on, 1 or more; all where there are fewer.
    """
    device = torch.device(device)
    network.to(device)
    with _left_as_it_was(network), torch.random.fork_rng(devices=gpus_of(device)):
        torch.manual_seed(seed)  # of dropout, which is on while statistics are computed
        compute_statistics(network, _some(data.train, statistics_images, seed), data, seed=seed, device=device, precision=precision)
        return measure_accuracy(network, _some(data.validation, validation_images, seed), data, device=device, precision=precision)


@torch.no_grad()
def compute_statistics(network: nn.Module, split: Split, data: Dataset, *, seed: int, device: torch.device, precision: torch.dtype) -> None:
    """Give the batch normalisations of ``network`` the mean statistics of batches of ``split``, as they are, in an order by ``seed``."""
    norms = _norms(network)
    if not norms:
        return
    buffers: list[Any] = [buffer for norm in norms for buffer in (norm.running_mean, norm.running_var)]
    moved = [1.0 if norm.momentum is None else norm.momentum for norm in norms for _ in range(2)]
    sums = [torch.zeros_like(buffer) for buffer in buffers]
    normalize, size, count = Normalizer(data.mean, data.std, channels_last=True), min(STATISTICS_BATCH, len(split)), 0
    network.train()
    for images, _ in iterate_batches(split, size, generator=torch.Generator().manual_seed(seed), drop_last=True):
        for norm in norms:
            _reset(norm)
        with autocast(device, precision):
            network(normalize(images.to(device)))
        count += 1
        # From 0 they move to momentum times the batch's: NNI's norms of several widths heed no other momentum than their first one.
        for total, buffer, momentum in zip(sums, buffers, moved, strict=True):
            total.add_(buffer, alpha=1 / momentum)
    for total, buffer in zip(sums, buffers, strict=True):
        buffer.copy_(total / count)


def _reset(norm: _BatchNorm) -> None:
    for buffer in norm.buffers(recurse=False):  # the number of batches, too, by which those without a momentum go
        buffer.zero_()


def _some(split: Split, count: int, seed: int) -> Split:
    """Return ``count`` images, the classes in their proportions."""
    if count >= len(split):
        return split
    return split.take(stratified_cut(split.labels, count, torch.Generator().manual_seed(seed))[0])


def _norms(network: nn.Module) -> list[_BatchNorm]:
    return [module for module in network.modules() if isinstance(module, _BatchNorm) and module.running_mean is not None]


@contextmanager
def _left_as_it_was(network: nn.Module) -> Iterator[None]:
    """Put mode and running statistics of ``network`` back at the end of the ``with`` block."""
    was_training = network.training
    buffers: list[Tensor] = [buffer for norm in _norms(network) for buffer in norm.buffers(recurse=False)]
    values = [buffer.clone() for buffer in buffers]
    try:
        yield
    finally:
        network.train(was_training)
        for buffer, value in zip(buffers, values, strict=True):
            buffer.copy_(value)
