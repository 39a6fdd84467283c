"""Choices of numbers, which have an order; and as a table of results has them, where ranges become the numbers that stand there."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from nni.mutable import Categorical, CategoricalMultiple, Numerical

from common.errors import SpaceError
from common.numbers import is_real
from common.text import show_text
from spaces.choices import takes

LEAST = 3  # of two values one cannot tell an order
MOST_SHOWN = 6  # numbers of a column in a message


def as_looked_up(mutables: Mapping[str, Any], values_of: Callable[[str], Sequence[float]], *, orders: bool = True) -> dict[str, Any]:
    """Return ``mutables`` for a search whose scores are looked up, by label.

    Parameters
    ----------
    values_of
        Label to the numbers that the table has for it; only asked for those of ranges.
    orders
        Whether the order of numbers is to be used.

    Returns
    -------
    dict[str, Any]
        A range is the choice of those numbers of the table that it takes, in their order. With ``orders`` a choice of ``LEAST``
        numbers or more has the attribute ``ordered``, true, by which strategies know that its order tells something.

    Raises
    ------
    SpaceError
        A range takes none of the table's numbers.
    """
    found = {label: _one_of(label, mutable, values_of) for label, mutable in mutables.items()}
    return with_order(found) if orders else found


def with_order(mutables: Mapping[str, Any], known: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return ``mutables`` by label; a choice of ``LEAST`` numbers or more has the attribute ``ordered``, true.

    Parameters
    ----------
    known
        All mutables of the space by label, of which ``mutables`` may have fewer values. A choice that is 0, 1, 2, ... there is left as it
        is: NNI calls the candidates of a ``LayerChoice`` so that are given as a list, and their places tell nothing. ``None``: none is.
    """
    places = {label for label, mutable in (known or {}).items() if _is_of_places(mutable)}
    return {label: mutable if label in places else _ordered(mutable) for label, mutable in mutables.items()}


def _is_of_places(mutable: Any) -> bool:
    return isinstance(mutable, Categorical) and list(mutable.values) == list(range(len(mutable.values)))


def _one_of(label: str, mutable: Any, values_of: Callable[[str], Sequence[float]]) -> Any:
    if not isinstance(mutable, Numerical):
        return mutable
    numbers = [int(value) if getattr(mutable, "whole", False) and float(value).is_integer() else value for value in values_of(label)]
    values = sorted(value for value in numbers if takes(mutable, value))
    if not values:
        known = ", ".join(f"{number:g}" for number in sorted(numbers)[:MOST_SHOWN]) or "no number at all"
        span = f"{mutable.low:g} to {mutable.high:g}"
        raise SpaceError(f"{show_text(label)}: no number of its column is in the range of the space, {span}; the column has {known}")
    choice = Categorical(values, label="choice")
    choice.label = label  # set here, as NNI's constructors refuse a slash
    return choice


def _ordered(mutable: Any) -> Any:
    if not isinstance(mutable, Categorical) or isinstance(mutable, CategoricalMultiple) or getattr(mutable, "ordered", False):
        return mutable
    if len(mutable.values) < LEAST or not all(map(is_real, mutable.values)):
        return mutable
    ordered = copy.copy(mutable)
    ordered.ordered = True
    return ordered
