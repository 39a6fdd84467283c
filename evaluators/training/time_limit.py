"""A training that has to end in time leaves epochs out."""

from __future__ import annotations

from collections.abc import Sequence

from evaluators.training.augmentation import cost_at, side_at


class TimeLimit:
    """Says which epochs are left out of a training that would take too long.

    The last one is always made, so that the learning rate ends where it would. Only the seconds of epochs count, not those between them.

    Parameters
    ----------
    seconds
        Of the whole training.
    epochs
        How many it has if there is time for all.
    side, start_size
        Height of the images, and the share of it that they begin with: smaller images cost less.
    """

    def __init__(self, seconds: float, epochs: int, side: int, start_size: float) -> None:
        self._seconds = seconds
        self._costs = [cost_at(side_at((number + 0.5) / epochs, side, start_size), side) for number in range(epochs)]

    def leave_out(self, taken: Sequence[tuple[int, float]]) -> int:
        """Return how many of the next epochs are left out: gaps are spread, and reckoned anew after each epoch that was made.

        Parameters
        ----------
        taken
            The number (0, 1, ...) of each epoch that was made, and its seconds. The first one also sets things up, and tells nothing of
            the others: while there is no second one, none is left out.
        """
        if len(taken) < 2:
            return 0
        rate = sum(seconds for _, seconds in taken[1:]) / sum(self._costs[number] for number, _ in taken[1:])
        waiting = [rate * cost for cost in self._costs[taken[-1][0] + 1 :]]
        late = sum(seconds for _, seconds in taken) + sum(waiting) - self._seconds
        too_many = 0
        while too_many < len(waiting) - 1 and late > waiting[too_many] / 2:
            late -= waiting[too_many]
            too_many += 1
        if too_many == 0:
            return 0
        to_each = too_many / (len(waiting) - too_many)  # of those that are made
        return int(len(taken) * to_each) - int((len(taken) - 1) * to_each)
