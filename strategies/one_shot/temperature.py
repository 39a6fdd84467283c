"""The temperature of a sampler, which goes from that of the first epoch to that of the last one."""

from __future__ import annotations

from typing import Any, ClassVar

from strategies.one_shot.sampler import Sampler


class Tempered(Sampler):
    """A sampler whose gradient, or whose weights, depend on a temperature.

    Parameters
    ----------
    seed
        Of the generator.
    temperatures
        In the first and in the last epoch; in equal steps between them. ``None``: ``usual``.

    Attributes
    ----------
    usual
        The temperatures of the method's authors.
    """

    usual: ClassVar[tuple[float, float]]

    def __init__(self, seed: int = 0, temperatures: tuple[float, float] | None = None, **others: Any) -> None:
        super().__init__(seed, **others)
        self._first, self._last = temperatures or self.usual
        self.temperature: float = self._first

    def begin_epoch(self, epoch: int, epochs: int) -> None:
        super().begin_epoch(epoch, epochs)
        self.temperature = self._first + (self._last - self._first) * epoch / max(epochs - 1, 1)
