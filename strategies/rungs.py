"""Successive halving in trials that wait: which of them goes on next. Nothing heavy is imported here.

All trials have the same share of the time. At a ninth and at a third of it they wait, and of those that came so far the best third goes on
(asynchronous successive halving: Li et al. 2020, arXiv 1810.05934, Algorithm 2, with ``s = 0``). One that goes on is never begun anew.
"""

from __future__ import annotations

from dataclasses import dataclass

FACTOR = 3  # of those that reach a rung one in so many goes on, for so many times as long
RUNGS = 3  # the last of which is the end
SHARES_DONE = ("a ninth", "a third")  # of a training at each of the others, in words


@dataclass(frozen=True)
class Length:
    """How long one trial is trained.

    Attributes
    ----------
    epochs
        To its end.
    seconds_per_epoch
        About; infinity is none.
    at_one_go
        Why it does not wait on its way, ``first`` or ``last``; None: it waits.
    """

    epochs: int
    seconds_per_epoch: float = 0.0
    at_one_go: str | None = None

    @property
    def rungs(self) -> dict[int, int]:
        """By the epoch after which the trial waits the rung that it has reached then, from 0; one of few epochs leaves out the lowest."""
        if self.at_one_go is not None:
            return {}
        places = {round(self.epochs / FACTOR ** (RUNGS - 1 - rung)): rung for rung in range(RUNGS - 1)}
        return {epoch: rung for epoch, rung in places.items() if 0 < epoch < self.epochs}

    def next_stop(self, since: int) -> int:
        """Return the epoch at which a trial that has come as far as ``since`` waits next, or ends."""
        return min((epoch for epoch in self.rungs if epoch > since), default=self.epochs)


class Rungs:
    """The trials that wait, by key, and all scores at each rung; higher scores are better.

    A trial of few epochs may leave out the lowest rung. It counts there with its first score, which it would not have had by then.
    """

    def __init__(self) -> None:
        self._scores: list[dict[str, float]] = [{} for _ in range(RUNGS - 1)]
        self._waiting: dict[str, int] = {}

    def wait(self, key: str, rung: int, score: float) -> None:
        """Note that a trial has come to ``rung`` and waits there."""
        self.note(key, rung, score)
        self._waiting[key] = rung

    def note(self, key: str, rung: int, score: float) -> None:
        """Note the score of a trial at ``rung``, from which it has gone on."""
        for lower in self._scores[:rung]:
            lower.setdefault(key, score)
        self._scores[rung][key] = score

    def take(self, key: str) -> None:
        """Note that a trial waits no more."""
        self._waiting.pop(key, None)

    @property
    def waiting(self) -> list[str]:
        """All that wait, the best first, and of equals those that came farther."""
        return sorted(self._waiting, key=lambda key: (-self._score(key), -self._waiting[key]))

    def promoted(self) -> str | None:
        """Return the trial that goes on next, the best of the highest rung first; ``None`` where none of the best third waits.

        One that waits on a lower rung with a higher score counts as better, too: it needed less for it.
        """
        for key in sorted(self._waiting, key=lambda key: (-self._waiting[key], -self._score(key))):
            rung, mine = self._waiting[key], self._score(key)
            better = sum(score > mine for score in self._scores[rung].values())
            better += sum(self._score(other) > mine for other, place in self._waiting.items() if place < rung)
            if better < len(self._scores[rung]) // FACTOR:
                return key
        return None

    def _score(self, key: str) -> float:
        return self._scores[self._waiting[key]][key]
