"""Searches with other parts than those of DARTS: what is drawn when, what the loss of the alphas hears of, and how they are resumed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from mixed_spaces import Cells
from nni.nas.execution import SequentialExecutionEngine
from nni.nas.nn.pytorch import LayerChoice
from nni.nas.space import RawFormatModelSpace
from small_supernets import SMALL, PlainSpace, evaluator, facts_of, resumed_and_whole, search, seeded
from torch import Tensor, nn

from common.errors import StrategyError
from spaces.darts.space import DartsSpace
from spaces.nasbench201.space import NasBench201Space
from spaces.nasbench201.supernet import PathCell
from strategies import OneShotFacts, SearchContext, make_strategy
from strategies.one_shot.darts import DartsStrategy
from strategies.one_shot.search_epoch import SearchEpoch
from strategies.one_shot.single_path import FairPaths, UniformPath

TINY = {"width": 2, "cells": 1, "num_classes": 3}
STEPS = 3  # of an epoch


def train(space: Any, folder: Path, *, epochs: int = 1, **settings: Any) -> tuple[DartsStrategy, list[SearchEpoch]]:
    folder.mkdir(exist_ok=True)
    seen: list[SearchEpoch] = []
    strategy = DartsStrategy(seed=0, facts=facts_of(space), on_epoch=seen.append, **settings)
    strategy(RawFormatModelSpace(space, evaluator(folder, epochs)), SequentialExecutionEngine())
    return strategy, seen


def test_a_drawn_path_is_that_of_all_cells_and_is_counted_once_a_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[dict[str, int]] = []
    space = seeded(NasBench201Space, TINY)
    original = PathCell.forward

    def forward(self: PathCell, path: Any, weights: Any, x: Any) -> Any:
        seen.append({label: self.choices[label].index(name) for label, name in path.items()})
        return original(self, path, weights, x)

    monkeypatch.setattr(PathCell, "forward", forward)
    _, epochs = search(space, tmp_path, name="gdas", epochs=2)
    passes = [seen[first : first + 3] for first in range(0, len(seen), 3)]
    assert len(passes) == 2 * 2 * STEPS, "two passes a step, through one cell in each of three stages"
    assert all(path == cells[0] for cells in passes for path in cells)
    assert len({tuple(cells[0].values()) for cells in passes}) > 6, "a draw for each pass"
    for number, epoch in enumerate(epochs):
        assert epoch.paths is not None and {sum(counts.values()) for counts in epoch.paths.values()} == {STEPS}
        of_weights = [cells[0] for cells in passes[2 * STEPS * number : 2 * STEPS * (number + 1)][1::2]]
        label = next(iter(epoch.paths))
        names = list(epoch.paths[label])
        assert epoch.paths[label] == {name: sum(path[label] == index for path in of_weights) for index, name in enumerate(names)}
    assert [epoch.temperature for epoch in epochs] == [10.0, pytest.approx(0.1)]


def test_mixtures_of_nnis_take_the_sampler_too(tmp_path: Path) -> None:
    strategy, (epoch,) = search(PlainSpace(), tmp_path, name="gdas")
    assert epoch.paths is not None and set(epoch.paths) == {"layer", "inputs"}
    assert {sum(counts.values()) for counts in epoch.paths.values()} == {STEPS}
    assert epoch.probabilities["layer"]["wide"] not in (0.0, 1.0), "what is told is what is to be expected"
    assert strategy.result().sample["layer"] in ("wide", "narrow")


@pytest.mark.parametrize("kind", [UniformPath, FairPaths])
def test_even_paths_train_the_weights_alone(kind: Any, tmp_path: Path) -> None:
    space = seeded(NasBench201Space, TINY)
    strategy, (epoch,) = train(space, tmp_path, sampler=kind(seed=3))
    assert epoch.paths is not None
    rounds = 5 if kind is FairPaths else 1
    assert {sum(counts.values()) for counts in epoch.paths.values()} == {rounds * STEPS}
    if kind is FairPaths:
        assert {count for counts in epoch.paths.values() for count in counts.values()} == {STEPS}, "every operation once a step"
    assert all(alpha.grad is None for alpha in strategy.oneshot_module.arch_parameters())
    assert epoch.validation_loss is not None and epoch.validation_loss > 0
    assert list(epoch.probabilities["edge_0_1"].values()) == pytest.approx([0.2] * 5)


def test_the_gradients_of_a_fair_round_add_up_to_one_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Algorithm 1 of FairNAS: m models of one batch, one update."""
    space, done = seeded(NasBench201Space, TINY), {"steps": 0, "passes": 0}
    parameter, gradients = space.classifier.weight, []
    original, measured = torch.optim.SGD.step, FairPaths.count_paths

    def step(self: torch.optim.SGD, closure: Any = None, **options: Any) -> Any:
        done["steps"] += 1
        assert torch.allclose(parameter.grad, torch.stack(gradients).sum(0), atol=1e-6)
        gradients.clear()
        return original(self, closure, **options)

    def count_paths(self: FairPaths) -> None:
        done["passes"] += 1
        measured(self)

    parameter.register_hook(lambda gradient: gradients.append(gradient.clone()))
    monkeypatch.setattr(torch.optim.SGD, "step", step)
    monkeypatch.setattr(FairPaths, "count_paths", count_paths)
    train(space, tmp_path, sampler=FairPaths(), gradient_clip_val=None)
    assert done == {"steps": STEPS, "passes": 5 * STEPS}


