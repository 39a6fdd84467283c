"""GDAS (Dong and Yang 2019, arXiv 1910.04465, equations 3 to 5): one operation an edge, drawn by the Gumbel-max trick.

The drawn operation alone is computed, and its weight alone has a gradient, as in ``MixedOp.forward_gdas`` of the authors' code
(``xautodl/models/cell_searchs/search_cells.py``). For NAS-Bench-201 they add the weights that were not drawn as plain numbers
(``NAS201SearchCell.forward_gdas``), as if those operations put out ones: that is left out.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from strategies.one_shot.sampler import Sampler


class GumbelHard(Sampler):
    """Draws one operation with the probability that the softmax gives it; its gradient is that of the Gumbel softmax (straight-through).

    With Gumbel noise o, the operation is argmax(alpha + o), and the gradient that of softmax((log softmax(alpha) + o) / temperature).

    Parameters
    ----------
    seed
        Of the generator.
    temperatures
        In the first and in the last epoch, above 0; in equal steps between them.
    """

    single_path = True
    _needs_drawn_alone = True

    def __init__(self, seed: int = 0, temperatures: tuple[float, float] = (10.0, 0.1), **others: Any) -> None:
        super().__init__(seed, **others)
        self._first, self._last = temperatures
        self.temperature: float = self._first

    def begin_epoch(self, epoch: int, epochs: int) -> None:
        super().begin_epoch(epoch, epochs)
        self.temperature = self._first + (self._last - self._first) * epoch / max(epochs - 1, 1)

    def noise(self, label: str, alpha: Tensor) -> Tensor:
        return -torch.empty_like(alpha).exponential_(generator=self.generator).log()

    def weigh(self, alpha: Tensor, noise: Tensor) -> Tensor:
        logits = alpha.log_softmax(-1) + noise
        return straight_through(logits.argmax(-1), (logits / self.temperature).softmax(-1))


def straight_through(chosen: Tensor, surrogate: Tensor) -> Tensor:
    """Return exactly the one-hot vector of the operation ``chosen``, with the gradient of ``surrogate`` [operations]."""
    hot = torch.nn.functional.one_hot(chosen, len(surrogate)).to(surrogate)
    return hot + (surrogate - surrogate.detach())
