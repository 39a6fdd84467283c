"""What one search explores of a space, and the samples that it can begin with."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Mapping
from typing import Any, Protocol

from common.errors import SpaceError
from common.mutables import is_chosen
from common.trial import sample_key
from spaces.adapter import Space
from spaces.choices import (
    brought_within,
    canonical_within,
    count_exactly,
    effective_labels,
    first_sample,
    is_fixed,
    legal_choices,
    restrict,
    takes,
)

MOST_TRIED = 200  # networks


class Chosen(Protocol):
    """What a person's own file says is searched: by label, candidates of the architecture, and hyperparameters as mutables."""

    @property
    def narrowed(self) -> Mapping[str, list[Any]]: ...

    @property
    def searched(self) -> Mapping[str, Any]: ...


class SearchedPart:
    """The part of a space that a search explores. Make one with ``searched_part``.

    Attributes
    ----------
    architecture
        The mutables of the architecture by label; one that is not searched has one value.
    hyperparameters
        The mutables of the hyperparameters that are searched, by label.
    constraints
        NNI's constraints between choices, by label: an architecture that one of them refuses is none of the space.
    """

    def __init__(self, space: Space, architecture: Mapping[str, Any], hyperparameters: Mapping[str, Any]) -> None:
        self._space = space
        self.constraints = {label: mutable for label, mutable in architecture.items() if not is_chosen(mutable)}
        self.architecture = {label: mutable for label, mutable in architecture.items() if label not in self.constraints}
        self.hyperparameters = dict(hyperparameters)
        self._canonical = canonical_within(self.architecture, space.canonical)

    def canonical(self, sample: Mapping[str, Any]) -> dict[str, Any]:
        """Return the sample, of the same search, that stands for all that build the same network as ``sample`` and train it alike."""
        return self._canonical({label: value for label, value in sample.items() if label not in self.constraints})

    def replaced(self, architecture: Mapping[str, Any], hyperparameters: Mapping[str, Any]) -> SearchedPart:
        """Return the part of the same space with these mutables, of the same labels."""
        return SearchedPart(self._space, architecture, hyperparameters)

    def fit(self, architecture: Mapping[str, Any]) -> dict[str, Any]:
        """Return a legal architecture with values that are searched, as it is where another network would come of that."""
        return brought_within(architecture, self.architecture, self._space.canonical)

    def outside(self, values: Mapping[str, Any]) -> list[str]:
        """Return those of ``values``, by label, that are searched and that the search cannot try: label and value, in words."""
        searched = {label: mutable for label, mutable in self.architecture.items() if not is_fixed(mutable)} | self.hyperparameters
        return [f"{label} {value}" for label, value in values.items() if label in searched and not takes(searched[label], value)]

    def sample(self, architecture: Mapping[str, Any], recipe: Mapping[str, Any], told: Mapping[str, Any]) -> dict[str, Any]:
        """Return the sample of an ``architecture`` and of those searched hyperparameters that ``told`` has; else ``recipe``'s.

        What is fixed keeps its value; a hyperparameter that can have neither value gets its default.
        """
        values = dict(recipe)
        for label, mutable in self.hyperparameters.items():
            if takes(mutable, told.get(label)):
                values[label] = told[label]
        return first_sample(self.architecture, architecture, self.hyperparameters, values)

    def meaning(self, sample: dict[str, Any]) -> str:
        """Return a text that is equal for two samples that are the same trial."""
        return sample_key(self.canonical(sample))

    def without_repeats(self, samples: Mapping[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        """Return the first of all ``samples``, by name, that are the same trial."""
        first: dict[str, str] = {}
        for name, sample in samples.items():
            first.setdefault(self.meaning(sample), name)
        return {name: samples[name] for name in first.values()}

    def without_effect(self, fixed: Mapping[str, Any]) -> list[str]:
        """Return the labels of ``fixed`` whose other values would build no other network; none where there are too many networks to tell.

        ``fixed`` are mutables by label, as they are where nothing is fixed.
        """
        size = count_exactly(self.architecture)
        if not fixed or size is None or size > MOST_TRIED:
            return []
        values = itertools.product(*(mutable.grid() for mutable in self.architecture.values()))
        try:
            samples = [self._space.canonical(dict(zip(self.architecture, each, strict=True))) for each in values]
            with_effect = {label for sample in samples for label in effective_labels(fixed, sample, self._space.canonical)}
        except Exception:  # a canonical() of anyone's, on networks that a constraint forbids: nothing is known
            return []
        return [label for label in fixed if label not in with_effect]

    def labels_with_effect(self, architecture: Mapping[str, Any]) -> list[str]:
        """Return the labels of what was searched and could have come out otherwise than in ``architecture``, which is canonical."""
        labels = effective_labels(self.architecture, architecture, self._space.canonical)
        return labels + [label for label, mutable in self.hyperparameters.items() if not is_fixed(mutable)]


def searched_part(
    space: Space,
    mutables: Mapping[str, Any],
    *,
    preset: str,
    pins: Mapping[str, Any],
    chosen: Chosen | None = None,
    keeps_architecture: bool = False,
    known: Collection[str] | None = None,
    hyperparameters: Mapping[str, Any] | None = None,
) -> SearchedPart:
    """Return the ``mutables`` of ``space`` and its hyperparameters, cut down to what is searched.

    Parameters
    ----------
    space
        The space.
    mutables
        What ``simplify`` of the unfrozen space gives, by label.
    preset
        May leave out choices (``Space.narrowed``).
    pins
        Legal values by label, of what is not searched; labels that are neither the space's nor a hyperparameter's are passed over.
    chosen
        What NNI's file says is searched; the rest of the space is then at its default.
    keeps_architecture
        The architecture is the default one, but for ``pins``.
    known
        Where it is given, no hyperparameter of another label is searched.
    hyperparameters
        Where it is given, these are offered in place of the space's own, as mutables by label.

    Raises
    ------
    SpaceError
        Something is to be at a default that the space does not have.
    """
    narrowed = space.narrowed(preset) if chosen is None else chosen.narrowed
    pinned = {label: value for label, value in pins.items() if label in legal_choices(mutables)}
    kept: dict[str, Any] = {}
    if keeps_architecture or chosen is not None:
        named = {} if chosen is None else narrowed
        default = space.default_architecture()
        choices = legal_choices(mutables)
        left_open = [label for label in choices if not (is_fixed(mutables[label]) or label in pinned or label in named)]
        if default is None and left_open:
            labels = f"{left_open[0]} and {len(left_open) - 1} more" if len(left_open) > 1 else left_open[0]
            raise SpaceError(f"{space.name} has no default for {labels}, which this search does not choose: set it by `fixed`")
        kept = {label: value for label, value in (default or {}).items() if label not in named}
    own = space.hyperparameters() if hyperparameters is None else hyperparameters
    offered = own if chosen is None else chosen.searched
    searched = {label: mutable for label, mutable in offered.items() if label not in pins and (known is None or label in known)}
    return SearchedPart(space, restrict(mutables, {**kept, **pinned}, narrowed), searched)
