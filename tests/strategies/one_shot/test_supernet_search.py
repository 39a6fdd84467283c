"""Second-order DARTS against exact second derivatives, the alphas' optimizer, the guard against collapse."""

from __future__ import annotations

import math
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from nni.nas.execution import SequentialExecutionEngine
from nni.nas.space import RawFormatModelSpace
from small_supernets import SMALL, PlainSpace, evaluator, facts_of, search, seeded
from torch import Tensor, nn
from torch.nn import functional

from common.errors import SearchFailed, StrategyError
from evaluators.training.optimizers import learning_rate_factor
from spaces.darts.space import DartsSpace
from spaces.kept_candidates import keep_candidates
from spaces.nasbench201.space import NasBench201Space
from strategies.one_shot.cell_reader import CellReader
from strategies.one_shot.darts import DartsStrategy
from strategies.one_shot.darts_module import DartsModule
from strategies.one_shot.search_epoch import (
    AlphaOptimizer,
    CollapseGuard,
    SearchEpoch,
    count_skips,
    count_skips_among,
    less_costs,
    mean_entropy,
)
from strategies.one_shot.second_order import architecture_gradient


def test_the_second_order_gradient_is_that_of_exact_second_derivatives() -> None:
    generator = torch.Generator().manual_seed(0)
    x, y = (torch.randn(2, 16, 5, dtype=torch.float64, generator=generator) for _ in range(2))
    weights = [nn.Parameter(torch.randn(5, 5, dtype=torch.float64, generator=generator) / 3) for _ in range(3)]
    alphas = [nn.Parameter(torch.randn(2, dtype=torch.float64, generator=generator))]
    xi = 0.3

    def loss(half: int, w: list[Any]) -> Tensor:
        mixing = alphas[0].softmax(0)
        hidden = mixing[0] * torch.tanh(x[half] @ w[0]) + mixing[1] * torch.sin(x[half] @ w[1])
        return functional.mse_loss(hidden @ w[2], y[half])

    before = [weight.detach().clone() for weight in weights]
    inner = torch.autograd.grad(loss(0, weights), weights, create_graph=True)
    exact = torch.autograd.grad(loss(1, [w - xi * g for w, g in zip(weights, inner, strict=True)]), alphas)[0]
    first_order = torch.autograd.grad(loss(1, weights), alphas)[0]
    (ours,), measured = architecture_gradient(lambda: loss(0, weights), lambda: (loss(1, weights), "measured"), weights, alphas, xi)
    assert measured == "measured"
    assert all(torch.equal(weight, value) for weight, value in zip(weights, before, strict=True)), "put back bit for bit"
    assert (ours - exact).norm() < 1e-3 * exact.norm()
    assert (first_order - exact).norm() > 0.05 * exact.norm(), "there was something to find"


