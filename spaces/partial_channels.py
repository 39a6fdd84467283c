"""Partial channels in a supernet (PC-DARTS, Xu et al. 2020, arXiv 1907.05737, section 3.2): one K-th of them goes through the operations.

The others go around them. What comes out is the channels of both, shuffled, so that the next node sends other ones through.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn

LEAST_CHANNELS = 2  # that go through: a factorized reduction halves them


class ThinChoice:
    """An edge whose candidates work on part of the channels, as a form of a cell reads a ``LayerChoice``.

    Parameters
    ----------
    label
        Of the edge.
    candidates
        By name.
    """

    def __init__(self, label: str, candidates: Mapping[str, nn.Module]) -> None:
        self.label, self.names, self._candidates = label, list(candidates), dict(candidates)

    def __getitem__(self, name: str) -> nn.Module:
        return self._candidates[name]

    def __iter__(self) -> Iterator[nn.Module]:
        return iter(self._candidates.values())


def parts_of(channels: int, parts: int) -> int:
    """Return in how many parts ``channels`` are cut where ``parts`` are asked for.

    It is the largest number up to ``parts`` that divides the channels and leaves two of them or more in each; at least 1.
    """
    return max(number for number in range(1, parts + 1) if number == 1 or (channels % number == 0 and channels // number >= LEAST_CHANNELS))


def shuffle(through: Tensor, around: Tensor) -> Tensor:
    """Return the channels of both, a part after the other dealt out one by one (the authors' channel shuffle, in K groups).

    Parameters
    ----------
    through, around
        What the operations put out, [N, C / K, H, W], and the other channels, [N, C - C / K, H, W].

    Returns
    -------
    shuffled
        [N, C, H, W] in channels_last: channel ``c * K + part`` is channel c of that part.
    """
    both = torch.cat([through.permute(0, 2, 3, 1), around.permute(0, 2, 3, 1)], dim=3)
    return both.unflatten(3, (-1, through.shape[1])).transpose(3, 4).flatten(3).permute(0, 3, 1, 2)
