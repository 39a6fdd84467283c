"""The contract of every space in ``SPACES``: a new line there is tested here without an edit."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from nni.mutable import Categorical, CategoricalMultiple, MutableDict, Numerical
from nni.nas.space import model_context
from project import PROJECT, SEARCH_PATH

from common.errors import SpaceError, require_labels
from evaluators.training.recipes import HYPERPARAMETERS, RECIPES
from retiarius.presets import PRESETS
from spaces import SPACES, make_space, preset_arguments, preset_choices, settable_arguments, sized_arguments, space_entry
from spaces.choices import count_configurations, effective_labels, first_sample, is_fixed, legal_choices, restrict
from strategies.one_shot.search_epoch import ALPHA_SETTINGS

SEEDS = (0, 1)


def small_space(name: str) -> tuple[type, dict[str, Any], dict[str, Any]]:
    """The space's class, the arguments of its quick preset, and the mutables that preset searches."""
    space = SPACES[name].load()
    arguments = preset_arguments(space, "quick", "search")
    return space, arguments, restrict(make_space(space, arguments).simplify(), {}, preset_choices(space, "quick"))


def draw(name: str, seed: int) -> dict[str, Any]:
    sample: dict[str, Any] = {}
    MutableDict(small_space(name)[2]).random(memo=sample, random_state=np.random.RandomState(seed))
    return sample


def build(name: str, sample: dict[str, Any]) -> torch.nn.Module:
    space, arguments, _ = small_space(name)
    with torch.random.fork_rng(), model_context(sample):
        torch.manual_seed(0)
        return space(**arguments)


@pytest.mark.parametrize("name", SPACES)
def test_offers_what_it_says(name: str) -> None:
    space, arguments, mutables = small_space(name)
    unfrozen = make_space(space, arguments)
    categorical = all(isinstance(mutable, Categorical | CategoricalMultiple) for mutable in mutables.values())
    assert ("one_shot" in SPACES[name].offers) == (categorical and hasattr(unfrozen, "input_edges"))
    assert ("hyperparameters" in SPACES[name].offers) == bool(space.hyperparameters())


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", SPACES)
def test_random_samples_build_networks_that_learn(name: str, seed: int) -> None:
    sample = draw(name, seed)
    network = build(name, sample).train()
    images, labels = torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(seed)), torch.tensor([0, 1, 2, 3])
    logits = network(images)
    assert logits.shape == (4, 10)
    torch.nn.functional.cross_entropy(logits, labels).backward()
    assert [key for key, parameter in network.named_parameters() if parameter.grad is None] == []


@pytest.mark.parametrize("name", SPACES)
def test_freeze_builds_a_network_of_the_same_operations_as_model_context(name: str) -> None:
    space, arguments, _ = small_space(name)
    sample = draw(name, 0)
    frozen = make_space(space, arguments).freeze(sample).eval()
    assert frozen(torch.zeros(2, 3, 32, 32)).shape == (2, 10)
    convolutions = [[p.shape for p in network.parameters() if p.ndim == 4] for network in (frozen, build(name, sample))]
    assert convolutions[0] == convolutions[1]


@pytest.mark.parametrize("name", SPACES)
def test_canonical_samples_are_legal_idempotent_and_the_same_network(name: str) -> None:
    space = small_space(name)[0]
    sample = draw(name, 0)
    canonical = space.canonical(sample)
    assert canonical.keys() == sample.keys()
    assert make_space(space, small_space(name)[1]).check_contains(canonical) is None
    assert space.canonical(canonical) == canonical
    first, second = build(name, sample).state_dict(), build(name, canonical).state_dict()
    assert first.keys() == second.keys()
    assert all(torch.equal(first[key], second[key]) for key in first)


@pytest.mark.parametrize("name", SPACES)
def test_retraining_takes_its_sizes_from_the_preset_and_not_from_the_search(name: str) -> None:
    space = space_entry(name).load()
    searched = {label for preset in PRESETS for label in preset_arguments(space, preset, "search")} - set(getattr(space, "OF_CHOICES", ()))
    for preset in PRESETS:
        assert searched <= preset_arguments(space, preset, "retrain").keys(), preset