@pytest.mark.parametrize("supernet", ["fused", "stock"])
@pytest.mark.slow
def test_second_order_moves_the_alphas_otherwise(supernet: str, tmp_path: Path) -> None:
    alphas = []
    for order in (1, 2):
        folder = tmp_path / str(order)
        folder.mkdir()
        _, (epoch,) = search(seeded(DartsSpace, SMALL), folder, supernet=supernet, order=order)
        alphas.append(epoch.alphas)
    assert alphas[0].keys() == alphas[1].keys() and alphas[0] != alphas[1]


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
@pytest.mark.slow
def test_second_order_looks_one_step_of_the_weights_ahead_in_float32(
    precision: torch.dtype, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[float] = []

    def spy(train_loss: Any, validate: Any, weights: Any, alphas: Any, xi: float) -> Any:
        assert not torch.is_autocast_enabled("cpu")
        steps.append(xi)
        return architecture_gradient(train_loss, validate, weights, alphas, xi)

    monkeypatch.setattr("strategies.one_shot.darts_module.architecture_gradient", spy)
    space, training = seeded(DartsSpace, SMALL), evaluator(tmp_path, 2, precision=precision)
    strategy = DartsStrategy(order=2, facts=facts_of(space))
    strategy(RawFormatModelSpace(space, training), SequentialExecutionEngine())
    factor = learning_rate_factor(training.module._recipe, 2, len(training.train_dataloaders))
    assert steps == pytest.approx([0.05 * factor(step) for step in range(2 * len(training.train_dataloaders))])


@pytest.mark.slow
def test_a_search_that_diverges_is_told(tmp_path: Path) -> None:
    space = seeded(DartsSpace, SMALL)
    with torch.no_grad():
        space.classifier.weight.fill_(math.nan)
    with pytest.raises(SearchFailed, match="no longer finite"):
        DartsStrategy(facts=facts_of(space))(RawFormatModelSpace(space, evaluator(tmp_path, 1)), SequentialExecutionEngine())


def test_an_epoch_tells_of_its_alphas(tmp_path: Path) -> None:
    strategy, (epoch,) = search(seeded(DartsSpace, SMALL), tmp_path)
    for label, operations in epoch.alphas.items():
        assert list(operations.values()) == strategy._arch_parameters[label].tolist()
        softmax = torch.tensor(list(operations.values())).softmax(0).tolist()
        assert list(epoch.probabilities[label].values()) == pytest.approx(softmax, rel=1e-5)
    assert epoch.entropy == pytest.approx(math.log(7), abs=1e-3), "a young search is undecided"
    assert {cell: of for cell, (_, of) in epoch.skips.items()} == {"normal": 4, "reduce": 4}


def test_the_alphas_optimizer_is_the_papers_unless_told_otherwise(tmp_path: Path) -> None:
    group = DartsStrategy()._alpha_optimizer
    assert (group.alpha_lr, group.alpha_weight_decay, group.alpha_betas) == (3e-4, 1e-3, (0.5, 0.999))
    told = AlphaOptimizer(0.1, 0, (0.9, 0.99))
    strategy, _ = search(seeded(DartsSpace, SMALL), tmp_path, **asdict(told))
    _, adam = strategy.oneshot_module.trainer.optimizers
    settings = adam.param_groups[0]
    assert (settings["lr"], settings["weight_decay"], settings["betas"]) == (0.1, 0, (0.9, 0.99))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("alpha_lr", 0),
        ("alpha_lr", "fast"),
        ("alpha_lr", True),
        ("alpha_lr", 10**400),
        ("alpha_weight_decay", -1e-3),
        ("alpha_betas", 0.5),
        ("alpha_betas", [0.5]),
        ("alpha_betas", [0.5, 1.0]),
    ],
)
def test_settings_of_the_alphas_optimizer_that_cannot_be(name: str, value: Any) -> None:
    with pytest.raises(StrategyError, match=name):
        AlphaOptimizer(**{name: value})


def test_costs_are_taken_off_the_logits() -> None:
    alphas, costs = torch.tensor([0.3, -0.2, 0.1]), {"free": 0.0, "half": 0.5, "dear": 1.0}
    given = {"edge": dict(zip(costs, alphas.softmax(0).tolist(), strict=True))}
    charged = less_costs(given, costs, 0.7)["edge"]
    assert list(charged.values()) == pytest.approx((alphas - 0.7 * torch.tensor(list(costs.values()))).softmax(0).tolist())
    assert less_costs(given, costs, 0.0) == given
    all_dear = less_costs(given, dict.fromkeys(costs, 0.5), 10_000.0)["edge"]
    assert all_dear == pytest.approx(given["edge"]), "a cost that all have changes nothing"
    assert less_costs(given, {"dear": 1.0}, 1.0)["edge"]["half"] > given["edge"]["half"], "what has no cost gains"


@pytest.mark.parametrize("supernet", ["fused", "stock"])
@pytest.mark.slow
def test_a_weight_of_costs_reads_off_lighter_cells_of_the_same_search(supernet: str, tmp_path: Path) -> None:
    found = {}
    for weight in (0.0, 100.0):
        folder = tmp_path / str(weight)
        folder.mkdir()
        _, (found[weight],) = search(seeded(DartsSpace, SMALL), folder, supernet=supernet, cost_weight=weight)
    assert found[0.0].alphas == found[100.0].alphas, "the search itself does not change"
    assert (found[0.0].entropy, found[0.0].skips) == (found[100.0].entropy, found[100.0].skips), "nor what its guard watches"
    kept = {value for label, value in found[100.0].sample.items() if "edge" in label}
    assert kept <= {"max_pool_3x3", "avg_pool_3x3", "skip_connect"}
    assert any("conv" in str(value) for value in found[0.0].sample.values())


