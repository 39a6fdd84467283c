"""The contract of every space in ``SPACES``: a new line there is tested here without an edit. Also choices as plain data."""

from __future__ import annotations

import hashlib
import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from nni.mutable import Categorical, CategoricalMultiple, MutableDict, Numerical
from nni.nas.nn.pytorch import InputChoice, LayerChoice
from program import run_code
from quick_spaces import quick_arguments

from common.errors import SpaceError, require_labels
from evaluators.training.recipes import RECIPES
from spaces import SPACES, space_entry
from spaces.adapter import find_space
from spaces.choices import count_configurations, effective_labels, first_sample, is_fixed, legal_choices, restrict, takes

SEEDS = (0, 1)


@cache
def quick_mutables(name: str) -> dict[str, Any]:
    """What the quick preset searches."""
    space = find_space(name)
    return restrict(space.make(quick_arguments(name)).simplify(), {}, space.narrowed("quick"))


def draw(name: str, seed: int) -> dict[str, Any]:
    return dict(_draw(name, seed))


@cache
def _draw(name: str, seed: int) -> dict[str, Any]:
    sample: dict[str, Any] = {}
    MutableDict(quick_mutables(name)).random(memo=sample, random_state=np.random.RandomState(seed))
    return sample


def build(name: str, sample: dict[str, Any]) -> torch.nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return find_space(name).network(quick_arguments(name), sample)


@pytest.mark.parametrize("name", SPACES)
def test_offers_what_it_says(name: str) -> None:
    space = find_space(name)
    unfrozen = space.make(quick_arguments(name))
    categorical = all(isinstance(mutable, Categorical | CategoricalMultiple) for mutable in quick_mutables(name).values())
    assert space.offers == SPACES[name].offers
    inputs = {module.label for module in unfrozen.modules() if type(module) is InputChoice}
    mixed = {module.label for module in unfrozen.modules() if type(module) in (LayerChoice, InputChoice)}
    can_be_mixed = categorical and mixed == unfrozen.simplify().keys() and inputs <= space.one_shot(unfrozen).input_edges.keys()
    assert ("one_shot" in space.offers) == can_be_mixed
    assert ("hyperparameters" in space.offers) == bool(space.hyperparameters())


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
    sample = draw(name, 0)
    frozen = find_space(name).make(quick_arguments(name)).freeze(sample).eval()
    assert frozen(torch.zeros(2, 3, 32, 32)).shape == (2, 10)
    convolutions = [[p.shape for p in network.parameters() if p.ndim == 4] for network in (frozen, build(name, sample))]
    assert convolutions[0] == convolutions[1]


@pytest.mark.parametrize("name", SPACES)
def test_canonical_samples_are_legal_idempotent_and_the_same_network(name: str) -> None:
    space = find_space(name)
    sample = draw(name, 0)
    canonical = space.canonical(sample)
    assert canonical.keys() == sample.keys()
    assert space.make(quick_arguments(name)).check_contains(canonical) is None
    assert space.canonical(canonical) == canonical
    first, second = build(name, sample).state_dict(), build(name, canonical).state_dict()
    assert first.keys() == second.keys()
    assert all(torch.equal(first[key], second[key]) for key in first)


@pytest.mark.parametrize("name", SPACES)
def test_every_preset_has_a_recipe(name: str) -> None:
    recipes = [find_space(name).recipe_for(preset) for preset in ("quick", "lab", "paper")]
    assert set(recipes) <= RECIPES.keys()
    assert name != "darts" or recipes == ["cells", "cells", "darts"], "the paper's is made for 600 epochs"


@pytest.mark.parametrize("name", SPACES)
def test_samples_survive_json(name: str) -> None:
    sample = find_space(name).canonical(draw(name, 1))
    assert json.loads(json.dumps(sample)) == sample


@pytest.mark.parametrize("name", SPACES)
def test_describe_is_text(name: str) -> None:
    description = find_space(name).describe(draw(name, 0))
    assert description
    assert all(isinstance(text, str) and text for text in description.values())


@pytest.mark.parametrize("name", SPACES)
def test_default_architecture_is_none_or_legal(name: str) -> None:
    space = find_space(name)
    default = space.default_architecture()
    assert default is None or space.make(quick_arguments(name)).check_contains(default) is None


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", SPACES)
def test_usual_values_are_legal_numbers_of_the_same_labels_for_every_sample(name: str, seed: int) -> None:
    space = find_space(name)
    numbers = space.hyperparameters()
    assert space.usual is None or numbers, "it is about hyperparameters"
    if space.usual is None:
        return
    drawn: dict[str, Any] = {}
    MutableDict(numbers).random(memo=drawn, random_state=np.random.RandomState(seed))
    usual = space.usual({**draw(name, seed), **drawn})
    assert usual.keys() == space.usual({label: mutable.default() for label, mutable in {**quick_mutables(name), **numbers}.items()}).keys()
    assert usual and all(takes(numbers[label], value) for label, value in usual.items())


@pytest.mark.parametrize("name", SPACES)
def test_a_portfolio_is_of_legal_configurations(name: str) -> None:
    space = find_space(name)
    offered = space.hyperparameters()
    for configuration in space.portfolio():
        assert space.make({}).check_contains(configuration["architecture"]) is None
        assert all(takes(mutable, configuration["hyperparameters"][label]) for label, mutable in offered.items())


def digest(network: Any) -> str:
    """Of all weights, bit for bit."""
    return hashlib.sha256(b"".join(parameter.detach().numpy().tobytes() for parameter in network.parameters())).hexdigest()


@cache
def digests_elsewhere() -> dict[str, str]:
    """Of the network of each space that a new process builds."""
    samples = {name: find_space(name).canonical(draw(name, 0)) for name in SPACES}
    program = """
import json, sys
sys.path.insert(0, sys.argv[1])
from test_spaces import build, digest
print(json.dumps({name: digest(build(name, sample)) for name, sample in json.loads(sys.argv[2]).items()}))
"""
    return json.loads(run_code(program, str(Path(__file__).parent), json.dumps(samples)))


@pytest.mark.slow
@pytest.mark.parametrize("name", SPACES)
def test_same_seed_same_weights_in_a_fresh_process(name: str) -> None:
    assert digests_elsewhere()[name] == digest(build(name, find_space(name).canonical(draw(name, 0))))


def test_unknown_space_names_the_known_ones() -> None:
    with pytest.raises(SpaceError, match=r"unknown space 'dart' \(did you mean darts\?\); known: darts, zoo, nasbench201"):
        space_entry("dart")
    with pytest.raises(SpaceError, match=r"unknown space 'dart' \(did you mean darts\?\); known: darts, zoo, nasbench201"):
        find_space("dart")


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
    mutables, sample = quick_mutables(name), draw(name, 0)
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
    space = find_space("zoo")
    mutables = space.make({}).simplify()
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
    find_space("darts").make({"width": 2, "num_cells": 3})
    assert torch.equal(torch.get_rng_state(), before)


def test_unknown_labels_name_the_closest() -> None:
    with pytest.raises(SpaceError, match="unknown label 'backbon'; closest known: backbone"):
        require_labels(["backbon"], ["backbone", "stem"])
