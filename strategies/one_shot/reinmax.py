"""ReinMax (Liu et al. 2023, arXiv 2304.08612, algorithm 2): one operation an edge, with a gradient of second order."""

from __future__ import annotations

import torch
from torch import Tensor

from strategies.one_shot.gumbel import one_hot
from strategies.one_shot.temperature import Tempered


class ReinMax(Tempered):
    """Draws one operation with the probability p that the softmax gives it. Its gradient follows Heun's method, as the paper derives it.

    With q the mean of the one-hot draw and softmax(alpha / temperature), the gradient is twice that of a softmax whose value is q, less
    half that of p. Temperatures are 1 or more. At 1 the gradient is exact in the mean for losses that are quadratic in the weights. It
    takes the gradients of all weights: where the architecture parameters learn, all operations are computed.
    """

    single_path = True
    usual = (1.0, 1.0)

    def noise(self, label: str, alpha: Tensor) -> Tensor:
        return torch.multinomial(alpha.softmax(-1), 1, generator=self.generator).squeeze(0)

    def weigh(self, alpha: Tensor, noise: Tensor) -> Tensor:
        hot = one_hot(noise, alpha)
        middle = (hot + (alpha / self.temperature).softmax(-1)).detach() / 2
        shifted = ((middle.log() - alpha).detach() + alpha).softmax(-1)  # its value is the middle
        surrogate = 2 * shifted - alpha.softmax(-1) / 2
        return hot + (surrogate - surrogate.detach())