@pytest.mark.slow
def test_a_weight_of_costs_counts_without_choices_of_inputs_too(tmp_path: Path) -> None:
    found = {}
    for weight in (0.0, 100.0):
        (tmp_path / str(weight)).mkdir()
        space = seeded(NasBench201Space, {"width": 2, "cells": 1, "num_classes": 3})
        _, (found[weight],) = search(space, tmp_path / str(weight), cost_weight=weight)
    assert found[0.0].alphas == found[100.0].alphas, "the search itself does not change"
    assert found[0.0].skips == found[100.0].skips == {"cell": (list(found[0.0].sample.values()).count("skip_connect"), 6)}
    assert found[0.0].sample.keys() == found[100.0].sample.keys()
    assert set(found[100.0].sample.values()) <= {"none", "skip_connect", "avg_pool_3x3"} != set(found[0.0].sample.values())


def test_a_weight_of_costs_that_cannot_be(tmp_path: Path) -> None:
    for weight in (-0.1, math.nan):
        with pytest.raises(StrategyError, match="a number of at least 0"):
            DartsStrategy(cost_weight=weight)
    with pytest.raises(StrategyError, match="`cost_weight` needs the costs of operations"):
        search(seeded(PlainSpace, {}), tmp_path, cost_weight=0.1)


def test_orders_and_guards_that_are_none() -> None:
    with pytest.raises(StrategyError, match="darts: the order is 3"):
        DartsStrategy(order=3)
    with pytest.raises(StrategyError, match="off, warn, stop"):
        DartsStrategy(collapse_guard="panic")


def test_entropy_and_skips() -> None:
    assert mean_entropy({"a": {"x": 0.5, "y": 0.5}, "b": {"x": 1.0, "y": 0.0}}) == pytest.approx(math.log(2) / 2)
    edges = {"normal/inputs_2": ["a", "b"], "reduce/inputs_2": ["c", "d"]}
    sample = {"normal/inputs_2": [0, 1], "reduce/inputs_2": [0], "a": "skip_connect", "b": "conv", "c": "conv", "d": "skip_connect"}
    assert count_skips(sample, edges) == {"normal": (1, 2), "reduce": (0, 1)}, "an edge that is not kept does not count"
    plain = {"edge_0_1": "skip_connect", "edge_0_2": "conv", "normal/op": "skip_connect"}
    assert count_skips_among(plain, plain) == {"cell": (1, 2), "normal": (1, 1)}


def test_skips_are_counted_where_costs_count_and_edges_have_other_names_among_the_weights() -> None:
    """As those of NNI's cells have, beside which a choice of known costs may stand."""
    reader = CellReader({}, {}, {}, {"conv": 1.0}, 0.5, None, ["c/op_1_0", "alone"], ["alone"])
    weights = {"alone": {"conv": 0.6, "skip_connect": 0.4}}
    assert reader.count_skips({"c/op_1_0": "skip_connect", "alone": "skip_connect"}, weights) == {"cell": (0, 1), "c": (1, 1)}


def epoch_with(number: int, skips: int) -> SearchEpoch:
    return SearchEpoch(number, 1.0, 0.5, 1.0, 0.5, {}, {}, 1.0, {"normal": (skips, 8), "reduce": (5, 8)}, {})


@pytest.mark.parametrize("mode", ["off", "warn", "stop"])
def test_the_guard(mode: str) -> None:
    guard = CollapseGuard(mode)
    epochs = [epoch_with(number, skips) for number, skips in enumerate((3, 1, 2, 4), start=1)]
    seen, said = [], []
    for epoch in epochs:
        guard.watch(epoch)
        seen.append(guard.collapsed_at)
        said.append(guard.warning(epoch.number))
    assert seen == ([None] * 4 if mode == "off" else [None, None, 3, 3]), "the first epoch has nothing to collapse from"
    ends = {"warn": "`collapse_guard='stop'` would end the search here", "stop": "the search ends here"}
    assert said == [None, None, f"skip connections take over; {ends[mode]}" if mode in ends else None, None]
    assert guard.result(epochs[-1]).number == (2 if mode == "stop" else 4)
    assert guard.stops == (mode == "stop")
    again = CollapseGuard(mode)
    again.load_state_dict(guard.state_dict())
    assert again.describe() == guard.describe() and again.last_good == guard.last_good


