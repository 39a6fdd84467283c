"""Which architectures are the nearest to the one that is read off."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from common.errors import StrategyError
from strategies import SPOS, DrNAS
from strategies.one_shot.cell_reader import CellReader
from strategies.one_shot.nearest import Nearest, one_operation_off

SAMPLE = {"edge_0": "conv", "edge_1": "skip_connect", "inputs": [0, 1]}
WEIGHTS = {
    "edge_0": {"conv": 0.5, "skip_connect": 0.4, "none": 0.1},
    "edge_1": {"conv": 0.25, "skip_connect": 0.45, "none": 0.3},
    "unread": {"conv": 0.5, "skip_connect": 0.5},
    "inputs": {0: 0.3, 1: 0.7},
}


def test_one_operation_is_another_and_the_closest_weights_come_first() -> None:
    off = one_operation_off(SAMPLE, WEIGHTS)
    assert [(other["edge_0"], other["edge_1"]) for other in off] == [
        ("skip_connect", "skip_connect"),  # 0.1 less
        ("conv", "none"),  # 0.15
        ("conv", "conv"),  # 0.2
        ("none", "skip_connect"),  # 0.4
    ]
    assert all(other["inputs"] == [0, 1] and "unread" not in other for other in off)
    kept = one_operation_off(SAMPLE, WEIGHTS, without_none=["edge_1"])
    assert [other["edge_1"] for other in kept if other["edge_0"] == "conv"] == ["conv"], "its node chooses inputs in place of none"


def nearest_to(reader: CellReader, sample: dict[str, Any], weights: dict[str, Any]) -> list[dict[str, Any]]:
    """The networks beside the one that is read off, the nearest first."""
    scorer: Any = SimpleNamespace(of_sample=lambda *_: 0.0)
    selection = Nearest(scorer=scorer, number=99, canonical=dict)
    supernet: Any = SimpleNamespace(input_edges=reader.input_edges)
    selection.bind(supernet)
    epoch: Any = SimpleNamespace(sample=sample, probabilities=weights)
    return [other for other, _ in selection.finish(epoch, reader).top[1:]]


def test_what_an_operation_costs_makes_it_farther() -> None:
    weights = {"edge": {"heavy": 0.6, "light": 0.25, "free": 0.15}}
    reader = CellReader({}, {}, {}, {"heavy": 1.0}, 3.0, None, ["edge"], ["edge"])
    sample = reader.read(weights)
    assert sample == {"edge": "light"}
    assert [other["edge"] for other in nearest_to(reader, sample, weights)] == ["free", "heavy"], "for its weight is 0.07 then"
    plain = CellReader({}, {}, {}, {}, 0.0, None)
    assert [other["edge"] for other in nearest_to(plain, {"edge": "heavy"}, weights)] == ["light", "free"]


def test_the_share_of_an_edge_counts() -> None:
    weights = {"a": {"x": 0.6, "y": 0.4}, "b": {"x": 0.55, "y": 0.45}, "node": {0: 0.1, 1: 0.9}}
    reader = CellReader({}, {}, {"node": ["a", "b"]}, {}, 0.0, None)
    first, second = nearest_to(reader, {"a": "x", "b": "x"}, weights)
    assert (first, second) == ({"a": "y", "b": "x"}, {"a": "x", "b": "y"}), "0.02 less against 0.09"


def test_none_has_more_skip_connections_than_may_be() -> None:
    edges = {"normal/inputs_2": ["normal/edge_0_2", "normal/edge_1_2"]}
    weights = {"normal/edge_0_2": {"skip_connect": 0.6, "conv": 0.4}, "normal/edge_1_2": {"skip_connect": 0.45, "conv": 0.55}}
    for most, count in ((1, 1), (2, 2)):
        reader = CellReader(edges, {"normal/inputs_2": 2}, {}, {}, 0.0, most)
        assert len(nearest_to(reader, reader.read(weights), weights)) == count


def test_it_is_for_alphas() -> None:
    with pytest.raises(StrategyError, match="a single path has no operations to compare"):
        SPOS(selection="nearest")
    with pytest.raises(StrategyError, match="population: it needs `selection='inherited'` or `selection='trained'`"):
        DrNAS(selection="nearest", population=9)
    assert DrNAS(selection="nearest", cost_weight=0.5, collapse_guard="stop", trained_networks=8).networks_scored == 8
