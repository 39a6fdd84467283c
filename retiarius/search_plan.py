"""What a search is to do: the settings, the preset, NNI's file and the table made into one value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from retiarius.inherited_trials import TrainedSupernet
    from retiarius.nni_choice import ChosenSpace
    from spaces.search_subspace import SearchedPart


@dataclass(frozen=True)
class SearchPlan:
    """What a search is to do.

    Attributes
    ----------
    arguments
        Those of the space's constructor.
    recipe
        Values of all hyperparameters, those that are fixed among them.
    searched
        What of the space and of the hyperparameters is searched.
    chosen
        What NNI's file says is searched; the rest of the space is then at its default. None without one.
    epochs, trials
        Of a trial, and how many; those of the supernet, and 1.
    table
        Where scores are looked up; None where networks are trained.
    sized_by
        The number of trials by which the strategy sizes its parts; another than ``trials`` where a search is extended.
    share
        Seconds of a whole trial, where trials wait and go on; None where they do not.
    starts
        With what the search begins, samples by name.
    screened
        Names of those starts that were the best of untrained networks.
    numbers
        What the strategy is told of numbers: ``order``, ``usual``, both or neither (``retiarius.told_numbers``).
    screened_seconds
        What it took to score untrained networks, which counts against the time budget; 0 where none were scored.
    supernet
        By whose weights networks are scored; None where they have their own.
    costs
        By name what operations were measured to cost; empty where none were.
    """

    arguments: dict[str, Any]
    recipe: dict[str, Any]
    searched: SearchedPart
    chosen: ChosenSpace | None
    epochs: int
    trials: int
    table: Any
    sized_by: int
    share: float | None = None
    starts: Mapping[str, dict[str, Any]] = field(default_factory=dict)
    screened: Sequence[str] = ()
    numbers: Sequence[str] = ()
    screened_seconds: float = 0.0
    supernet: TrainedSupernet | None = None
    costs: Mapping[str, float] = field(default_factory=dict)
