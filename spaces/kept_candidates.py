"""A space some of whose candidates are left out: what a search that drops operations on its way goes on with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nni.mutable.frozen import frozen_context
from nni.nas.nn.pytorch import LayerChoice, ModelSpace


def droppable_labels(space: ModelSpace) -> list[str]:
    """Return the labels of the choices whose candidates can be left out: of a ``LayerChoice`` whose candidates have names."""
    return list(dict.fromkeys(str(choice.label) for _, _, choice in _choices(space)))


def keep_candidates(space: ModelSpace, kept: Mapping[str, Sequence[str]]) -> None:
    """Leave out of ``space``, in place, the candidates that are not kept, with their weights.

    Parameters
    ----------
    space
        Unfrozen.
    kept
        By label of a choice the names of its candidates that stay, in order. Those of ``droppable_labels`` alone are heeded, and of these
        the ones that are not here stay as they are.
    """
    for parent, name, choice in _choices(space):
        if choice.label in kept:
            names = list(kept[choice.label])
            with frozen_context({choice.label: names[0]}):  # NNI would warn of a choice that is made outside of a space
                setattr(parent, name, LayerChoice({each: choice[each] for each in names}, label=choice.label))


def _choices(space: ModelSpace) -> list[tuple[Any, str, Any]]:
    """Return every ``LayerChoice`` whose candidates have names, with the module that has it and its name there."""
    return [
        (parent, name, child)
        for parent in list(space.modules())
        for name, child in parent.named_children()
        if type(child) is LayerChoice and all(isinstance(each, str) for each in child.names)
    ]
