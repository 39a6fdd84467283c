"""Supernets that are held to one architecture compute the network of that architecture, with its weights."""

from __future__ import annotations

from typing import Any

import nni.nas.hub.pytorch as hub
import pytest
import torch
from mixed_spaces import HUB, Cells, ValuesAndDepths, all_samples
from small_supernets import SMALL, PlainSpace, facts_of, seeded
from torch import nn

from common.errors import StrategyError
from spaces.darts.space import DartsSpace
from spaces.nasbench201.space import NasBench201Space
from strategies.one_shot.darts import DartsStrategy
from strategies.one_shot.gumbel import GumbelHard
from strategies.one_shot.restriction import RestrictedSupernet, Supernet

IMAGES = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(1))
TINY = {"width": 2, "cells": 1, "num_classes": 3}


def strategy_of(space: Any, **settings: Any) -> DartsStrategy:
    return DartsStrategy(facts=facts_of(space), sampler=GumbelHard(seed=1), **settings)


def supernet_of(kind: Any, arguments: dict[str, Any], **settings: Any) -> Supernet:
    space = seeded(kind, arguments)
    strategy = strategy_of(space, **settings)
    strategy.mutate_model(space)
    return strategy.restrictable


def loaded(kind: Any, arguments: dict[str, Any], **settings: Any) -> Supernet:
    """A supernet of other weights than the space's first ones, as a checkpoint has them."""
    trained = supernet_of(kind, arguments, **settings)
    generator = torch.Generator().manual_seed(5)
    state = {
        f"training_module._model.{name}": torch.rand(value.shape, generator=generator) if value.is_floating_point() else value
        for name, value in trained.model.state_dict().items()
    }
    space = seeded(kind, arguments)
    return strategy_of(space, **settings).load_supernet(space, state)


def drawn(kind: Any, arguments: dict[str, Any], count: int) -> list[dict[str, Any]]:
    random = torch.Generator().manual_seed(2)
    mutables = seeded(kind, arguments).simplify()

    def value(mutable: Any) -> Any:
        order = torch.randperm(len(mutable.values), generator=random).tolist()
        chosen = [mutable.values[place] for place in order]
        return sorted(chosen[: mutable.n_chosen]) if "n_chosen" in vars(mutable) else chosen[0]

    return [{label: value(mutable) for label, mutable in mutables.items()} for _ in range(count)]


@torch.no_grad()
def compare(supernet: Supernet, frozen: nn.Module, sample: dict[str, Any]) -> None:
    for training in (True, False):
        network = RestrictedSupernet(supernet, sample).train(training)
        assert torch.allclose(network(IMAGES), frozen.train(training)(IMAGES), atol=1e-5), sample


@pytest.mark.parametrize(
    ("kind", "arguments", "settings"),
    [
        (DartsSpace, SMALL, {"supernet": "fused"}),
        (DartsSpace, SMALL, {"supernet": "stock"}),
        (DartsSpace, SMALL, {"edge_normalization": True}),
        (NasBench201Space, TINY, {}),
        (NasBench201Space, TINY, {"edge_normalization": True}),
        (PlainSpace, {"reduction": "sum"}, {}),
        (PlainSpace, {"reduction": "mean"}, {}),
    ],
)
def test_a_held_supernet_computes_what_the_frozen_space_computes(kind: Any, arguments: dict[str, Any], settings: dict[str, Any]) -> None:
    for sample in drawn(kind, arguments, 3):
        # The same first weights, as both are of one seed.
        compare(supernet_of(kind, arguments, **settings), seeded(kind, arguments).freeze(sample), sample)


