"""Of which kinds the choices of a space are, by which strategies and canonical samples go where its class tells nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from nni.mutable import CategoricalMultiple, Constraint
from nni.nas.nn.pytorch import ModelSpace


@dataclass(frozen=True)
class ChoiceKinds:
    """Of which kinds the choices of a space are.

    Attributes
    ----------
    several
        By label of each choice of several values, which are chosen in no order, all its values.
    computed
        The labels of constraints: NNI notes in a sample what it computes of the choices.
    """

    several: Mapping[str, list[Any]]
    computed: frozenset[str]

    def in_order(self, sample: Mapping[str, Any]) -> dict[str, Any]:
        """Return the choices of ``sample``, those of several values in the order in which the space has them."""
        chosen = {label: value for label, value in sample.items() if label not in self.computed}
        return {label: self._sorted(label, value) if label in self.several else value for label, value in chosen.items()}

    def _sorted(self, label: str, values: Iterable[Any]) -> list[Any]:
        places = {value: place for place, value in enumerate(self.several[label])}
        return sorted(values, key=lambda value: places.get(value, len(places)))


def choice_kinds(space: ModelSpace) -> ChoiceKinds:
    """Return of which kinds the choices of an unfrozen ``space`` are."""
    mutables = space.simplify()
    several = {label: list(mutable.values) for label, mutable in mutables.items() if isinstance(mutable, CategoricalMultiple)}
    return ChoiceKinds(several, frozenset(label for label, mutable in mutables.items() if isinstance(mutable, Constraint)))
