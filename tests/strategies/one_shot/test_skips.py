"""Dropout after skip connections, and cells with few of them."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from nni.nas.execution import SequentialExecutionEngine
from nni.nas.space import RawFormatModelSpace
from small_supernets import SMALL, PlainSpace, evaluator, facts_of, seeded
from torch import nn

from spaces.darts.space import DartsSpace
from spaces.nasbench201.space import NasBench201Space
from strategies.one_shot.darts import DartsStrategy
from strategies.one_shot.search_epoch import SearchEpoch, choose_edges
from strategies.one_shot.skip_dropout import SkipDropout, rate_of
from strategies.one_shot.skip_limit import choose_few_skips
from strategies.stages import Place

SKIP = "skip_connect"


@pytest.mark.parametrize("epoch", range(25))
def test_the_rate_falls_as_in_the_authors_code(epoch: int) -> None:
    expected = 0.7 * (25 - epoch - 1) / 25 if epoch < 10 else 0.7 * math.exp(-(epoch - 10) * 0.2)
    assert rate_of(0.7, epoch, 25, 0.4) == pytest.approx(expected)


def test_the_rate_of_shorter_stages_falls_as_far() -> None:
    assert [rate_of(0.5, epoch, 5, 0.4) for epoch in range(5)] == pytest.approx(
        [0.5 * 4 / 5, 0.5 * 3 / 5, 0.5, 0.5 * math.exp(-1), 0.5 * math.exp(-2)]
    )


def test_identities_alone_get_a_dropout() -> None:
    space = DartsSpace(**SMALL)
    SkipDropout(0.4, 0.0).put_into(space)
    choices = [(cell.reduces, source, choice) for cell in space.cells for node in cell.nodes for source, choice in enumerate(node.edges)]
    for reduces, source, choice in choices:
        assert isinstance(choice[SKIP], nn.Dropout) != (reduces and source < 2)
    untouched = DartsSpace(**SMALL)
    SkipDropout(0.0, 0.0).put_into(untouched)
    assert not any(isinstance(module, nn.Dropout) for module in untouched.modules())


PROBABILITIES = {
    "normal/edge_0_2": {SKIP: 0.6, "conv": 0.4},
    "normal/edge_1_2": {SKIP: 0.9, "conv": 0.1},
    "normal/edge_0_3": {SKIP: 0.5, "conv": 0.3},
    "normal/edge_1_3": {SKIP: 0.2, "conv": 0.35},
    "normal/edge_2_3": {SKIP: 0.7, "conv": 0.3},
    "reduce/edge_0_2": {SKIP: 0.9, "conv": 0.1},
    "reduce/edge_1_2": {SKIP: 0.9, "conv": 0.1},
}
EDGES = {
    "normal/inputs_2": ["normal/edge_0_2", "normal/edge_1_2"],
    "normal/inputs_3": ["normal/edge_0_3", "normal/edge_1_3", "normal/edge_2_3"],
    "reduce/inputs_2": ["reduce/edge_0_2", "reduce/edge_1_2"],
}
CHOSEN = dict.fromkeys(EDGES, 2)


def test_the_weakest_skip_connections_give_way_and_edges_are_chosen_anew() -> None:
    """From four to three by the weakest, on an edge that is dropped then: another takes its place; the reduction cell stays."""
    whole = choose_edges(PROBABILITIES, EDGES, CHOSEN)
    assert whole["normal/inputs_3"] == [0, 2]
    assert choose_few_skips(PROBABILITIES, EDGES, CHOSEN, None) == choose_few_skips(PROBABILITIES, EDGES, CHOSEN, 4) == whole
    three = choose_few_skips(PROBABILITIES, EDGES, CHOSEN, 3)
    assert three == {**whole, "normal/edge_0_3": "conv", "normal/inputs_3": [1, 2]}
    two = choose_few_skips(PROBABILITIES, EDGES, CHOSEN, 2)
    assert two == {**three, "normal/edge_0_2": "conv"}
    none = choose_few_skips(PROBABILITIES, EDGES, CHOSEN, 0)
    assert all(none[label] == "conv" for label in PROBABILITIES if label.startswith("normal"))
    assert none["reduce/edge_0_2"] == none["reduce/edge_1_2"] == SKIP


def test_a_skip_connection_without_an_alternative_stays() -> None:
    alone = {"normal/edge_0_2": {SKIP: 1.0}, "normal/edge_1_2": {SKIP: 0.6, "conv": 0.4}}
    edges = {"normal/inputs_2": list(alone)}
    assert choose_few_skips(alone, edges, {"normal/inputs_2": 2}, 0) == {
        "normal/edge_0_2": SKIP,
        "normal/edge_1_2": "conv",
        "normal/inputs_2": [0, 1],
    }


def train(space: Any, folder: Path, epochs: int = 2, **settings: Any) -> tuple[DartsStrategy, list[SearchEpoch]]:
    seen: list[SearchEpoch] = []
    strategy = DartsStrategy(seed=0, facts=facts_of(space), on_epoch=seen.append, **settings)
    strategy(RawFormatModelSpace(space, evaluator(folder, epochs)), SequentialExecutionEngine())
    return strategy, seen


@pytest.mark.parametrize(("space", "arguments"), [(DartsSpace, SMALL), (NasBench201Space, {"width": 2, "cells": 1, "num_classes": 3})])
@pytest.mark.parametrize("supernet", ["fused", "stock"])
def test_a_supernet_learns_with_dropout_whose_rate_falls_by_the_epoch(
    space: Any, arguments: Any, supernet: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[float] = []
    model = seeded(space, arguments)
    original = nn.Dropout.forward

    def forward(self: nn.Dropout, x: torch.Tensor) -> torch.Tensor:
        seen.append(self.p)
        return original(self, x)

    monkeypatch.setattr(nn.Dropout, "forward", forward)
    _, epochs = train(model, tmp_path, skip_dropout=0.5, supernet=supernet)
    assert list(dict.fromkeys(seen)) == pytest.approx([0.5, 0.5 * math.exp(-2.5)])
    assert all(epoch.train_loss is not None and math.isfinite(epoch.train_loss) for epoch in epochs)


def test_a_space_without_skip_connections_has_nothing_to_drop(tmp_path: Path) -> None:
    found = []
    for rate in (0.0, 0.5):
        (tmp_path / str(rate)).mkdir()
        found.append(train(seeded(PlainSpace, {}), tmp_path / str(rate), 1, skip_dropout=rate)[1])
    assert found[0] == found[1]


def test_a_later_stage_counts_the_epochs_before_it(tmp_path: Path) -> None:
    steps: list[int] = []
    strategy, epochs = train(seeded(DartsSpace, SMALL), tmp_path, place=Place(2, 3), most_skips=0, on_step=steps.append)
    assert [(epoch.number, epoch.stage) for epoch in epochs] == [(4, 2), (5, 2)]
    assert steps == list(range(10, 16)), "three steps an epoch"
    assert strategy.result().number == 5
    sample = strategy.result().sample
    kept = [f"normal/edge_{source}_{node}" for node in (2, 3) for source in sample[f"normal/inputs_{node}"]]
    assert all(sample[edge] != SKIP for edge in kept)
