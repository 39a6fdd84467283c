"""SDARTS-RS (Chen and Hsieh 2020, arXiv 2002.05283, random smoothing): the supernet's weights learn under moved weights of the operations.

They minimize the expected training loss of w at A + delta, where A are the weights of the operations and every delta is drawn evenly from
-radius to radius. The alphas minimize the validation loss at A itself.
"""

from __future__ import annotations

import torch
from torch import Tensor

FIRST_RADIUS = 0.03  # as in the authors' code


class Perturbation:
    """Adds uniform noise from ``-radius`` to ``radius`` to the weights of operations, cuts them to [0, 1], and scales their sum back to 1.

    The radius grows in equal steps from ``FIRST_RADIUS`` in the first epoch towards ``largest``, which it would have after the last.

    Parameters
    ----------
    seed
        Of the generator.
    largest
        0 or more; the authors' 0.3.

    Attributes
    ----------
    radius
        That of the epoch.
    """

    def __init__(self, seed: int = 0, largest: float = 0.3) -> None:
        self.generator = torch.Generator().manual_seed(seed)
        self._largest, self.radius = largest, min(FIRST_RADIUS, largest)
        self._drawn: dict[str, Tensor] = {}
        self._moves = False

    def begin_epoch(self, epoch: int, epochs: int) -> None:
        """Take the radius of this epoch of so many; the first is 0."""
        first = min(FIRST_RADIUS, self._largest)
        self.radius = first + (self._largest - first) * epoch / epochs

    def renew(self, moves: bool) -> None:
        """Forget the last draw; ``moves``: whether there is to be one in the next pass."""
        self._drawn.clear()
        self._moves = moves

    def move(self, label: str, weights: Tensor) -> Tensor:
        """Return the weights [operations] of a choice, moved by the noise of the pass."""
        if not self._moves:
            return weights
        if label not in self._drawn:
            noise = torch.rand(len(weights), generator=self.generator) * 2 - 1
            self._drawn[label] = (self.radius * noise).to(weights)
        moved = weights + self._drawn[label]
        cut = moved.clamp(0, 1)
        # Where nothing is left, all weight goes to the largest, as in the authors' code.
        largest = torch.nn.functional.one_hot(moved.argmax(), len(moved)).to(cut)
        return torch.where(cut.sum() > 0, cut / cut.sum(), largest)
