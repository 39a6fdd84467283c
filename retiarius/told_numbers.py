"""What strategies are told of the numbers that they choose: their order, and the values that are usual.

A resumed search makes its proposals anew, so its strategy is told what it was told at first; ``config.json`` notes that.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from records.run_folder import stored_identity
from retiarius.search_plan import SearchPlan
from retiarius.settings import SearchSettings

if TYPE_CHECKING:
    from spaces.adapter import Space
    from spaces.search_subspace import SearchedPart

KEY = "numbers"  # in what makes a run this run
ORDER, USUAL = "order", "usual"


def tell_numbers(
    settings: SearchSettings, searched: SearchedPart, mutables: Mapping[str, Any], *, looks_up: bool
) -> tuple[SearchedPart, list[str]]:
    """Return ``searched`` with an order for its choices of numbers, and what the strategy is told of numbers: ``ORDER``, ``USUAL``.

    Usual values are told where time is short: in a search with a time budget, unless scores are looked up or a file gives the ranges.

    Parameters
    ----------
    mutables
        All of the space, of which ``searched`` may have left out values.
    looks_up
        Whether scores are looked up in a table.
    """
    from spaces.ordered_choices import with_order

    told: list[str] = []
    if settings.strategy.one_shot:
        return searched, told
    before = {**searched.architecture, **searched.constraints, **searched.hyperparameters}
    after = with_order(before, known=mutables)
    if any(after[label] is not mutable for label, mutable in before.items()) and _is_told(settings, ORDER, at_first=True):
        told.append(ORDER)
        own = searched.hyperparameters
        searched = searched.replaced({label: after[label] for label in before if label not in own}, {label: after[label] for label in own})
    is_short = settings.time_budget is not None and not looks_up and settings.search_space is None
    if _is_told(settings, USUAL, at_first=is_short and settings.space.usual is not None):
        told.append(USUAL)
    return searched, told


def _is_told(settings: SearchSettings, what: str, *, at_first: bool) -> bool:
    """Return whether the strategy is told ``what``: ``at_first``, or where a search is resumed, whether it was told then."""
    if not settings.resume:
        return at_first
    stored = stored_identity(settings.out).get(KEY)
    return isinstance(stored, list) and what in stored


def usual_values(space: Space, plan: SearchPlan) -> Callable[[Mapping[str, Any]], Mapping[str, float]] | None:
    """Return what tells of a sample of the search the usual values of numbers; ``None`` where strategies are not told of them."""
    tell = space.usual if USUAL in plan.numbers else None
    return None if tell is None else lambda sample: tell({**plan.recipe, **sample})
