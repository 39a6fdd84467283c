"""A running average of a network's weights, which is scored and kept in their place: timm's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from timm.utils import ModelEmaV3
from torch import Tensor, nn


class AveragedWeights:
    """The exponential moving average of the weights and running statistics of ``network`` (Polyak and Juditsky 1992).

    After step t = 1, 2, ... it moves towards them by 1 - d, where d = min(``decay``, 1 - t ** (-2 / 3)): so the first weights, which are
    a draw, do not count, and a short training is averaged over its last part too.

    Parameters
    ----------
    network
        Whose weights are averaged; it is copied.
    decay
        In [0, 1).
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self._average = ModelEmaV3(network, decay=decay, use_warmup=True)

    def update(self, network: nn.Module, step: int) -> None:
        """Take the weights after ``step`` steps in, 1 or more."""
        self._average.update(network, step)

    def state_dict(self) -> dict[str, Tensor]:
        """Return the averages by the names of the network's state."""
        return self._average.module.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over averages that ``state_dict`` gave."""
        self._average.module.load_state_dict(state)

    def put_into(self, network: nn.Module) -> None:
        """Give ``network`` the averages for good."""
        network.load_state_dict(self.state_dict())

    @contextmanager
    def instead_of_weights(self, network: nn.Module) -> Iterator[None]:
        """Give ``network`` the averages while the ``with`` block lasts."""
        own = {name: value.clone() for name, value in network.state_dict().items()}
        self.put_into(network)
        try:
            yield
        finally:
            network.load_state_dict(own)
