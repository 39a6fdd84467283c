"""All scores of an untrained network, and how several of them rank many networks together."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from common.errors import EvaluatorError, unknown_name
from evaluators.complexity import measure_complexity
from evaluators.data.splits import Dataset
from evaluators.training.augmentation import normalization
from evaluators.zero_cost import SCORES
from evaluators.zero_cost.activations import meco, naswot, swap
from evaluators.zero_cost.gradients import synflow, zico

BATCH = 64  # images that a network is scored by
MEASURED: dict[str, Callable[[nn.Module, Tensor, Tensor], float]] = {
    "naswot": naswot,
    "swap": swap,
    "meco": meco,
    "zico": zico,
    "synflow": synflow,
}
SIZES = ("parameters", "flops")
# Chosen by CIFAR-100's validation accuracies of 300 cells of NAS-Bench-201; benchmarks/zero_cost.py measures it on others.
ENSEMBLE = ("meco", "swap", "synflow")


def score_untrained(network: nn.Module, data: Dataset, names: Iterable[str] = SCORES, *, seed: int = 0) -> dict[str, float]:
    """Return scores of ``network`` by name, each higher for what is expected to learn better; the network gets new first weights.

    Parameters
    ----------
    network
        Normalised images [N, 3, H, W] -> logits, on the CPU.
    data
        64 of its training images are looked at, drawn by ``seed``.
    names
        Among ``SCORES``.
    seed
        Of the images and of the weights: normal, by He's rule (arXiv 1502.01852, equation 10), which the papers of these scores take.

    Returns
    -------
    dict[str, float]
        A score that cannot be had of this network is minus infinity.

    Raises
    ------
    EvaluatorError
        A name is unknown.
    """
    names = tuple(names)
    for name in names:
        if name not in SCORES:
            raise EvaluatorError(unknown_name("zero-cost score", name, SCORES))
    images, labels = _batch(data, seed)
    sizes: Mapping[str, Any] = measure_complexity(network, images.shape[1:]) if any(name in SIZES for name in names) else {}
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # and no GPU's, which are not put back
        draw_first_weights(network)
    told = {name: float(sizes[name]) for name in names if name in SIZES}
    network.train()
    for name in names:
        if name in MEASURED:
            value = MEASURED[name](network, images, labels)
            told[name] = value if math.isfinite(value) else -math.inf
    return {name: told[name] for name in names}


def score_network(network: nn.Module, *, data: Dataset, seed: int = 0, proxy: str = "meco") -> float:
    """Return the score of ``network`` that is called ``proxy``, as ``score_untrained`` does: an evaluator.

    Raises
    ------
    EvaluatorError
        It cannot be had of this network: its trial fails, and no other is taken for as good.
    """
    score = score_untrained(network, data, [proxy], seed=seed)[proxy]
    if not math.isfinite(score):
        raise EvaluatorError(f"{proxy} cannot be had of this untrained network; choose another proxy, such as synflow")
    return score


def draw_first_weights(network: nn.Module) -> None:
    """Draw the weights of convolutions and matrices from a normal distribution of variance 2 / fan-in; biases become 0."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight, mode="fan_in", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def _batch(data: Dataset, seed: int) -> tuple[Tensor, Tensor]:
    """Return 64 normalised training images and their labels, or all where there are fewer."""
    picked = torch.randperm(len(data.train.images), generator=torch.Generator().manual_seed(seed))[:BATCH]
    scale, shift = normalization(data.mean, data.std)
    return data.train.images[picked].float() * scale + shift, data.train.labels[picked].long()


def rank_together(scores: Sequence[Mapping[str, float]], names: Sequence[str] = ENSEMBLE) -> list[float]:
    """Return one score for each of many networks, higher for better: the sum over ``names`` of log(rank / number of networks).

    Lee and Ham, *AZ-NAS* (CVPR 2024, arXiv 2403.19232): a network that is bad by one score is bad.

    Parameters
    ----------
    scores
        Of each network, by name.
    names
        Those that count. Equal scores share the mean of their ranks.
    """
    from scipy.stats import rankdata

    columns = [np.array([each[name] for each in scores], dtype=float) for name in names]
    total = sum(np.log(rankdata(column) / len(scores)) for column in columns)
    return [float(value) for value in np.atleast_1d(total)]
