"""Several objectives: the front, and its file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from recorded_trials import make_trial

from common.errors import RecordError
from common.trial import Trial
from records.pareto import find_pareto_front, parse_objectives, save_pareto


def trial(number: int, score: float | None, parameters: int | None, state: str = "complete", **facts: Any) -> Trial:
    return make_trial(number, state, {"a": number}, {}, score, parameters=parameters, **facts)


def test_the_front_has_what_nothing_beats() -> None:
    trials = [
        trial(0, 0.9, 100),
        trial(1, 0.9, 120),  # larger than 0 and no better
        trial(2, 0.8, 50),
        trial(3, 0.7, 60),  # worse and larger than 2
        trial(4, 0.95, 500),
        trial(5, 0.8, 50),  # as good as 2: both stay
        trial(6, None, 10, state="failed"),
        trial(7, 0.99, None),  # its size is not known
    ]
    assert [found.number for found in find_pareto_front(trials, ("accuracy", "parameters"))] == [4, 0, 2, 5]
    assert find_pareto_front([], ("accuracy", "parameters")) == []


def test_a_third_objective_keeps_more() -> None:
    trials = [trial(0, 0.9, 100, flops=10), trial(1, 0.8, 120, flops=5), trial(2, 0.7, 130, flops=7)]
    assert [found.number for found in find_pareto_front(trials, ("accuracy", "parameters", "flops"))] == [0, 1]


def test_objectives_by_name() -> None:
    assert parse_objectives("accuracy, flops") == ("accuracy", "flops")
    for text, words in (
        ("accuracy,speed", "'speed' is not one of"),
        ("accuracy", "expected accuracy first, then one or more of"),
        ("flops,accuracy", "expected"),
    ):
        with pytest.raises(RecordError, match=words):
            parse_objectives(text)


def test_the_front_is_written_with_its_units(tmp_path: Path) -> None:
    measured = [trial(0, 0.9, 100, latency=2.5), trial(1, 0.8, 50, latency=3.0), trial(2, 0.7, 40, latency=1.0)]
    origin = {"name": "s", "arguments": {}}
    assert save_pareto(tmp_path / "pareto.json", measured, ("accuracy", "latency"), space=origin) == 2
    document = json.loads((tmp_path / "pareto.json").read_text())
    assert document["units"] == {"latency": "milliseconds"} and document["space"] == origin
    assert document["points"] == [
        {"trial": 0, "objectives": {"accuracy": 0.9, "latency": 2.5}, "architecture": {"a": 0}, "hyperparameters": {}},
        {"trial": 2, "objectives": {"accuracy": 0.7, "latency": 1.0}, "architecture": {"a": 2}, "hyperparameters": {}},
    ]
    save_pareto(tmp_path / "pareto.json", measured, ("accuracy", "parameters"), space=origin)
    assert "units" not in json.loads((tmp_path / "pareto.json").read_text())
