"""Successive halving in trials that wait: which of them goes on next. Nothing heavy is imported here.

All trials have the same share of the time. At a ninth and at a third of it they wait, and of those that came so far the best third goes on
(asynchronous successive halving: Li et al. 2020, arXiv 1810.05934, Algorithm 2, with ``s = 0``). One that goes on is never begun anew.
"""

from __future__ import annotations

from dataclasses import dataclass

FACTOR = 3  # of those that reach a rung one in so many goes on, for so many times as long
RUNGS = 3  # the last of which is the end


@dataclass(frozen=True)
class Length:
    """How long one trial is trained.

    Attributes
    ----------
    epochs
        To its end.
    seconds_per_epoch
        About; infinity is none.
    """

    epochs: int
    seconds_per_epoch: float = 0.0

    @property
    def rungs(self) -> dict[int, int]:
        """By the epoch after which the trial waits the rung that it has reached then, from 0; one of few epochs leaves out the lowest."""
        places = {round(self.epochs / FACTOR ** (RUNGS - 1 - rung)): rung for rung in range(RUNGS - 1)}
        return {epoch: rung for epoch, rung in places.items() if 0 < epoch < self.epochs}

    def next_stop(self, since: int) -> int:
        """Return the epoch at which a trial that has come as far as ``since`` waits next, or ends."""
        return min((epoch for epoch in self.rungs if epoch > since), default=self.epochs)


class Rungs:
    """The trials that wait, by key, and all scores at each rung; higher scores are better."""

    def __init__(self) -> None:
        self._scores: list[dict[str, float]] = [{} for _ in range(RUNGS - 1)]
        self._waiting: dict[str, int] = {}

    def wait(self, key: str, rung: int, score: float) -> None:
        """Note that a trial has come to ``rung`` and waits there."""
        self.note(key, rung, score)
        self._waiting[key] = rung

    def note(self, key: str, rung: int, score: float) -> None:
        """Note the score of a trial at ``rung``, from which it has gone on."""
        self._scores[rung][key] = score

    def take(self, key: str) -> None:
        """Note that a trial waits no more."""
        self._waiting.pop(key, None)

    @property
    def waiting(self) -> list[str]:
        """All that wait, those that came farthest first, and of those the best."""
        return sorted(self._waiting, key=lambda key: (-self._waiting[key], -self._scores[self._waiting[key]][key]))

    def promoted(self) -> str | None:
        """Return the trial that goes on next, the best of the highest rung first; ``None`` where none of the best third waits."""
        for key in self.waiting:
            scores = self._scores[self._waiting[key]]
            better = sum(score > scores[key] for score in scores.values())
            if better < len(scores) // FACTOR:
                return key
        return None
