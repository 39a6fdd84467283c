"""What normalisations of a supernet's cell normalise by, and what a backward pass through them is to compute."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from spaces.darts.supernet import torch_kernels as kernels


class Statistics:
    """What normalisations normalise by. In training it collects the batch's statistics, and moves the running ones of all at once."""

    def __init__(self, training: bool) -> None:
        self.of_batch = training
        self._running: list[Tensor] = []
        self._batch: list[Tensor] = []
        self._counters: list[Tensor] = []
        self._momentum = 0.0

    def measure(self, y: Tensor, norms: Sequence[Any], others: Sequence[Sequence[Any]] = ()) -> tuple[Tensor, Tensor]:
        """Return mean and inverse standard deviation [K] of ``y``, whose channels the ``norms`` share: of the batch or the running ones.

        Parameters
        ----------
        y
            [N, K, H, W].
        norms
            Of as many channels together.
        others
            Further groups of norms that the plain cell would run on the same tensor.
        """
        mean, variance = kernels.batch_statistics(y) if self.of_batch else (None, None)
        return self.settle(mean, variance, y.numel() // y.shape[1], norms, others)

    def settle(
        self, mean: Tensor | None, variance: Tensor | None, count: int, norms: Sequence[Any], others: Sequence[Sequence[Any]] = ()
    ) -> tuple[Tensor, Tensor]:
        """Return what ``measure`` does, of ``count`` values whose mean and biased variance [K] are known; ``None`` outside training."""
        if mean is not None and variance is not None:
            size = norms[0].num_features
            batch = [*mean.split(size), *(variance * (count / (count - 1))).split(size)]
            for group in (norms, *others):
                self._running += [norm.running_mean for norm in group]
                self._running += [norm.running_var for norm in group]
                self._counters += [norm.num_batches_tracked for norm in group]
                self._batch += batch
            self._momentum = norms[0].momentum
        else:
            mean, variance = (torch.cat([getattr(norm, name) for norm in norms]) for name in ("running_mean", "running_var"))
        return mean, (variance + norms[0].eps).rsqrt()

    @torch.no_grad()
    def move_running(self) -> None:
        """Move all running statistics as ``BatchNorm2d`` does: running += momentum * (batch - running), with an unbiased variance."""
        if self._running:
            torch._foreach_lerp_(self._running, self._batch, self._momentum)
            torch._foreach_add_(self._counters, 1)


@dataclass
class BackwardPass:
    """What is to be computed in a backward pass.

    Attributes
    ----------
    size
        Of the state, [N, C, H, W].
    of_batch
        Whether the statistics were those of the batch.
    want_state, want_mixing, want_parameters
        Whose gradients are wanted.
    """

    size: torch.Size
    of_batch: bool
    want_state: bool
    want_mixing: bool
    want_parameters: bool

    @property
    def want_branches(self) -> bool:
        """Whether the gradients of the branches are wanted."""
        return self.want_state or self.want_parameters
