"""How an architecture is selected from a supernet that was trained on evenly drawn paths: by what paths are worth with its weights."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

from strategies.one_shot.restriction import Supernet

Sample = dict[str, Any]
Measure = Callable[[Any, int], Mapping[str, torch.Tensor]]  # maps a batch and its number to its loss and accuracy
DRAWS, BATCHES = 20, 10  # of an epoch with fewer batches than both together make, each draw sees fewer: a selection is never the main cost


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
    """

    def __init__(self, supernet: Supernet, seed: int, draws: int = DRAWS) -> None:
        self._supernet, self._seed, self._draws = supernet, seed, draws
        self._batches: deque[Any] = deque(maxlen=BATCHES)
        self._noted = 0

    def note(self, batch: Any) -> None:
        """Keep a validation batch for the next selection, in place of the oldest one."""
        self._batches.append(batch)
        self._noted += 1

    def select(self, epoch: int, measure: Measure) -> Sample:
        """Return the architecture that is best after ``epoch``, which counts from 0, and forget the batches, of which there must be one."""
        state = np.random.RandomState([self._seed, epoch])
        best = best_of_draws(self._supernet.mutables, lambda sample: self._worth(sample, measure), state, self._draws)
        self._batches.clear()  # a resumed search has no batches of earlier epochs
        self._noted = 0
        return best

    @torch.no_grad()
    def _worth(self, sample: Sample, measure: Measure) -> float:
        """Return the mean accuracy of ``sample`` or, where the evaluator does not tell it, less the mean loss."""
        batches = list(self._batches)[-max(1, self._noted // self._draws) :]
        with self._supernet.held(self._supernet.weights_of(sample)):
            measured = [measure(batch, number) for number, batch in enumerate(batches)]
        accuracy, loss = (float(torch.stack([each[name].float().cpu() for each in measured]).mean()) for name in ("accuracy", "loss"))
        return -loss if math.isnan(accuracy) else accuracy


def best_of_draws(choices: Mapping[str, Any], worth: Callable[[Sample], float], state: np.random.RandomState, draws: int) -> Sample:
    """Return the best of ``draws`` architectures, the first of equal ones; one whose worth is not a number is worst."""
    samples: list[Sample] = []
    for _ in range(draws):
        drawn: Sample = {}
        for mutable in choices.values():
            mutable.random(drawn, state)
        samples.append({str(label): value for label, value in drawn.items()})
    values = [worth(sample) for sample in samples]
    return samples[int(np.argmax(np.nan_to_num(values, nan=-np.inf, neginf=-np.inf)))]
