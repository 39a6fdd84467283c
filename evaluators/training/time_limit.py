"""A training that has to end in time leaves epochs out."""

from __future__ import annotations

from collections.abc import Sequence

from evaluators.training.augmentation import side_at


class TimeLimit:
    """Says which epochs are left out: the next ones, as soon as those that are left would take too long.

    The last epoch is always made, so that the learning rate ends where it would.

    Parameters
    ----------
    seconds
        Of the whole training.
    epochs
        How many it has if there is time for all.
    side, start_size
        Height of the images, and the share of it that they begin with: an epoch costs as much less as they have fewer pixels.
    """

    def __init__(self, seconds: float, epochs: int, side: int, start_size: float) -> None:
        self._seconds = seconds
        self._costs = [side_at((number + 0.5) / epochs, side, start_size) ** 2 for number in range(epochs)]

    def leave_out(self, taken: Sequence[tuple[int, float]]) -> int:
        """Return how many of the next epochs are left out.

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
        count = 0
        while count < len(waiting) - 1 and late > waiting[count] / 2:
            late -= waiting[count]
            count += 1
        return count
