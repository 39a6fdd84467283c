"""ReinMax (Liu et al. 2023, arXiv 2304.08612, algorithm 2): one operation an edge, with a gradient of second order."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from strategies.one_shot.gumbel import one_hot
from strategies.one_shot.sampler import Sampler


class ReinMax(Sampler):
    """Draws one operation with the probability p that the softmax gives it. Its gradient follows Heun's method, as the paper derives it.

    With q the mean of the one-hot draw and softmax(alpha / temperature), the gradient is twice that of a softmax whose value is q, less
    half that of p. At temperature 1 it is exact in the mean for losses that are quadratic in the weights. That takes the gradients of all
    weights, so that all operations are computed.

    Parameters
    ----------
    seed
        Of the generator.
    temperature
        1 or more.
    """

    single_path = True

    def __init__(self, seed: int = 0, temperature: float = 1.0, **others: Any) -> None:
        super().__init__(seed, **others)
        self.temperature: float = temperature

    def noise(self, label: str, alpha: Tensor) -> Tensor:
        return torch.multinomial(alpha.softmax(-1), 1, generator=self.generator).squeeze(0)

    def weigh(self, alpha: Tensor, noise: Tensor) -> Tensor:
        hot = one_hot(noise, alpha)
        middle = (hot + (alpha / self.temperature).softmax(-1)).detach() / 2
        shifted = ((middle.log() - alpha).detach() + alpha).softmax(-1)  # its value is the middle
        surrogate = 2 * shifted - alpha.softmax(-1) / 2
        return hot + (surrogate - surrogate.detach())
