"""WHAT can be chosen: model spaces, their operations, hyperparameters.

A space is an NNI 3.0 ``ModelSpace`` whose constructor takes keyword arguments of plain (JSON) data and which offers, beside NNI's own
interface (``simplify``, ``freeze``), what its strategies and records need to know:

- ``canonical(sample)``: the one sample that stands for all samples which build the same network;
- ``describe(architecture)``: the architecture in words, ``{name: text}``;
- ``default_architecture()``: the architecture a search starts from and ``hpo`` keeps, or ``None``;
- ``hyperparameters()``: the hyperparameters that are searched together with the architecture, as NNI mutables by label;
- ``SIZES`` and ``NARROWED``, where networks or choices depend on the preset: see ``preset_arguments`` and ``preset_choices``;
- ``SETTABLE``, where a person may set arguments of the constructor: by name the legal values, a ``range`` or a tuple; and ``OF_CHOICES``,
  the names of those of them that say what there is to choose, so that a found architecture has settled them;
- ``surrogate_features(architecture)``, where it can: what the network computes, as numbers by name that predict its accuracy;
- ``kernels_note(precision, is_supernet=...)``, where it computes by kernels of its own on a CPU: which, in words, or ``None``;
  ``speed_up(network)``, by which dense convolutions of a network have them; and ``only_precision(device)``: the precision in which its
  networks are trained there whatever is asked for, or ``None``;
- ``input_edges()``, where cells are searched one-shot: by ``InputChoice`` label the ``LayerChoice`` labels of its candidates, in order;
  and ``operation_costs()``, where ``--cost-weight`` is to work: by name of the operation what it costs, from 0 to 1.

To add one: write one file, then one line in ``SPACES``. The contract tests run over the dict.
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from common.errors import SpaceError

if TYPE_CHECKING:
    from nni.nas.nn.pytorch import ModelSpace


@dataclass(frozen=True)
class SpaceEntry:
    """One line of ``SPACES``: where the space is, what it is for, and what a strategy finds in it.

    ``offers`` holds ``"one_shot"`` where every choice is a ``LayerChoice`` or ``InputChoice`` and the space has ``input_edges()``, and
    ``"hyperparameters"`` where it brings its own. ``recipe`` names the training recipe that suits its networks, ``paper_recipe``
    the one for ``--preset paper`` where that is another.
    """

    target: str
    summary: str
    offers: frozenset[str]
    recipe: str
    paper_recipe: str | None = None

    def recipe_for(self, preset: str) -> str:
        """The name of the recipe by which its networks are trained unless another is asked for."""
        return self.paper_recipe if preset == "paper" and self.paper_recipe is not None else self.recipe

    def load(self) -> type[ModelSpace]:
        """The space's class; imports torch and NNI on first use."""
        module, name = self.target.split(":")
        return getattr(importlib.import_module(module), name)


SPACES: dict[str, SpaceEntry] = {
    "darts": SpaceEntry(
        "spaces.darts.space:DartsSpace", "normal and reduction cell of DARTS (Liu et al. 2019)", frozenset({"one_shot"}), "cells", "darts"
    ),
    "zoo": SpaceEntry(
        "spaces.zoo.space:ZooSpace", "torchvision and timm backbones, stem, hyperparameters", frozenset({"hyperparameters"}), "fast"
    ),
    "nasbench201": SpaceEntry(
        "spaces.nasbench201:NasBench201Space", "the cell of NAS-Bench-201 (Dong and Yang 2020), 15,625 networks", frozenset(), "fast"
    ),
}


def space_entry(name: str) -> SpaceEntry:
    """The entry called ``name``; raises ``SpaceError`` that names the known ones."""
    if name not in SPACES:
        close = difflib.get_close_matches(name, SPACES, n=1)
        hint = f" (did you mean {close[0]}?)" if close else ""
        raise SpaceError(f"unknown space {name!r}{hint}; known: {', '.join(SPACES)}")
    return SPACES[name]


def preset_arguments(space: type, preset: str, phase: str) -> dict[str, Any]:
    """The constructor arguments of ``space`` for a preset in ``phase``, ``"search"`` or ``"retrain"``; none without ``SIZES``.

    Every argument of a search, but those in ``OF_CHOICES``, is one of the retraining, too: else that would keep the search's own size.
    """
    return dict(getattr(space, "SIZES", {}).get(preset, {}).get(phase, {}))


def settable_arguments(space: type, phase: str) -> dict[str, Sequence[Any]]:
    """The constructor arguments of ``space`` that a person may set in ``phase``, ``"search"`` or ``"retrain"``, with their legal values."""
    settled = getattr(space, "OF_CHOICES", ()) if phase == "retrain" else ()
    return {name: legal for name, legal in getattr(space, "SETTABLE", {}).items() if name not in settled}


def sized_arguments(space: type, preset: str, phase: str, pins: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the preset, and in their place those that ``pins`` sets (which may hold other labels, too).

    Raises ``SpaceError`` that says what is legal.
    """
    arguments = preset_arguments(space, preset, phase)
    for name, legal in settable_arguments(space, phase).items():
        if name in pins:
            arguments[name] = _check_argument(name, pins[name], legal)
    return arguments


def _check_argument(name: str, value: Any, legal: Sequence[Any]) -> Any:
    if isinstance(legal, range) and isinstance(value, float) and value.is_integer():
        value = int(value)
    if type(value) is not type(legal[0]) or value not in legal:
        words = f"a whole number from {legal[0]} to {legal[-1]}" if isinstance(legal, range) else f"one of {', '.join(map(str, legal))}"
        raise SpaceError(f"{name}: {value!r} is not {words}")
    return value


def preset_choices(space: type, preset: str) -> dict[str, list[Any]]:
    """The choices that a preset searches, by label, where it leaves some out (``NARROWED``); a person may still ask for those by name."""
    return dict(getattr(space, "NARROWED", {}).get(preset, {}))


def check_sizes(space: str, **sizes: tuple[int, int]) -> None:
    """Raise ``SpaceError`` where a size is below the least that it may be; ``sizes`` are (value, least) by name."""
    for name, (value, least) in sizes.items():
        if value < least:
            raise SpaceError(f"{space}: {name} must be at least {least}, not {value}")


def make_space(space: type[ModelSpace], arguments: Mapping[str, Any]) -> ModelSpace:
    """The unfrozen space; raises ``SpaceError`` where ``arguments`` are not those it takes."""
    import torch

    try:
        with torch.random.fork_rng(devices=[]):  # its first weights are drawn from a state that is put back
            return space(**arguments)
    except (TypeError, AssertionError, RuntimeError, OverflowError, MemoryError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise SpaceError(f"{space.__name__} cannot be built with {dict(arguments)}: {reason}") from error


def build_network(space: type[ModelSpace], arguments: Mapping[str, Any], architecture: Mapping[str, Any]) -> ModelSpace:
    """The network of ``architecture``, as ``freeze`` makes it: its first weights are drawn from torch's generator as it stands."""
    from nni.nas.space import model_context

    with model_context(dict(architecture)):
        return space(**arguments)
