"""How an architecture is selected from a supernet that was trained on evenly drawn paths: by what paths are worth with its weights."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch

from strategies.one_shot.restriction import Supernet

Sample = dict[str, Any]
Measure = Callable[[Any, int], Mapping[str, torch.Tensor]]  # maps a batch and its number to its loss and accuracy
DRAWS, BATCHES = 20, 10  # of an epoch with fewer batches than both together make, each draw sees fewer: a selection is never the main cost


@dataclass(frozen=True)
class Draw:
    """An architecture and what it reached with the supernet's weights.

    Attributes
    ----------
    sample
        The architecture.
    accuracy, loss
        Means over the validation batches; the accuracy is ``None`` where the evaluator does not tell it.
    """

    sample: Sample
    accuracy: float | None
    loss: float

    @property
    def worth(self) -> float:
        """What it is compared by, higher is better: the accuracy or, where there is none, less the loss."""
        worth = -self.loss if self.accuracy is None else self.accuracy
        return -math.inf if math.isnan(worth) else worth


class BestOfDraws:
    """Selects the best of some architectures, drawn evenly, by the weights that they inherit, on the last validation batches of an epoch.

    Norms go by the batch: the running statistics of a supernet are those of all paths together, and of no one.

    Parameters
    ----------
    supernet
        The supernet, which can be held at an architecture.
    seed
        Of the draws, 0 to 2**32 - 1; those of an epoch do not depend on the epochs before it.
    draws
        How many, 1 or more.

    Attributes
    ----------
    ranked
        Those of the last selection, the best first.
    """

    def __init__(self, supernet: Supernet, seed: int, draws: int = DRAWS) -> None:
        self._supernet, self._seed, self._draws = supernet, seed, draws
        self._batches: deque[Any] = deque(maxlen=BATCHES)
        self._noted = 0
        self.ranked: list[Draw] = []

    def note(self, batch: Any) -> None:
        """Keep a validation batch for the next selection, in place of the oldest one."""
        self._batches.append(batch)
        self._noted += 1

    def select(self, epoch: int, measure: Measure) -> Sample:
        """Return the architecture that is best after ``epoch``, which counts from 0, and forget the batches, of which there must be one."""
        state = np.random.RandomState([self._seed, epoch])
        samples = draw_evenly(self._supernet.mutables, state, self._draws)
        self.ranked = sorted((self._score(sample, measure) for sample in samples), key=lambda draw: -draw.worth)
        self._batches.clear()  # a resumed search has no batches of earlier epochs
        self._noted = 0
        return self.ranked[0].sample

    def state(self) -> list[dict[str, Any]]:
        """Return plain data of which :meth:`restore` makes what it was after a selection."""
        return [asdict(draw) for draw in self.ranked]

    def restore(self, state: list[dict[str, Any]]) -> None:
        """Become what it was whose :meth:`state` this is."""
        self.ranked = [Draw(**draw) for draw in state]

    @torch.no_grad()
    def _score(self, sample: Sample, measure: Measure) -> Draw:
        batches = list(self._batches)[-max(1, self._noted // self._draws) :]
        with self._supernet.held(self._supernet.weights_of(sample)):
            measured = [measure(batch, number) for number, batch in enumerate(batches)]
        accuracy, loss = (float(torch.stack([each[name].float().cpu() for each in measured]).mean()) for name in ("accuracy", "loss"))
        return Draw(sample, None if math.isnan(accuracy) else accuracy, loss)


def draw_evenly(choices: Mapping[str, Any], state: np.random.RandomState, draws: int) -> list[Sample]:
    """Return so many architectures of a space with these choices."""
    samples: list[Sample] = []
    for _ in range(draws):
        drawn: Sample = {}
        for mutable in choices.values():
            mutable.random(drawn, state)
        samples.append({str(label): value for label, value in drawn.items()})
    return samples
