"""Operation-level early stopping: what is compared, what is frozen and when, and that nothing else moves otherwise."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from small_supernets import SMALL, PlainSpace, search, seeded
from torch import nn

from spaces.darts.space import DartsSpace
from spaces.nasbench201.space import NasBench201Space
from strategies.one_shot.early_stop import EarlyStop, similarity

TINY = {"width": 2, "cells": 1, "num_classes": 3}
STEPS = 3  # of an epoch


def test_the_similarity_is_that_of_the_training_gradient_and_the_sum_of_both() -> None:
    generator = torch.Generator().manual_seed(0)
    validation, training = torch.randn(2, 2, 6, 3, 5, generator=generator)
    similar, known = similarity(validation, training)
    for weight in range(2):
        cosines = []
        for i in range(3):
            for j in range(5):
                total, one = (validation + training)[weight, :, i, j], training[weight, :, i, j]
                cosines.append(total @ one / (total.norm() * one.norm()))
        assert similar[weight].item() == pytest.approx(torch.stack(cosines).mean().item(), abs=1e-6)
    assert known.tolist() == [True, True]
    right_angle, known = similarity(torch.tensor([[1.0, 0.0], [0.0, 0.0]]), torch.tensor([[0.0, 1.0], [0.0, 1.0]]))
    assert right_angle[0].item() == pytest.approx(0.5**0.5) and known.tolist() == [True, False]


class Pair:
    """An early stop that watches the two convolutions of a space without cells, with gradients by hand."""

    def __init__(self, threshold: float, steps: int) -> None:
        self.weights = [nn.Parameter(torch.ones(2, 1)) for _ in range(2)]
        self.stop = EarlyStop(threshold, steps)
        self.stop._names, self.stop._weights, self.stop._owner = ["a", "b"], self.weights, [0, 1]
        self.stop._sums, self.stop._counts = torch.zeros(2, 2, dtype=torch.float64)
        self.stop._frozen = torch.zeros(2, dtype=torch.bool)

    def step(self, validation: Any, training: Any) -> dict[str, int]:
        for gradients, note in ((validation, self.stop.note_validation), (training, self.stop.note_training)):
            for weight, gradient in zip(self.weights, gradients, strict=True):
                weight.grad = None if gradient is None or not weight.requires_grad else torch.tensor([[gradient[0]], [gradient[1]]])
            note()
        return self.stop.frozen()


def test_an_operation_is_frozen_by_the_mean_over_its_steps() -> None:
    """Of the operation a the similarities are 1 and -1, their mean 0; of b they are 1 and 0.71."""
    pair = Pair(threshold=0.4, steps=2)
    along, against, across = (1.0, 0.0), (-3.0, 0.0), (0.0, 1.0)
    assert pair.step([along, along], [along, along]) == {"a": 0, "b": 0}, "one step is not enough"
    assert pair.step([against, across], [along, along]) == {"a": 1, "b": 0}
    assert [weight.requires_grad for weight in pair.weights] == [False, True] and pair.weights[0].grad is None
    assert pair.step([None, against], [None, along]) == {"a": 1, "b": 0}, "the mean begins anew"
    assert pair.step([None, (0.0, 0.0)], [None, along]) == {"a": 1, "b": 0}, "a step without a gradient does not count"
    assert pair.step([None, against], [None, along]) == {"a": 1, "b": 1}


def test_a_resumed_stop_is_the_one_it_was() -> None:
    first, second = Pair(0.4, 2), Pair(0.4, 2)
    along, against = (1.0, 0.0), (-3.0, 0.0)
    first.step([against, against], [along, along])
    second.stop.restore(first.stop.state())
    assert first.step([against, along], [along, along]) == second.step([against, along], [along, along]) == {"a": 1, "b": 1}
    third = Pair(0.4, 2)
    third.stop.restore(first.stop.state())
    assert all(weight.requires_grad for weight in third.weights), "the optimizer is to know them first"
    third.stop.freeze()
    assert not any(weight.requires_grad for weight in third.weights)


@pytest.mark.parametrize("supernet", ["fused", pytest.param("stock", marks=pytest.mark.slow)])
def test_a_stop_that_freezes_nothing_changes_nothing(supernet: str, tmp_path: Path) -> None:
    found = []
    for threshold in (0.0, 1e-6):
        folder = tmp_path / str(threshold)
        folder.mkdir()
        stop = {"early_stop": threshold, **({"early_stop_steps": 99} if threshold else {})}
        _, epochs = search(seeded(DartsSpace, SMALL), folder, epochs=2, name="oles", supernet=supernet, **stop)
        found.append(epochs)
    assert found[0][0].frozen is None and set(found[1][0].frozen.values()) == {0}
    assert found[0] == [replace(epoch, frozen=None) for epoch in found[1]]


@pytest.mark.parametrize(("space", "arguments"), [(DartsSpace, SMALL), (NasBench201Space, TINY), (PlainSpace, {})])
def test_frozen_operations_stay_as_they_are(space: Any, arguments: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A threshold of 1 freezes every operation after its first step; stem, classifier and alphas learn on."""
    after: list[dict[str, torch.Tensor]] = []
    models: list[nn.Module] = []

    def bind(self: EarlyStop, model: nn.Module) -> None:
        models.append(model)
        original(self, model)

    def keep(done: int) -> None:
        after.append({name: weight.detach().clone() for name, weight in models[0].named_parameters()})

    original = EarlyStop.bind
    monkeypatch.setattr(EarlyStop, "bind", bind)
    _, (epoch,) = search(seeded(space, arguments), tmp_path, name="oles", early_stop=1.0, early_stop_steps=1, on_step=keep)
    assert len(after) == STEPS
    moved = {name for name in after[0] if not torch.equal(after[0][name], after[-1][name])}
    watched = {name for name, weight in models[0].named_parameters() if not weight.requires_grad}
    assert watched and not watched & moved
    assert any("classifier" in name for name in moved)
    assert any("alpha" in name for name in moved), "architecture parameters go on"
    assert epoch.frozen is not None and "skip_connect" not in epoch.frozen
    assert all(copies > 0 for copies in epoch.frozen.values())
    assert sum(epoch.frozen.values()) <= len(watched)


def test_what_is_not_drawn_is_not_judged(tmp_path: Path) -> None:
    _, (epoch,) = search(seeded(NasBench201Space, TINY), tmp_path, name="oles", sampler="gumbel", early_stop=1.0, early_stop_steps=1)
    assert epoch.paths is not None and epoch.frozen is not None
    for name, frozen in epoch.frozen.items():
        drawn = sum(counts[name] > 0 for counts in epoch.paths.values())
        assert frozen <= 3 * drawn, "one copy in each of three cells"
    assert sum(epoch.frozen.values()) < 3 * 6 * len(epoch.frozen)
