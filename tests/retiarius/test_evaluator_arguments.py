"""The arguments of an evaluator of one's own: searched, fixed, and not mixed up with choices of the space."""

from __future__ import annotations

from typing import Any

import pytest
from torch import nn
from two_layers import TwoLayers, count_weights

import retiarius as rt

pytestmark = pytest.mark.usefixtures("own_folder")
HERE: dict[str, Any] = {"device": "cpu", "precision": "float32"}


def test_an_argument_called_lr_is_its_own(data: Any) -> None:
    def rated(network: nn.Module, lr: float) -> float:
        return lr

    ranges = {"lr": {"_type": "uniform", "_value": [0, 1]}, "convolution": {"_type": "choice", "_value": ["small"]}}
    found = rt.search(TwoLayers, "random", evaluator=rated, trials=2, data=data, search_space=ranges, fixed={"activation": "relu"}, **HERE)
    assert all(trial.score == trial.hyperparameters["lr"] for trial in found.trials)


def test_arguments_of_ones_own_evaluator_are_searched_or_fixed(data: Any) -> None:
    def scaled(network: nn.Module, scale: float, power: int = 1) -> float:
        return count_weights(network) * float(scale) ** power

    told: dict[str, Any] = {"evaluator": scaled, "trials": 3, "data": data, **HERE}
    ranges = {"scale": {"_type": "uniform", "_value": [0, 1]}, "convolution": {"_type": "choice", "_value": ["small"]}}
    found = rt.search(TwoLayers, "random", search_space=ranges, fixed={"power": 2, "activation": "relu"}, out="run", **told)
    for trial in found.trials:
        weights = count_weights(found.architecture_of(trial).network())
        assert trial.score == pytest.approx(weights * trial.sample["scale"] ** 2) and 0 < trial.sample["scale"] < 1
    assert found.best.record.hyperparameters["scale"] == found.trials[found.record.best_trial.number].sample["scale"]  # type: ignore[union-attr]
    for told_twice in ({"scale": [0.5, 1]}, {"scale": float("nan")}):
        with pytest.raises(rt.SpaceError, match=r"`fixed\['scale'\]`: .* is no text, finite number"):
            rt.search(TwoLayers, "random", fixed=told_twice, out="other", **told)
    with pytest.raises(rt.SpaceError, match="unknown label 'scales'; closest known: scale"):
        rt.search(TwoLayers, "random", search_space={"scales": ranges["scale"]}, out="other", **told)


def test_a_choice_is_not_handed_to_an_argument_of_its_name(data: Any) -> None:
    def kind(network: nn.Module, convolution: str = "unset") -> float:
        return float(convolution == "unset")

    found = rt.search(TwoLayers, "random", evaluator=kind, fixed={"convolution": "small"}, trials=2, data=data, out="run", **HERE)
    assert {trial.score for trial in found.trials} == {1.0}