@pytest.mark.parametrize("name", SPACES)
def test_what_a_person_may_set_is_an_argument_of_the_space(name: str) -> None:
    space, arguments, _ = small_space(name)
    settable, choices = settable_arguments(space, "search"), legal_choices(make_space(space, arguments).simplify())
    assert not settable.keys() & {*choices, *space.hyperparameters(), *HYPERPARAMETERS, *ALPHA_SETTINGS}, "a name would be of two things"
    for argument, legal in settable.items():
        for value in legal[0], legal[1]:
            sized = sized_arguments(space, "quick", "search", {argument: value, "initial_lr": 0.1})
            assert sized == {**arguments, argument: value}
            same = legal_choices(make_space(space, sized).simplify()) == choices
            assert same or argument not in settable_arguments(space, "retrain"), "it says what there is to choose"
        illegal = legal[0] - 1 if isinstance(legal, range) else "maybe"
        with pytest.raises(SpaceError, match=f"{argument}: "):
            sized_arguments(space, "quick", "search", {argument: illegal})
        if isinstance(legal, range):
            with pytest.raises(SpaceError, match=argument):
                make_space(space, {**arguments, argument: illegal})
            assert sized_arguments(space, "quick", "search", {argument: float(legal[1])})[argument] == legal[1]


@pytest.mark.parametrize("name", SPACES)
def test_every_preset_has_a_recipe(name: str) -> None:
    recipes = [SPACES[name].recipe_for(preset) for preset in ("quick", "lab", "paper")]
    assert set(recipes) <= RECIPES.keys()
    assert name != "darts" or recipes == ["cells", "cells", "darts"], "the paper's is made for 600 epochs"


@pytest.mark.parametrize("name", SPACES)
def test_samples_survive_json(name: str) -> None:
    sample = small_space(name)[0].canonical(draw(name, 1))
    assert json.loads(json.dumps(sample)) == sample


@pytest.mark.parametrize("name", SPACES)
def test_describe_is_text(name: str) -> None:
    description = SPACES[name].load().describe(draw(name, 0))
    assert description
    assert all(isinstance(text, str) and text for text in description.values())


@pytest.mark.parametrize("name", SPACES)
def test_default_architecture_is_none_or_legal(name: str) -> None:
    space, arguments, _ = small_space(name)
    default = space.default_architecture()
    assert default is None or make_space(space, arguments).check_contains(default) is None


def digest(network: Any) -> str:
    """Of all weights, bit for bit."""
    return hashlib.sha256(b"".join(parameter.detach().numpy().tobytes() for parameter in network.parameters())).hexdigest()


@cache
def digests_elsewhere() -> dict[str, str]:
    """Of the network of each space that a new process builds: one process for all of them, as it takes seconds to import what NNI needs."""
    samples = {name: SPACES[name].load().canonical(draw(name, 0)) for name in SPACES}
    program = """
import json, sys, warnings; warnings.simplefilter("ignore")
from test_spaces import build, digest
print(json.dumps({name: digest(build(name, sample)) for name, sample in json.loads(sys.argv[1]).items()}))
"""
    environment = {"PYTHONPATH": f"{Path(__file__).parent}:{SEARCH_PATH}", "PATH": ""}
    command = [sys.executable, "-c", program, json.dumps(samples)]
    there = subprocess.run(command, capture_output=True, text=True, check=True, cwd=PROJECT, env=environment)
    return json.loads(there.stdout)


@pytest.mark.slow
@pytest.mark.parametrize("name", SPACES)
def test_same_seed_same_weights_in_a_fresh_process(name: str) -> None:
    assert digests_elsewhere()[name] == digest(build(name, SPACES[name].load().canonical(draw(name, 0))))


def test_unknown_space_names_the_known_ones() -> None:
    with pytest.raises(SpaceError, match=r"unknown space 'dart' \(did you mean darts\?\); known: darts, zoo, nasbench201"):
        space_entry("dart")


