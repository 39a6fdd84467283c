"""NNI's simplified mutables as plain data, and the same mutables cut down to what a run is to search."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Mapping
from typing import Any

from nni.mutable import Categorical, CategoricalMultiple, Numerical

from common.mutables import check_is_real, count_values, is_chosen


def legal_choices(mutables: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return what may be chosen of ``mutables``, by label, as plain data.

    Returns
    -------
    choices
        By label ``{"kind": ..., "values": [...], "n_chosen": ...}``, where ``kind`` is ``"one"`` (one of ``values``) or ``"several"``
        (``n_chosen`` of ``values``, any number where that is ``None``); of a range ``{"kind": "number", "low": ..., "high": ...}``, both
        ends included.
    """
    choices: dict[str, dict[str, Any]] = {}
    for label, mutable in mutables.items():
        if isinstance(mutable, CategoricalMultiple):
            choices[label] = {"kind": "several", "values": list(mutable.values), "n_chosen": mutable.n_chosen}
        elif isinstance(mutable, Categorical):
            choices[label] = {"kind": "one", "values": list(mutable.values), "n_chosen": None}
        elif isinstance(mutable, Numerical):
            choices[label] = {"kind": "number", "low": float(mutable.low), "high": float(mutable.high)}
    return choices


def restrict(mutables: Mapping[str, Any], pinned: Mapping[str, Any], narrowed: Mapping[str, list[Any]]) -> dict[str, Any]:
    """Return the mutables, cut down: those in ``pinned`` to one (legal) value, and of the others those in ``narrowed`` to a few values.

    Choices of several stay whole where they are not pinned.
    """
    result = dict(mutables)
    for label, mutable in mutables.items():
        # Named as the mutable is: NNI takes the label of a cell's choice ("normal/edge_0_2") from itself, not from a person.
        if label in pinned and isinstance(mutable, CategoricalMultiple):
            result[label] = CategoricalMultiple(sorted(pinned[label]), n_chosen=len(pinned[label]), label=mutable.label)
        elif label in pinned:
            own = [value for value in getattr(mutable, "values", ()) if isinstance(value, tuple) and list(value) == pinned[label]]
            result[label] = Categorical(own or [pinned[label]], label=mutable.label)  # a file has a list in the place of a tuple
        elif label in narrowed and not isinstance(mutable, CategoricalMultiple):
            result[label] = Categorical(narrowed[label], label=mutable.label)
    return result


def count_configurations(mutables: Mapping[str, Any]) -> int:
    """Return how many samples there are, or a number beyond any search: where one of the mutables is a range, or of too many."""
    exact = count_exactly(mutables)
    return sys.maxsize if exact is None else min(exact, sys.maxsize)


def count_exactly(mutables: Mapping[str, Any]) -> int | None:
    """Return how many samples there are, those counted that a constraint forbids; None where one of the mutables is a range."""
    sizes = [count_values(mutable) for mutable in mutables.values() if is_chosen(mutable)]
    return None if None in sizes else math.prod(size for size in sizes if size is not None)


def canonical_within(mutables: Mapping[str, Any], canonical: Callable[[dict[str, Any]], Any]) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Return the space's ``canonical`` for samples of a search of ``mutables``, which may be of more labels.

    What the network does not read is at a value that the mutables can have, which the space's default may not be: each sample is one of
    the search.
    """
    return lambda sample: {**sample, **brought_within(canonical({label: sample[label] for label in mutables}), mutables, canonical)}


def brought_within(
    architecture: Mapping[str, Any], mutables: Mapping[str, Any], canonical: Callable[[dict[str, Any]], Any]
) -> dict[str, Any]:
    """Return ``architecture`` (a legal one) with values that ``mutables`` can have, as it is where another network would come of that."""
    found = dict(architecture)
    kept = {**found, **{label: mutable.default() for label, mutable in mutables.items() if not takes(mutable, found[label])}}
    return kept if kept == found or canonical(kept) == canonical(found) else found


def _fixed_values(mutables: Mapping[str, Any]) -> dict[str, Any]:
    return {label: _only_value(mutable) for label, mutable in mutables.items() if is_fixed(mutable)}


def first_sample(
    mutables: Mapping[str, Any], architecture: Mapping[str, Any], searched: Mapping[str, Any], recipe: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the sample of an ``architecture`` and of the hyperparameters in ``recipe``.

    One of ``mutables`` that has one value keeps it; one of ``searched`` that does not take the recipe's value gets its default.
    """
    sample = {label: architecture[label] for label in mutables} | _fixed_values(mutables)
    for label, mutable in searched.items():
        sample[label] = recipe[label] if takes(mutable, recipe.get(label)) else mutable.default()
    return sample


def takes(mutable: Any, value: Any) -> bool:
    """Return whether ``mutable`` can have ``value``; not ``None``, and nothing that is no finite number where one belongs."""
    sample = {mutable.label: value}
    if value is None or (isinstance(mutable, Numerical) and check_is_real(mutable.label, sample, "a number") is not None):
        return False
    return bool(mutable.contains(sample))


def effective_labels(mutables: Mapping[str, Any], sample: Mapping[str, Any], canonical: Callable[[dict[str, Any]], Any]) -> list[str]:
    """Return the labels of the mutables that have a choice, and with which ``sample``, another choice being made, means something else.

    ``sample`` is canonical, and may be of more labels than ``mutables``.
    """
    labels = []
    for label, mutable in mutables.items():
        others = [value for value in mutable.values if value != sample[label]] if type(mutable) is Categorical else []
        matters = any(canonical({**sample, label: other}) != sample for other in others)
        if not is_fixed(mutable) and (matters or type(mutable) is not Categorical):
            labels.append(label)
    return labels


def _only_value(mutable: Any) -> Any:
    return list(mutable.values)[: mutable.n_chosen] if isinstance(mutable, CategoricalMultiple) else mutable.values[0]


def is_fixed(mutable: Any) -> bool:
    """Return whether a mutable has one possible value. One value of which any number is chosen may be chosen or not: that is two."""
    return hasattr(mutable, "values") and count_values(mutable) == 1
