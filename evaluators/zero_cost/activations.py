"""Scores from one pass forward of an untrained network: how it tells images apart, and how its feature maps differ."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

NO_SCORE = -math.inf  # where a network has none of the modules that a score listens to
# Their outputs are positive where their inputs are.
ACTIVATIONS = (nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.PReLU, nn.ELU, nn.SiLU, nn.GELU, nn.Hardswish, nn.Mish)
NORMS = (nn.modules.batchnorm._BatchNorm, nn.GroupNorm, nn.LayerNorm, nn.InstanceNorm2d)
PATTERN_IMAGES = 32  # as many bits as a pattern of ``swap`` has; it fits a whole number


@contextmanager
def listening(network: nn.Module, kinds: tuple[type[nn.Module], ...], hear: Callable[[Tensor], None]) -> Iterator[None]:
    """Call ``hear`` with the output of every module of ``kinds`` within the block."""

    def pass_on(module: nn.Module, inputs: Any, output: Any) -> None:
        hear(output)

    handles = [module.register_forward_hook(pass_on) for module in network.modules() if isinstance(module, kinds)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@torch.no_grad()
def naswot(network: nn.Module, images: Tensor, labels: Tensor) -> float:
    """Return log |det K|, where K counts for each two images in how many activations they agree.

    Mellor et al., *Neural Architecture Search without Training* (ICML 2021, arXiv 2006.04647), section 3: an activation is a bit, whether
    it is positive. Minus infinity where two images cannot be told apart.
    """
    kernel = torch.zeros(len(images), len(images), dtype=torch.float64)

    def hear(output: Tensor) -> None:
        bits = (output > 0).flatten(1).float()
        # float32 counts exactly up to 2^24 activations of one layer.
        kernel.add_((bits @ bits.T + (1 - bits) @ (1 - bits).T).double())

    with listening(network, ACTIVATIONS, hear):
        network(images)
    return float(torch.linalg.slogdet(kernel)[1])


@torch.no_grad()
def swap(network: nn.Module, images: Tensor, labels: Tensor) -> float:
    """Return how many different patterns the activations have over 32 images.

    Peng et al., *SWAP-NAS: Sample-Wise Activation Patterns for Ultra-fast NAS* (ICLR 2024, arXiv 2403.04161), without
    its regularisation by size. Minus infinity where no module is an activation.
    """
    weights = 2 ** torch.arange(min(PATTERN_IMAGES, len(images)), dtype=torch.int64)
    patterns: list[Tensor] = []

    def hear(output: Tensor) -> None:
        bits = (output[: len(weights)] > 0).flatten(1).long()
        patterns.append((bits * weights[:, None]).sum(0).unique())

    with listening(network, ACTIVATIONS, hear):
        network(images)
    return float(len(torch.cat(patterns).unique())) if patterns else NO_SCORE


@torch.no_grad()
def meco(network: nn.Module, images: Tensor, labels: Tensor) -> float:
    """Return the sum over layers of the least eigenvalue of the correlations between the channels of one image.

    Jiang et al., *MeCo: Zero-Shot NAS with One Data and Single Forward Pass via Minimum Eigenvalue of Correlation* (NeurIPS 2023).
    Here the layers are those that normalise, so that a scale of weights does not matter. A channel that does not vary
    counts as uncorrelated. Minus infinity where no module normalises maps of several pixels.
    """
    least: list[float] = []

    def hear(output: Tensor) -> None:
        if output.dim() != 4 or output[0, 0].numel() < 2:  # nothing varies over one pixel
            return
        correlations = torch.nan_to_num(torch.corrcoef(output[0].flatten(1))).reshape(output.shape[1], -1)
        least.append(float(torch.linalg.eigvalsh(correlations)[0]))

    with listening(network, NORMS, hear):
        network(images)
    return sum(least) if least else NO_SCORE
