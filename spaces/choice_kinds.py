"""Of which kinds the choices of a space are, by which strategies and canonical samples go where its class tells nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from nni.mutable import CategoricalMultiple
from nni.nas.nn.pytorch import InputChoice, LayerChoice, ModelSpace


@dataclass(frozen=True)
class ChoiceKinds:
    """Of which kinds the choices of a space are.

    Attributes
    ----------
    several
        By label of each choice of several values, which are chosen in no order, all its values.
    are_modules
        Whether all are ``LayerChoice`` or ``InputChoice``, and there are some.
    """

    several: Mapping[str, list[Any]]
    are_modules: bool

    def in_order(self, sample: Mapping[str, Any]) -> dict[str, Any]:
        """Return ``sample`` with the values of which several are chosen in the order in which the space has them."""
        return {label: self._sorted(label, value) if label in self.several else value for label, value in sample.items()}

    def _sorted(self, label: str, values: Iterable[Any]) -> list[Any]:
        places = {value: place for place, value in enumerate(self.several[label])}
        return sorted(values, key=lambda value: places.get(value, len(places)))


def choice_kinds(space: ModelSpace) -> ChoiceKinds:
    """Return of which kinds the choices of an unfrozen ``space`` are."""
    mutables = space.simplify()
    several = {label: list(mutable.values) for label, mutable in mutables.items() if isinstance(mutable, CategoricalMultiple)}
    modules = {module.label for module in space.modules() if isinstance(module, LayerChoice | InputChoice)}
    return ChoiceKinds(several, bool(mutables) and modules >= mutables.keys())
