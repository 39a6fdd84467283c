"""Of which kinds the choices of a space are, by which strategies and canonical samples go where its class tells nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from nni.mutable import Categorical, CategoricalMultiple

from common.mutables import is_chosen


@dataclass(frozen=True)
class ChoiceKinds:
    """Of which kinds the choices of a space are.

    Attributes
    ----------
    several
        By label of each choice of several values, which are chosen in no order, all its values.
    pairs
        By label of each choice whose candidates are tuples, or hold such, all its candidates: a file has lists in their place.
    computed
        The labels of constraints: NNI notes in a sample what it computes of the choices.
    """

    several: Mapping[str, list[Any]]
    pairs: Mapping[str, list[Any]]
    computed: frozenset[str]

    def in_order(self, sample: Mapping[str, Any]) -> dict[str, Any]:
        """Return the choices of ``sample`` as the space has them: several values in its order, its tuples in place of a file's lists."""
        chosen = self.as_chosen({label: value for label, value in sample.items() if label not in self.computed})
        return {label: self._sorted(label, value) if label in self.several else value for label, value in chosen.items()}

    def as_chosen(self, sample: Mapping[str, Any]) -> dict[str, Any]:
        """Return ``sample`` with the space's tuples in place of a file's lists."""
        return {label: self._own(label, value) for label, value in sample.items()}

    def _own(self, label: str, value: Any) -> Any:
        """Return ``value`` as the space has it: a tuple where a file has a list."""
        if not isinstance(value, list) or label not in self.pairs:
            return value
        return next((candidate for candidate in self.pairs[label] if isinstance(candidate, tuple) and list(candidate) == value), value)

    def _sorted(self, label: str, values: Iterable[Any]) -> list[Any]:
        places = {value: place for place, value in enumerate(self.several[label])}
        return sorted(values, key=lambda value: places.get(value, len(places)))


def choice_kinds(mutables: Mapping[str, Any]) -> ChoiceKinds:
    """Return of which kinds the choices of a space are, from its mutables by label."""
    several = {label: list(mutable.values) for label, mutable in mutables.items() if isinstance(mutable, CategoricalMultiple)}
    candidates = {label: list(mutable.values) for label, mutable in mutables.items() if type(mutable) is Categorical}
    pairs = {label: values for label, values in candidates.items() if any(isinstance(value, tuple) for value in values)}
    return ChoiceKinds(several, pairs, frozenset(label for label, mutable in mutables.items() if not is_chosen(mutable)))
