"""Operation-level dropout (P-DARTS, Chen et al. 2019, arXiv 1904.12760, section 3.3): skip connections of a supernet lose some values.

Their rate falls as in the authors' code. While the weights learn alone it falls from the first rate p, in steps that would bring it to none
at the end of all epochs; then it begins again at p and falls by e^-0.2 an epoch of 25, here by as much in the same share of the epochs.
"""

from __future__ import annotations

import math

from nni.nas.nn.pytorch import LayerChoice
from torch import nn

from strategies.one_shot.search_epoch import SKIP

FALL = 5.0  # over all epochs of a stage, if there were no warm-up: 0.2 in each of 25


class SkipDropout:
    """The dropout after the skip connections of one supernet.

    Parameters
    ----------
    rate
        The first one, from 0 to below 1; 0: there is none.
    warmup
        The share of the epochs, the first ones, in which the weights learn alone; from 0 to below 1.
    """

    def __init__(self, rate: float, warmup: float) -> None:
        self._rate, self._warmup = rate, warmup
        self._dropouts: list[nn.Dropout] = []

    @property
    def is_on(self) -> bool:
        """Whether there is a dropout at all."""
        return self._rate > 0

    def put_into(self, space: nn.Module) -> None:
        """Put a dropout in the place of every identity among the candidates of ``space``, an unfrozen one, that is called ``SKIP``."""
        if not self.is_on:
            return
        for choice in space.modules():
            if isinstance(choice, LayerChoice) and SKIP in choice.names and isinstance(choice[SKIP], nn.Identity):
                choice[SKIP] = nn.Dropout(self._rate)
                self._dropouts.append(choice[SKIP])

    def begin_epoch(self, epoch: int, epochs: int) -> None:
        """Take the rate of this epoch of so many; the first is 0."""
        for dropout in self._dropouts:
            dropout.p = rate_of(self._rate, epoch, epochs, self._warmup)


def rate_of(first: float, epoch: int, epochs: int, warmup: float) -> float:
    """Return the rate of an epoch of so many, of which the first is 0, that begins with ``first``; see the top of this file."""
    alone = math.floor(warmup * epochs + 1e-9)
    return first * (epochs - epoch - 1) / epochs if epoch < alone else first * math.exp(-FALL * (epoch - alone) / epochs)