def test_beta_decay_begins_in_the_second_epoch_and_draws_the_alphas_together(tmp_path: Path) -> None:
    found = {}
    for name, settings in (("plain", {}), ("decay", {"beta_weight": 5000.0})):
        (tmp_path / name).mkdir()
        _, found[name] = search(seeded(PlainSpace, {}), tmp_path / name, epochs=2, name="beta_darts", **({"beta_weight": 0.0} | settings))
    assert found["plain"][0] == found["decay"][0], "its weight is 0 in the first epoch"
    plain, decay = (torch.tensor(list(found[name][1].alphas["layer"].values())) for name in ("plain", "decay"))
    assert decay.sum() < plain.sum() - 1e-4, "all alphas go down"


def test_noise_moves_what_the_weights_learn_and_is_not_in_what_is_told(tmp_path: Path) -> None:
    found = {}
    for name, strength in (("plain", 0.0), ("noise", 0.3)):
        (tmp_path / name).mkdir()
        _, (found[name],) = search(seeded(NasBench201Space, TINY), tmp_path / name, name="sdarts", perturbation=strength)
    assert found["plain"].train_loss != found["noise"].train_loss
    assert found["noise"].probabilities != found["plain"].probabilities
    assert all(sum(each.values()) == pytest.approx(1) for each in found["noise"].probabilities.values())


def test_a_penalty_for_costs_makes_the_search_prefer_what_is_free(tmp_path: Path) -> None:
    found = {}
    for penalty in (0.0, 1000.0):
        folder = tmp_path / str(penalty)
        folder.mkdir()
        _, (found[penalty],) = search(seeded(NasBench201Space, TINY), folder, name="gdas", sampler="softmax", cost_penalty=penalty)
    dear = {penalty: sum(each["nor_conv_3x3"] for each in epoch.alphas.values()) for penalty, epoch in found.items()}
    assert dear[1000.0] < dear[0.0] - 1e-4
    with pytest.raises(StrategyError, match=r"`cost_penalty` needs the costs of operations: a space with operation_costs\(\)"):
        search(seeded(PlainSpace, {}), tmp_path, name="gdas", cost_penalty=0.1)


def test_choices_without_costs_do_not_thin_a_penalty(tmp_path: Path) -> None:
    class Wider(PlainSpace):
        def __init__(self) -> None:
            super().__init__()
            self.after = LayerChoice([nn.Identity(), nn.ReLU(), nn.Tanh()], label="after")

        def forward(self, images: Tensor) -> Tensor:
            return self.classifier(self.inputs([x := self.after(self.layer(images)), 2 * x, 3 * x]).mean(dim=(2, 3)))

    penalties = []
    for space in (PlainSpace, Wider):
        strategy = DartsStrategy(facts=OneShotFacts(operation_costs={"wide": 1.0, "narrow": 0.5}), cost_penalty=1.0)
        strategy.mutate_model(seeded(space, {}))
        alphas = {label: torch.zeros_like(alpha) for label, alpha in strategy.restrictable.alphas.items()}
        penalties.append(float(strategy._regularizers[-1](alphas, 0.0)))
    assert penalties == [0.75, 0.75]


@pytest.mark.parametrize("weight", ["cost_weight", "cost_penalty"])
def test_costs_that_no_choice_can_be_weighed_by_are_refused(weight: str) -> None:
    """The edges of NNI's cells have parameters of their own, not those of their operations."""
    strategy = DartsStrategy(facts=OneShotFacts(operation_costs={"wide": 1.0, "narrow": 0.5}), **{weight: 0.5})
    with pytest.raises(StrategyError, match="no choice of this space is mixed by weights of operations whose costs are known"):
        strategy.mutate_model(seeded(Cells, {}))


RESUMED: list[tuple[str, dict[str, Any]]] = [
    ("gdas", {}),
    ("gdas", {"order": 2, "sampler": "reinmax"}),
    ("drnas", {"kl_weight": 1.0, "perturbation": 0.2}),
    ("beta_darts", {"cost_penalty": 0.5}),
]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "settings"), RESUMED)
def test_a_resumed_search_draws_on_bit_by_bit(name: str, settings: dict[str, Any], tmp_path: Path) -> None:
    def make(space: Any, note: Any) -> Any:
        told = SearchContext(seed=0, gradient_clip=5.0, one_shot=facts_of(space), on_epoch=note)
        return make_strategy(name, **settings).build(told)

    parted, whole = resumed_and_whole(make, DartsSpace, SMALL, tmp_path, 3)
    assert len(whole) == 3 and parted == whole


@pytest.mark.slow
def test_a_resumed_search_of_fair_paths_goes_on_within_its_order(tmp_path: Path) -> None:
    def make(space: Any, note: Any) -> Any:
        return DartsStrategy(seed=0, facts=facts_of(space), on_epoch=note, sampler=FairPaths(seed=1))

    parted, whole = resumed_and_whole(make, NasBench201Space, TINY, tmp_path, 2)
    assert len(whole) == 2 and parted == whole
