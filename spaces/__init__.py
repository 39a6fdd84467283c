"""WHAT can be chosen: model spaces, their operations, hyperparameters.

A space is an NNI 3.0 ``ModelSpace``, of anyone's. ``spaces.adapter`` makes it complete: it has a default for all that a class does not say
of itself. What a class may say, as class attributes, static methods or class methods (others of the same name are passed over):

- ``canonical(sample)``: the one sample that stands for all samples which build the same network;
- ``describe(architecture)``: the architecture in words, ``{name: text}``;
- ``default_architecture()``: the architecture a search starts from and ``hpo`` keeps, or ``None``;
- ``hyperparameters()``: the hyperparameters that are searched together with the architecture, as NNI mutables by label;
- ``usual(sample)``: by label the good value of a number for the network and the optimizer of ``sample``, which has all hyperparameters; the
  same labels for every sample. With a time budget, strategies look for such a number near it: up to ten times as large or small;
- ``portfolio()``: whole configurations that are worth a try first, the best expected gain a second before the others, each
  ``{"architecture": {...}, "hyperparameters": {...}}``;
- ``SIZES``: by preset and phase, ``"search"`` or ``"retrain"``, arguments of the constructor. Every argument of a search, but those in
  ``OF_CHOICES``, is one of the retraining, too: else that would keep the search's own size;
- ``NARROWED``: by preset the choices that it searches, by label, where it leaves some out;
- ``SETTABLE``, where a person may set arguments of the constructor: by name the legal values, a ``range`` or a tuple; and ``OF_CHOICES``,
  the names of those of them that say what there is to choose, so that a found architecture has settled them;
- ``DEPTH``: the name of the argument, one of those, that says how many cells the network has, for searches that deepen their supernet;
- ``surrogate_features(architecture)``: what the network computes, as numbers by name that predict its accuracy;
- ``kernels_note(precision, is_supernet=...)``, where it computes by kernels of its own on a CPU: which, in words, or ``None``;
  ``speed_up(network)``, by which dense convolutions of a network have them; and ``only_precision(device)``: the precision in which its
  networks are trained there whatever is asked for, or ``None``.

And as ordinary methods of the unfrozen space:

- ``input_edges()``, where cells are searched one-shot: by ``InputChoice`` label the ``LayerChoice`` labels of its candidates, in order;
- ``node_edges()``, where no ``InputChoice`` tells them: by name of a node the ``LayerChoice`` labels of the edges that lead to it;
- ``operation_costs()``, where a one-shot search may weigh costs: by name of the operation what it costs, from 0 to 1.

A module of a space that has ``differentiable_form()`` is replaced by that in a supernet. With partial channels it is
``partial_form(parts)``, whose operations work on one of so many parts of the channels. Where one drawn operation an edge is computed it is
``single_path_form()``. A module that has both may be computed by one or by the other from step to step: they have the same parameters.

To add a space: write one file, then one line in ``SPACES``. The contract tests run over the dict.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING

from common.errors import SpaceError, unknown_name
from common.libraries import quiet_libraries
from spaces.building import build_network, make_space

if TYPE_CHECKING:
    from nni.nas.nn.pytorch import ModelSpace

__all__ = ["SPACES", "SpaceEntry", "build_network", "make_space", "space_entry"]


@dataclass(frozen=True)
class SpaceEntry:
    """One line of ``SPACES``: where the space is, what it is for, and what a strategy finds in it.

    Attributes
    ----------
    target
        ``package.module:Class``.
    summary
        A few words.
    offers
        Holds ``"one_shot"`` where every choice is a ``LayerChoice`` or an ``InputChoice`` of which ``input_edges()`` tells, and
        ``"hyperparameters"`` where it brings its own.
    recipe
        The training recipe that suits its networks.
    paper_recipe
        The one for the preset ``paper`` where that is another.
    vocabulary
        A module that imports nothing heavy and tells what a person may type. Its function ``vocabulary(arguments)`` returns the legal
        choices as ``spaces.choices.legal_choices`` does. ``SIZES``, ``SETTABLE``, ``OF_CHOICES``, ``NARROWED`` are there where the space
        has them. ``None``: only the class tells.
    """

    target: str
    summary: str
    offers: frozenset[str]
    recipe: str
    paper_recipe: str | None = None
    vocabulary: str | None = None

    def recipe_for(self, preset: str) -> str:
        """Return the name of the recipe by which its networks are trained unless another is asked for."""
        return self.paper_recipe if preset == "paper" and self.paper_recipe is not None else self.recipe

    def load(self) -> type[ModelSpace]:
        """Return the space's class; imports torch and NNI on first use."""
        quiet_libraries()
        module, name = self.target.split(":")
        return getattr(importlib.import_module(module), name)

    def load_vocabulary(self) -> ModuleType | None:
        """Return the module that tells what a person may type, where there is one."""
        return None if self.vocabulary is None else importlib.import_module(self.vocabulary)


SPACES: dict[str, SpaceEntry] = {
    "darts": SpaceEntry(
        "spaces.darts.space:DartsSpace",
        "normal and reduction cells of DARTS (Liu et al. 2019)",
        frozenset({"one_shot"}),
        "cells",
        "darts",
        vocabulary="spaces.darts.vocabulary",
    ),
    "zoo": SpaceEntry(
        "spaces.zoo.space:ZooSpace",
        "torchvision and timm backbones, stem, hyperparameters",
        frozenset({"hyperparameters"}),
        "fast",
        vocabulary="spaces.zoo.vocabulary",
    ),
    "nasbench201": SpaceEntry(
        "spaces.nasbench201.space:NasBench201Space",
        "the cell of NAS-Bench-201 (Dong and Yang 2020), 15,625 networks",
        frozenset({"one_shot"}),
        "fast",
        vocabulary="spaces.nasbench201.vocabulary",
    ),
}


def space_entry(name: str) -> SpaceEntry:
    """Return the entry called ``name``.

    Raises
    ------
    SpaceError
        There is none; names the known ones.
    """
    if name not in SPACES:
        raise SpaceError(unknown_name("space", name, SPACES))
    return SPACES[name]