def test_make_space_refuses_arguments_it_does_not_take() -> None:
    with pytest.raises(SpaceError, match="colour"):
        make_space(SPACES["darts"].load(), {"colour": "red"})
    with pytest.raises(SpaceError, match="width"):
        make_space(SPACES["darts"].load(), {"width": "wide"})


def test_choices_as_plain_data() -> None:
    mutables = {"a": Categorical(["x", "y"], label="a"), "b": CategoricalMultiple([0, 1, 2], n_chosen=2, label="b")}
    assert legal_choices(mutables) == {
        "a": {"kind": "one", "values": ["x", "y"], "n_chosen": None},
        "b": {"kind": "several", "values": [0, 1, 2], "n_chosen": 2},
    }
    restricted = restrict(mutables, {"b": [2, 0]}, {"a": ["y"]})
    assert restricted["a"].values == ["y"]
    assert restricted["b"].values == [0, 2]
    assert all(map(is_fixed, restricted.values()))
    assert not any(map(is_fixed, mutables.values()))
    assert restrict(mutables, {"a": "x"}, {"a": ["y"]})["a"].values == ["x"], "a pin wins over a preset's choices"


@pytest.mark.parametrize("name", SPACES)
def test_every_choice_can_be_fixed_by_its_name(name: str) -> None:
    """Also one of a cell, whose label has a slash in it, which NNI takes from nobody but itself."""
    mutables, sample = small_space(name)[2], draw(name, 0)
    fixed = restrict(mutables, {str(label): value for label, value in sample.items()}, {})
    assert fixed.keys() == mutables.keys()
    assert all(map(is_fixed, fixed.values()))
    assert MutableDict(fixed).default() == sample


def test_the_first_sample_keeps_what_is_fixed() -> None:
    inputs = CategoricalMultiple([0, 1, 2], n_chosen=2, label="inputs")
    mutables = restrict({"inputs": inputs, "a": Categorical(["x", "y"], label="a")}, {"inputs": [0, 2]}, {})
    rates = {"lr": Numerical(1e-3, 1.0, label="lr")}
    assert first_sample(mutables, {"inputs": [1, 2], "a": "y"}, rates, {"lr": 0.5}) == {"inputs": [0, 2], "a": "y", "lr": 0.5}


def test_a_choice_that_changes_nothing_is_not_effective() -> None:
    space, arguments, _ = small_space("zoo")
    mutables = make_space(space, arguments).simplify()
    of_resnet = {label: mutables[label] for label in ("backbone", "stem", "width", "depth")}
    resnet = space.canonical({"backbone": "resnet18", "stem": "own", "width": 64, "depth": 2})
    assert effective_labels(of_resnet, resnet, space.canonical) == ["backbone", "stem"]
    convnet = space.canonical({**resnet, "backbone": "convnet32"})
    assert {"width", "depth"} <= set(effective_labels(of_resnet, convnet, space.canonical))
    pinned = restrict(of_resnet, {"backbone": "resnet18", "stem": "own"}, {})
    assert effective_labels(pinned, resnet, space.canonical) == []


def test_the_number_of_configurations() -> None:
    some = {"a": Categorical(["x", "y"], label="a"), "b": CategoricalMultiple([0, 1, 2], n_chosen=2, label="b")}
    assert count_configurations(some) == 2 * 3
    assert count_configurations({"c": CategoricalMultiple([0, 1, 2], label="c")}) == 8
    assert count_configurations({**some, "d": Numerical(0.0, 1.0, label="d")}) > 10**15


def test_making_a_space_leaves_torchs_generator_alone() -> None:
    before = torch.get_rng_state()
    make_space(SPACES["darts"].load(), {"width": 2, "num_cells": 3})
    assert torch.equal(torch.get_rng_state(), before)


def test_unknown_labels_name_the_closest() -> None:
    with pytest.raises(SpaceError, match="unknown label 'backbon'; closest known: backbone"):
        require_labels(["backbon"], ["backbone", "stem"])
