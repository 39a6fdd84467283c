"""The supernets of a one-shot search, one after the other. Nothing heavy is imported here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Place:
    """Where the training of one supernet stands in its search.

    Attributes
    ----------
    stage
        Its number, from 1; ``None``: there is no other.
    epochs_before
        The epochs of the stages before it.
    """

    stage: int | None = None
    epochs_before: int = 0


ALONE = Place()  # of the one supernet of a search without stages


@dataclass(frozen=True)
class Stage:
    """The training of one supernet.

    Attributes
    ----------
    strategy
        The ``Strategy`` that builds what trains it.
    epochs
        Of it, 1 or more.
    place
        Where it stands in the search.
    cells
        How many cells the supernet has, in a space that has a number of them; ``None``: as many as were asked for.
    keeps
        How many operations of every choice the next stage has; ``None``: there is no next one.
    """

    strategy: Any
    epochs: int
    place: Place = ALONE
    cells: int | None = None
    keeps: int | None = None

    @property
    def last_epoch(self) -> int:
        """The number of its last epoch, those of the stages before it counted."""
        return self.place.epochs_before + self.epochs


def split_evenly(epochs: int, stages: int) -> list[int]:
    """Return how many of the ``epochs`` each of so many stages has; what is left over goes to the last ones."""
    return [(epochs + number) // stages for number in range(stages)]


def strongest(probabilities: Mapping[str, Mapping[Any, float]], keeps: int) -> dict[str, list[Any]]:
    """Return the likeliest operations of every choice (P-DARTS, arXiv 1904.12760, section 3.2), in the order in which it has them.

    Parameters
    ----------
    probabilities
        By label and operation.
    keeps
        How many stay, 1 or more; all, of a choice that has no more. Of equal ones the first are dropped, as in the authors' code.
    """
    kept: dict[str, list[Any]] = {}
    for label, operations in probabilities.items():
        dropped: Sequence[Any] = sorted(operations, key=lambda name: operations[name])[: max(0, len(operations) - keeps)]
        kept[label] = [name for name in operations if name not in dropped]
    return kept
