"""The arguments of every space in ``SPACES``: what can be set, what is told of it without torch, and what is refused."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from project import PROJECT
from quick_spaces import quick_arguments

from common.errors import SpaceError
from evaluators.training.recipes import HYPERPARAMETERS
from retiarius.presets import PRESETS
from spaces import SPACES, make_space
from spaces.adapter import find_space
from spaces.choices import legal_choices
from spaces.named import NAMES
from strategies.one_shot.search_epoch import AlphaOptimizer


@pytest.mark.parametrize("name", SPACES)
def test_retraining_takes_its_sizes_from_the_preset_and_not_from_the_search(name: str) -> None:
    space = find_space(name)
    of_choices = space.settable("search").keys() - space.settable("retrain").keys()
    searched = {label for preset in PRESETS for label in space.preset_arguments(preset, "search")} - of_choices
    for preset in PRESETS:
        assert searched <= space.preset_arguments(preset, "retrain").keys(), preset


@pytest.mark.parametrize("name", SPACES)
def test_what_a_person_may_set_is_an_argument_of_the_space(name: str) -> None:
    space, arguments = find_space(name), quick_arguments(name)
    settable, choices = space.settable("search"), legal_choices(space.make(arguments).simplify())
    assert not settable.keys() & {*choices, *space.hyperparameters(), *HYPERPARAMETERS, *vars(AlphaOptimizer())}, (
        "a name would be of two things"
    )
    for argument, legal in settable.items():
        assert legal is not None
        for value in legal[0], legal[1]:
            sized = space.sized_arguments("quick", "search", {argument: value, "initial_lr": 0.1})
            assert sized == {**arguments, argument: value}
            space.check_arguments({**sized, "num_classes": 10})
            same = legal_choices(space.make(sized).simplify()) == choices
            assert same or argument not in space.settable("retrain"), "it says what there is to choose"
        illegal = legal[0] - 1 if isinstance(legal, range) else "maybe"
        with pytest.raises(SpaceError, match=f"{argument}: "):
            space.sized_arguments("quick", "search", {argument: illegal})
        with pytest.raises(SpaceError, match=f"{argument}: "):
            space.check_arguments({argument: illegal})
        if isinstance(legal, range):
            with pytest.raises(SpaceError, match=argument):
                space.make({**arguments, argument: illegal})
            assert space.sized_arguments("quick", "search", {argument: float(legal[1])})[argument] == legal[1]


@pytest.mark.parametrize("name", SPACES)
def test_a_file_may_not_ask_for_what_would_fill_the_memory(name: str) -> None:
    space = find_space(name)
    for preset in PRESETS:
        for phase in ("search", "retrain"):
            space.check_arguments(space.with_classes(space.preset_arguments(preset, phase), 10))
    for value in (10**9, 0, "10", True, None):
        with pytest.raises(SpaceError, match=r"^num_classes: .* is not a whole number from 1 to 100000$"):
            space.check_arguments({"num_classes": value})
    if name == "darts":
        with pytest.raises(SpaceError, match=r"^num_cells: 2000 is not a whole number from 3 to 100$"):
            space.check_arguments({"width": 8, "num_cells": 2000})


# Per space: arguments by which choices may differ.
ARGUMENTS: dict[str, list[dict[str, Any]]] = {
    "darts": [{"num_nodes": 1}, {"num_nodes": 2, "none": True}, {"none": True, "width": 2, "num_cells": 3}],
    "nasbench201": [{"width": 2, "cells": 1}],
}


@pytest.mark.parametrize("name", [name for name, entry in SPACES.items() if entry.vocabulary is not None])
def test_the_vocabulary_tells_the_choices_of_the_space(name: str) -> None:
    space = find_space(name)
    assert space.answers_at_once
    for arguments in ({}, quick_arguments(name), *ARGUMENTS.get(name, [])):
        told, legal = space.choices(arguments), legal_choices(space.make(arguments).simplify())
        assert list(told.items()) == list(legal.items()), arguments
    vocabulary, kind = SPACES[name].load_vocabulary(), SPACES[name].load()
    for table in ("SIZES", "SETTABLE", "OF_CHOICES", "NARROWED"):
        assert getattr(vocabulary, table, None) is getattr(kind, table, None), "one source"


def test_what_can_be_set_is_told_without_torch() -> None:
    program = """
import sys
from spaces import SPACES
from spaces.adapter import find_space
from spaces.named import NAMES, choices_left, named_architecture
for name, entry in SPACES.items():
    space = find_space(name)
    arguments = space.sized_arguments("quick", "search", {})
    space.check_arguments(arguments)
    print(len(space.choices(arguments)), *space.settable("retrain"), *space.narrowed("quick"), *space.offers, space.recipe_for("paper"))
print(*{"torch", "nni", "numpy"} & set(sys.modules), len(NAMES))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=PROJECT)
    *_, last = done.stdout.splitlines()
    assert last == str(len(NAMES))


def test_make_space_refuses_arguments_it_does_not_take() -> None:
    with pytest.raises(SpaceError, match="colour"):
        make_space(SPACES["darts"].load(), {"colour": "red"})
    with pytest.raises(SpaceError, match="width"):
        find_space("darts").make({"width": "wide"})
