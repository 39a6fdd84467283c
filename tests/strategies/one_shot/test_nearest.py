"""Which architectures are the nearest to the one that is read off."""

from __future__ import annotations

import pytest

from common.errors import StrategyError
from strategies import SPOS, DrNAS
from strategies.one_shot.nearest import one_operation_off

SAMPLE = {"edge_0": "conv", "edge_1": "skip_connect", "inputs": [0, 1]}
WEIGHTS = {
    "edge_0": {"conv": 0.5, "skip_connect": 0.4, "none": 0.1},
    "edge_1": {"conv": 0.25, "skip_connect": 0.45, "none": 0.3},
    "unread": {"conv": 0.5, "skip_connect": 0.5},
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


def test_it_is_for_alphas() -> None:
    with pytest.raises(StrategyError, match="a single path has no operations to compare"):
        SPOS(selection="nearest")
    with pytest.raises(StrategyError, match="population: it needs `selection='inherited'` or `selection='trained'`"):
        DrNAS(selection="nearest", population=9)
    assert DrNAS(selection="nearest", cost_weight=0.5, collapse_guard="stop", trained_networks=8).networks_scored == 8