@pytest.mark.parametrize(
    ("kind", "arguments", "settings", "is_alone"),
    [
        (DartsSpace, SMALL, {"supernet": "fused"}, True),
        (NasBench201Space, TINY, {}, True),
        (PlainSpace, {}, {}, True),
        (ValuesAndDepths, {}, {}, False),
        (Cells, {}, {}, False),
        (NasBench201Space, {**TINY, "width": 4}, {"partial_channels": 2, "edge_normalization": True}, False),
    ],
)
def test_chosen_operations_alone_compute_what_the_held_supernet_does(
    kind: Any, arguments: dict[str, Any], settings: dict[str, Any], is_alone: bool
) -> None:
    supernet = loaded(kind, arguments, **settings)
    for sample in drawn(kind, arguments, 2):
        network = RestrictedSupernet(supernet, sample)
        assert (network.network is not supernet.model) == is_alone
        with torch.no_grad(), supernet.held(supernet.weights_of(sample)) as model:
            # By the batch's statistics: a form may have norms of its own, whose running ones are computed anew in any case.
            assert torch.allclose(network.train()(IMAGES), model.train()(IMAGES), rtol=1e-3, atol=1e-4), sample


def test_values_and_depths_are_those_that_are_chosen() -> None:
    held = supernet_of(ValuesAndDepths, {})
    for sample in all_samples(ValuesAndDepths())[::17]:
        with torch.no_grad():
            expected = held.model.freeze(sample).eval()(IMAGES)  # type: ignore[operator]
            assert torch.allclose(RestrictedSupernet(held, sample).eval()(IMAGES), expected, atol=1e-5), sample


def test_cells_of_nnis_add_up_what_a_node_takes_of_one_edge() -> None:
    held = supernet_of(Cells, {})
    sample = {"cell/op_1_0": "narrow", "cell/input_1_0": [0], "cell/op_2_0": "wide", "cell/input_2_0": [0]}
    weights = held.weights_of(sample)
    assert weights["cell/1_0"].tolist() == [0, 1, 0] and weights["cell/2_0"].tolist() == [1, 0, 0] and not weights["cell/2_1"].any()
    cell: Any = held.model.cells[0]  # type: ignore[union-attr, index]
    x = torch.randn(1, 4, 6, 6)
    with torch.no_grad(), held.held(weights):
        expected = torch.cat([cell.ops[0][0]["narrow"](x), cell.ops[1][0]["wide"](x)], 1)
        assert torch.allclose(cell([x]), expected, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["DARTS", "ProxylessNAS", "MobileNetV3Space", "ShuffleNetSpace", "AutoFormer", "NasBench201"])
def test_supernets_of_nnis_hub_can_be_held(name: str) -> None:
    held = supernet_of(getattr(hub, name), HUB[name])
    side = 16 if name == "AutoFormer" else 32
    images = torch.randn(2, 3, side, side)
    outputs = []
    for sample in drawn(getattr(hub, name), HUB[name], 2):
        with torch.no_grad():
            outputs.append(RestrictedSupernet(held, sample).train()(images))
    assert not torch.allclose(*outputs), "other architectures, other answers"


def test_nothing_is_drawn_while_a_supernet_is_held_and_the_hold_ends() -> None:
    held = supernet_of(NasBench201Space, TINY)
    sampler: Any = held._sampler
    (sample,) = drawn(NasBench201Space, TINY, 1)
    state = sampler.generator.get_state()
    held.model.train()
    alpha = held.alphas["edge_0_1"]
    with held.held(held.weights_of(sample)):
        weights = sampler(alpha)
        assert torch.autograd.grad(weights.max(), alpha)[0].count_nonzero() == 0, "the choice is no longer learned"
    assert torch.equal(sampler.generator.get_state(), state)
    sampler(alpha)
    assert not torch.equal(sampler.generator.get_state(), state), "as before"


def test_an_architecture_of_another_space_is_refused() -> None:
    held = supernet_of(NasBench201Space, TINY)
    (sample,) = drawn(NasBench201Space, TINY, 1)
    with pytest.raises(StrategyError, match="edge_0_1: 'pool' is no operation of the supernet; it has 'none', 'skip_connect'"):
        held.weights_of({**sample, "edge_0_1": "pool"})
    with pytest.raises(StrategyError, match="the architecture says nothing of edge_0_1"):
        held.weights_of({})
