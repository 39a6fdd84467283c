"""Scores of untrained networks, by small networks whose scores can be had by hand."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from numpy.random import RandomState
from torch import Tensor, nn

from common.errors import EvaluatorError
from evaluators import evaluator_entry
from evaluators.adapter import adapt
from evaluators.complexity import measure_complexity
from evaluators.data.dataset import load_dataset
from evaluators.zero_cost import SCORES
from evaluators.zero_cost.activations import meco, naswot, swap
from evaluators.zero_cost.gradients import synflow, zico
from evaluators.zero_cost.scores import MEASURED, SIZES, rank_together, score_network, score_untrained
from spaces.adapter import find_space

LABELS = torch.tensor([0, 1])


class OneLayer(nn.Module):
    """Two pixels -> three activations -> their sums as logits."""

    def __init__(self, weights: list[list[float]]) -> None:
        super().__init__()
        self.layer = nn.Linear(2, len(weights), bias=False)
        self.activation = nn.ReLU()
        self.layer.weight.data = torch.tensor(weights)

    def forward(self, images: Tensor) -> Tensor:
        return self.activation(self.layer(images))


def test_naswot_counts_in_how_many_activations_two_images_agree() -> None:
    network = OneLayer([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    images = torch.tensor([[1.0, -3.0], [2.0, 1.0]])  # bits 1 0 0 and 1 1 1: they agree in one of three
    assert naswot(network, images, LABELS) == pytest.approx(math.log(3 * 3 - 1))
    assert naswot(network, images[[0, 0]], LABELS) == -math.inf


def test_swap_counts_the_patterns_of_activations_over_images() -> None:
    network = OneLayer([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [2.0, 0.0]])
    images = torch.tensor([[1.0, -3.0], [2.0, 1.0]])  # over the two images: 11, 01, 01, 11
    assert swap(network, images, LABELS) == 2.0


def test_meco_is_the_least_eigenvalue_of_the_correlations_of_channels() -> None:
    first, second = torch.randn(2, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    image = torch.cat([first, second])[None]
    correlation = float(torch.corrcoef(image[0].flatten(1))[0, 1])
    assert meco(nn.BatchNorm2d(2), image, LABELS) == pytest.approx(1 - abs(correlation), abs=1e-5)
    constant = torch.zeros(1, 2, 4, 4)
    assert meco(nn.Sequential(nn.BatchNorm2d(2), nn.BatchNorm2d(2)), constant, LABELS) == 0.0


def test_zico_is_the_mean_of_gradients_over_their_deviation() -> None:
    network, images, labels = nn.Linear(1, 2, bias=False), torch.tensor([[1.0], [3.0]]), torch.tensor([0, 0])
    network.weight.data = torch.zeros(2, 1)
    # With logits of 0, the gradients are -x / 2 and x / 2: of the two halves 1/2 and 3/2, their mean 1 and their deviation 1/2.
    assert zico(network, images, labels) == pytest.approx(math.log(2 + 2))
    assert zico(network, torch.tensor([[1.0], [1.0]]), labels) == 0.0, "what does not vary counts nothing"


def test_synflow_is_the_flow_through_positive_weights_and_leaves_the_network_as_it_was() -> None:
    network = nn.Sequential(nn.Conv2d(1, 1, 1, bias=False), nn.BatchNorm2d(1), nn.Flatten(), nn.Linear(4, 2, bias=False))
    network[0].weight.data.fill_(-2.0)
    network[3].weight.data = torch.tensor([[1.0, -1.0, 3.0, 0.0], [0.0, 2.0, 0.0, 1.0]])
    before = {name: value.clone() for name, value in network.state_dict().items()}
    images = torch.randn(2, 1, 2, 2)
    flow = 2 * (1 + 1 + 3 + 2 + 1)  # an image of ones; each of the two layers has all of it
    assert synflow(network, images, LABELS) == pytest.approx(math.log(2 * flow))
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
    assert network(images).dtype == torch.float32
    assert "forward" not in network[1].__dict__
    network[0].weight.data.zero_()
    assert synflow(network, images, LABELS) == -math.inf


def make_network() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 10))


def test_all_scores_of_a_network_depend_on_the_seed_alone() -> None:
    data = load_dataset("digits", limit=100)
    told = score_untrained(make_network(), data)
    assert tuple(told) == SCORES
    assert all(math.isfinite(value) for value in told.values())
    assert told["flops"] == measure_complexity(make_network(), data.train.images.shape[1:])["flops"]
    again, generator = make_network(), torch.random.get_rng_state()
    assert score_untrained(again, data) == told, "the first weights that the network has do not matter"
    assert torch.equal(generator, torch.random.get_rng_state())
    other = score_untrained(make_network(), data, ["zico", "naswot"], seed=1)
    assert list(other) == ["zico", "naswot"] and other["zico"] != told["zico"]
    with pytest.raises(EvaluatorError, match=r"unknown zero-cost score 'ziko' \(did you mean zico\?\)"):
        score_untrained(make_network(), data, ["ziko"])


def test_the_evaluator_is_one_of_them() -> None:
    assert (*SIZES, *MEASURED) == SCORES
    data = load_dataset("digits", limit=100)
    told = [adapt(evaluator_entry("zero_cost").load())(make_network(), data=data, seed=2) for _ in range(2)]
    assert told[0] == told[1] == score_network(make_network(), data=data, seed=2, proxy="meco")
    assert score_network(make_network(), data=data, proxy="parameters") == sum(p.numel() for p in make_network().parameters())


def test_a_network_without_the_modules_that_a_score_listens_to_has_none() -> None:
    """It did tie with others at 0 without a word."""
    plain = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Sigmoid(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.LayerNorm(4), nn.Linear(4, 10))
    data = load_dataset("digits", limit=100)
    told = score_untrained(plain, data, ["naswot", "swap", "meco", "synflow"])
    assert [told[name] for name in ("naswot", "swap", "meco")] == [-math.inf] * 3
    assert math.isfinite(told["synflow"])
    with pytest.raises(EvaluatorError, match="meco cannot be had of this untrained network; choose another proxy, such as synflow"):
        score_network(plain, data=data)


@pytest.mark.parametrize(("name", "sizes"), [("darts", {"width": 4, "num_cells": 3}), ("nasbench201", {"width": 4, "cells": 1})])
def test_every_score_tells_the_networks_of_our_cells_apart(name: str, sizes: dict[str, int]) -> None:
    """Of a network whose cells are computed as a whole, too: nothing but its stem would be heard then."""
    space, data = find_space(name), load_dataset("digits")
    told, random = [], RandomState(0)
    for _ in range(3):
        sample: dict[str, Any] = {}
        for mutable in space.make(sizes).simplify().values():
            mutable.random(sample, random)
        told.append(score_untrained(space.network(sizes, sample), data))
    for score in MEASURED:
        values = [scores[score] for scores in told]
        assert all(map(math.isfinite, values)) and len(set(values)) > 1, (score, values)


def test_networks_are_ranked_by_several_scores_together() -> None:
    scores = [{"a": 3.0, "b": 1.0}, {"a": 2.0, "b": 2.0}, {"a": 1.0, "b": 3.0}, {"a": -math.inf, "b": 0.0}]
    first, second, third, last = rank_together(scores, ["a", "b"])
    assert second > first > last, "one that is bad by either is bad"
    assert first == pytest.approx(third)
    assert last == pytest.approx(2 * math.log(1 / 4))
