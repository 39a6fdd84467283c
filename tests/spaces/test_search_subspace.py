"""What a search explores of a space, and the samples that it can begin with."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest
from nni.mutable import Categorical, CategoricalMultiple, Numerical

from common.errors import SpaceError
from retiarius.nni_choice import ChosenSpace
from spaces.adapter import Space
from spaces.origins import Origin
from spaces.search_subspace import SearchedPart, searched_part


class Stems:
    """A stem of three kinds, of which the preset ``quick`` leaves one out, a width that only ``wide`` reads, and two inputs of three."""

    NARROWED: ClassVar = {"quick": {"stem": ["plain", "wide"]}}

    @staticmethod
    def canonical(sample: dict[str, Any]) -> dict[str, Any]:
        width = sample["width"] if sample["stem"] == "wide" else 8
        return {"stem": sample["stem"], "width": width, "inputs": sample["inputs"]}

    @staticmethod
    def default_architecture() -> dict[str, Any] | None:
        return {"stem": "plain", "width": 8, "inputs": [0, 1]}

    @staticmethod
    def hyperparameters() -> dict[str, Any]:
        return {"lr": Numerical(1e-3, 1.0, log_distributed=True, label="lr"), "nesterov": Categorical([False, True], label="nesterov")}


class WithoutDefault(Stems):
    @staticmethod
    def default_architecture() -> dict[str, Any] | None:
        return None


RECIPE = {"lr": 0.1, "nesterov": True, "epochs": 3}


def part(stems: type = Stems, **more: Any) -> SearchedPart:
    mutables = {
        "stem": Categorical(["plain", "wide", "odd"], label="stem"),
        "width": Categorical([8, 16, 32], label="width"),
        "inputs": CategoricalMultiple([0, 1, 2], n_chosen=2, label="inputs"),
    }
    return searched_part(Space("mine", Origin(stems)), mutables, **{"preset": "quick", "pins": {}, **more})


def values(searched: SearchedPart) -> dict[str, list[Any]]:
    return {label: list(mutable.values) for label, mutable in searched.architecture.items()}


def test_the_preset_narrows_and_a_pin_fixes() -> None:
    searched = part(pins={"width": 16, "lr": 0.5, "unknown": 1})
    assert values(searched) == {"stem": ["plain", "wide"], "width": [16], "inputs": [0, 1, 2]}
    assert list(searched.hyperparameters) == ["nesterov"]
    assert values(part(preset="lab"))["stem"] == ["plain", "wide", "odd"]
    assert values(part(pins={"stem": "odd"}))["stem"] == ["odd"], "left out by the preset, and asked for by name"


def test_a_strategy_for_hyperparameters_keeps_the_default() -> None:
    searched = part(keeps_architecture=True, pins={"width": 32})
    assert values(searched) == {"stem": ["plain"], "width": [32], "inputs": [0, 1]}
    assert list(searched.hyperparameters) == ["lr", "nesterov"]


def test_a_file_says_what_is_searched_and_the_rest_keeps_its_default() -> None:
    chosen = ChosenSpace({"stem": ["wide", "odd"]}, {"lr": Categorical([0.1, 0.2], label="lr")}, None)
    searched = part(chosen=chosen)
    assert values(searched) == {"stem": ["wide", "odd"], "width": [8], "inputs": [0, 1]}
    assert list(searched.hyperparameters) == ["lr"]
    assert values(part(chosen=chosen, pins={"width": 32, "stem": "odd"})) == {"stem": ["odd"], "width": [32], "inputs": [0, 1]}
    assert list(part(chosen=chosen, pins={"lr": 0.3}).hyperparameters) == []
    with pytest.raises(SpaceError, match="has no default for width and 1 more"):
        part(WithoutDefault, chosen=chosen)


def test_a_table_searches_the_hyperparameters_that_it_has() -> None:
    assert list(part(known=["stem", "width", "inputs", "lr"]).hyperparameters) == ["lr"]


def test_without_a_default_each_choice_has_to_be_made() -> None:
    with pytest.raises(
        SpaceError, match=r"^mine has no default for stem and 2 more, which this search does not choose: set it by `fixed`$"
    ):
        part(WithoutDefault, keeps_architecture=True)
    with pytest.raises(SpaceError, match=r"has no default for width, which this search does not choose: set it by `fixed`$"):
        part(WithoutDefault, keeps_architecture=True, pins={"stem": "wide", "inputs": [0, 2]})
    everything = part(WithoutDefault, keeps_architecture=True, pins={"stem": "wide", "inputs": [0, 2], "width": 16})
    assert values(everything) == {"stem": ["wide"], "width": [16], "inputs": [0, 2]}


def test_what_is_not_read_has_a_value_that_is_searched() -> None:
    searched = part(chosen=ChosenSpace({"stem": ["plain", "wide"], "width": [16, 32]}, {}, None))
    for stem in ("plain", "wide"):
        for width in (16, 32):
            sample = searched.canonical({"stem": stem, "width": width, "inputs": [0, 1]})
            assert sample == {"stem": stem, "width": width if stem == "wide" else 16, "inputs": [0, 1]}, "8, the default, is not searched"
    assert searched.fit({"stem": "plain", "width": 8, "inputs": [0, 1]})["width"] == 16
    assert searched.fit({"stem": "wide", "width": 8, "inputs": [0, 1]})["width"] == 8, "another width would be another network"


def test_samples_of_an_architecture() -> None:
    searched, default = part(pins={"width": 16}), {"stem": "plain", "width": 8, "inputs": [0, 1]}
    fixed = {"stem": "plain", "width": 16, "inputs": [0, 1]}
    assert searched.fit(default) == fixed, "it does not read its width, so that another one builds the same network"
    assert searched.fit({**default, "stem": "wide"})["width"] == 8, "another width would be another network"
    assert searched.sample(fixed, RECIPE, {}) == {**fixed, "lr": 0.1, "nesterov": True}
    assert searched.sample(fixed, RECIPE, {"lr": 0.5, "nesterov": 2, "momentum": 0.9}) == {**fixed, "lr": 0.5, "nesterov": True}
    assert RECIPE == {"lr": 0.1, "nesterov": True, "epochs": 3}
    assert searched.sample(fixed, {"lr": 7.0}, {})["lr"] == searched.hyperparameters["lr"].default(), "neither value is searched"


def test_what_a_search_cannot_try_is_named() -> None:
    searched = part(pins={"width": 16})
    assert searched.outside({"stem": "plain", "width": 8, "inputs": [0, 1]}) == [], "the width is not searched"
    assert searched.outside({"stem": "odd", "lr": 2.0, "momentum": 0.9}) == ["stem odd", "lr 2.0"]


def test_samples_that_build_and_train_the_same_are_one() -> None:
    searched = part()
    plain = {"stem": "plain", "width": 8, "inputs": [0, 1], "lr": 0.1, "nesterov": True}
    samples = {"first": plain, "same": {**plain, "width": 32}, "wide": {**plain, "stem": "wide"}, "slow": {**plain, "lr": 0.2}}
    assert list(searched.without_repeats(samples)) == ["first", "wide", "slow"]
    pinned = part(pins={"width": 16})
    assert pinned.canonical({**plain, "width": 16}) == {**plain, "width": 16}, "what is fixed stays so, though nothing reads it"
    assert searched.meaning(samples["first"]) == searched.meaning(samples["same"]) != searched.meaning(samples["slow"])


def test_labels_that_could_have_come_out_otherwise() -> None:
    assert part().labels_with_effect({"stem": "plain", "width": 8, "inputs": [0, 1]}) == ["stem", "inputs", "lr", "nesterov"]
    wide = {"stem": "wide", "width": 16, "inputs": [0, 1]}
    assert part().labels_with_effect(wide) == ["stem", "width", "inputs", "lr", "nesterov"]
    assert part(pins={"stem": "wide", "lr": 0.1}).labels_with_effect(wide) == ["width", "inputs", "nesterov"]
    one_value = ChosenSpace({"stem": ["plain", "wide"]}, {"lr": Categorical([0.1], label="lr")}, None)
    assert part(chosen=one_value).labels_with_effect({"stem": "plain", "width": 8, "inputs": [0, 1]}) == ["stem"]


def test_what_is_fixed_and_read_by_no_network_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    stem, width = (Categorical(values, label=label) for label, values in (("stem", ["plain", "wide"]), ("width", [8, 16])))
    assert part(pins={"stem": "plain", "width": 16}).without_effect({"stem": stem, "width": width}) == ["width"]
    assert part(pins={"stem": "wide", "width": 16}).without_effect({"stem": stem, "width": width}) == []
    assert part(pins={"width": 16}).without_effect({"width": width}) == [], "one of the stems reads it"
    assert part(pins={"stem": "plain", "width": 8}).without_effect({}) == []
    inputs = CategoricalMultiple([0, 1, 2], n_chosen=2, label="inputs")
    assert part(pins={"inputs": [2, 1]}).without_effect({"inputs": inputs}) == []
    with monkeypatch.context() as patch:
        patch.setattr("spaces.search_subspace.MOST_TRIED", 2)
        assert part(pins={"stem": "plain", "width": 16}).without_effect({"width": width}) == [], "there are three: too many to tell"

    class Faulty(Stems):
        @staticmethod
        def canonical(sample: dict[str, Any]) -> dict[str, Any]:
            raise ValueError(sample["stem"])

    assert part(Faulty, pins={"stem": "plain", "width": 16}).without_effect({"width": width}) == []
