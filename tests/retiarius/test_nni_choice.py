"""NNI's search space as a choice of ours: which labels it narrows, which hyperparameters it searches."""

from __future__ import annotations

from typing import Any

import pytest
from nni.mutable import Categorical

from common.errors import SpaceError
from nni_compat.search_space import NniNumber
from retiarius.nni_choice import choose_from

CHOICES: dict[str, dict[str, Any]] = {
    "backbone": {"kind": "one", "values": ["resnet18", "vgg16"], "n_chosen": None},
    "input": {"kind": "several", "values": [0, 1, 2], "n_chosen": 1},
    "inputs": {"kind": "several", "values": [0, 1, 2], "n_chosen": 2},
    "rate": {"kind": "number", "low": 0.0, "high": 0.5},
}


def check(name: str, value: Any) -> Any:
    if not 0 < value < 1:
        raise ValueError(f"{name}: {value} is not between 0 and 1")


def choose(**specs: tuple[str, list[Any]]) -> Any:
    document = {name: {"_type": kind, "_value": values} for name, (kind, values) in specs.items()}
    return choose_from(document, rename={"model": "backbone"}, choices=CHOICES, hyperparameters=["initial_lr"], check=check, epochs=None)


def test_the_labs_names_lead_to_our_labels() -> None:
    chosen = choose(model=("choice", ["vgg16"]), initial_lr=("uniform", [0.1, 0.5]), epochs=("choice", [8]))
    assert chosen.narrowed == {"backbone": ["vgg16"]}
    assert list(chosen.searched) == [chosen.searched["initial_lr"].label] == ["initial_lr"]
    assert isinstance(chosen.searched["initial_lr"], NniNumber)
    assert chosen.epochs == 8


def test_a_choice_of_several_is_named_as_a_whole() -> None:
    for values in ([0, 1, 2], [[0], [1], [2]]):
        assert choose(input=("choice", values)).narrowed == {"input": [0, 1, 2]}
    assert choose(inputs=("choice", [0, 1, 2])).narrowed == {"inputs": [0, 1, 2]}


def test_trials_of_different_lengths() -> None:
    chosen = choose(epochs=("choice", [1, 3, 2]))
    assert isinstance(chosen.searched["epochs"], Categorical)
    assert chosen.epochs == 3
    assert choose(epochs=("choice", [1, 3])).searched.keys() == {"epochs"}
    given = choose_from({"epochs": {"_type": "choice", "_value": [1, 3]}}, rename={}, choices={}, hyperparameters=[], check=check, epochs=5)
    assert (given.searched, given.epochs) == ({}, 5), "the flag has the last word"


@pytest.mark.parametrize(
    ("specs", "message"),
    [
        ({"model": ("choice", ["resnet19"])}, "model: 'resnet19' is not one of resnet18, vgg16"),
        ({"model": ("uniform", [0, 1])}, "model: expected a choice among resnet18, vgg16"),
        (
            {"model": ("choice", ["vgg16"]), "backbone": ("choice", ["vgg16"])},
            "backbone: backbone appears twice, under two names; remove one",
        ),
        ({"hidden": ("choice", [1])}, "unknown label 'hidden'"),
        ({"input": ("choice", [0, 1])}, r"input: what is chosen of several cannot be narrowed: name all, \[0, 1, 2], or fix it"),
        ({"inputs": ("choice", [[0, 1], [1, 2]])}, "inputs: what is chosen of several cannot be narrowed"),
        ({"rate": ("uniform", [0, 0.1])}, "rate: the space has all numbers from 0 to 0.5: fix it, or set its range in the space"),
        ({"epochs": ("uniform", [1, 3])}, "epochs: 1.0 is not a whole number of at least 1"),
        ({"epochs": ("choice", [0])}, "epochs: 0 is not a whole number of at least 1"),
        ({"model": ("choice", [{"_name": "vgg16"}])}, "model: nested choices work with a trial command only; write one parameter for each"),
    ],
)
def test_what_our_spaces_do_not_have_is_refused(specs: Any, message: str) -> None:
    with pytest.raises(SpaceError, match=message.replace("(", r"\(")):
        choose(**specs)


@pytest.mark.parametrize("spec", [("choice", [0.5, 2]), ("uniform", [0.5, 2]), ("uniform", [0, 0.5])])
def test_values_that_a_training_refuses_are_refused_before_it(spec: Any) -> None:
    with pytest.raises(ValueError, match=r"initial_lr: .* is not between 0 and 1"):
        choose(initial_lr=spec)