def test_without_a_normal_cell_more_than_half_of_all_edges_are_a_collapse() -> None:
    def collapsed(skips: dict[str, tuple[int, int]]) -> bool:
        return replace(epoch_with(1, 0), skips=skips).collapsed

    assert [collapsed({"cell": (count, 6)}) for count in range(7)] == [False] * 4 + [True] * 3
    assert collapsed({"first": (3, 3), "second": (1, 3)}) and not collapsed({"first": (3, 3), "second": (0, 3)})
    assert collapsed({"normal": (2, 8)}) and not collapsed({"normal": (1, 8), "reduce": (8, 8)}), "as in DARTS+"
    assert not collapsed({}) and replace(epoch_with(1, 0), skips={}).skip_share is None


def test_in_nasbench201_the_guard_stops_a_search_whose_cell_becomes_skip_connections(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = {"width": 2, "cells": 1, "num_classes": 3}
    read = DartsModule.export

    def export(self: DartsModule) -> dict[str, Any]:
        skips = [1, 3, 4][self.current_epoch]
        return {label: "skip_connect" if place < skips else "nor_conv_3x3" for place, label in enumerate(sorted(read(self)))}

    monkeypatch.setattr(DartsModule, "export", export)
    space, seen = seeded(NasBench201Space, arguments), []
    strategy = DartsStrategy(seed=0, collapse_guard="stop", facts=facts_of(space), on_epoch=seen.append)
    strategy(RawFormatModelSpace(space, evaluator(tmp_path, 3)), SequentialExecutionEngine())
    assert [epoch.skips for epoch in seen] == [{"cell": (1, 6)}, {"cell": (3, 6)}, {"cell": (4, 6)}]
    assert strategy.guard.describe() == {"mode": "stop", "collapsed_at_epoch": 3, "stopped": True}
    assert strategy.result() == seen[1]


def test_the_guard_watches_from_the_first_architecture_step_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SearchEpoch, "collapsed", property(lambda epoch: epoch.number >= 2))
    space, seen = seeded(NasBench201Space, {"width": 2, "cells": 1, "num_classes": 3}), []
    strategy = DartsStrategy(seed=0, collapse_guard="stop", alpha_warmup=0.34, facts=facts_of(space), on_epoch=seen.append)
    strategy(RawFormatModelSpace(space, evaluator(tmp_path, 3)), SequentialExecutionEngine())
    assert len(seen) == 3 and strategy.guard.last_good is None, "the cell of the warm-up is a draw: nothing to collapse from"
    assert strategy.result() == seen[-1]


def test_what_can_be_a_skip_connection_is_counted(tmp_path: Path) -> None:
    space = seeded(NasBench201Space, {"width": 2, "cells": 1, "num_classes": 3})
    keep_candidates(space, {label: ["nor_conv_3x3"] for label in list(space.simplify())[:4]})
    strategy = DartsStrategy(facts=facts_of(space))
    strategy.mutate_model(space)
    assert len(strategy._whole_edges()) == 6, "in a later stage all edges still count"
    _, (epoch,) = search(seeded(PlainSpace, {}), tmp_path)
    assert epoch.skips == {} and epoch.skip_share is None, "there are none"


@pytest.mark.slow
def test_a_search_that_collapses_stops_and_stays_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counts = iter([0, 2, 0, 0])
    monkeypatch.setattr("strategies.one_shot.cell_reader.count_skips", lambda *_: {"normal": (next(counts), 8)})
    space, seen = seeded(DartsSpace, SMALL), []
    for _ in range(2):  # the second time from its checkpoint
        strategy = DartsStrategy(seed=0, collapse_guard="stop", facts=facts_of(space), on_epoch=seen.append)
        strategy(RawFormatModelSpace(space, evaluator(tmp_path, 4)), SequentialExecutionEngine())
        assert strategy.result() == seen[0]
        assert strategy.guard.describe() == {"mode": "stop", "collapsed_at_epoch": 2, "stopped": True}
        space = seeded(DartsSpace, SMALL)
    assert [epoch.number for epoch in seen] == [1, 2]
