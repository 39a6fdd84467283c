"""Searches that weigh operations by their latency: in any space, in the record, and that a resumed one measures nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from command_line import in_a_folder_of_its_own_with_few_digits  # noqa: F401
from small_supernets import PlainSpace

import retiarius as rt
from evaluators import operation_latency
from run_experiment import main

HERE = ["--dataset", "digits", "--device", "cpu", "--precision", "float32"]
SEARCH = ["--space", "nasbench201", "--strategy", "gdas", "--set", "width=2", "--set", "cells=1", "--epochs", "1", *HERE]
LATENCY = ["--set", "cost=latency", "--cost-weight", "0.5"]


class Digits(PlainSpace):
    """``PlainSpace`` for ten classes."""

    def __init__(self, num_classes: int = 10) -> None:
        super().__init__()
        self.classifier = type(self.classifier)(4, num_classes)


def read(path: str) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(Path(path).read_text())
    return told


@pytest.mark.slow
def test_what_was_measured_is_in_the_record_and_serves_a_resumed_search(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main([*SEARCH, *LATENCY, "--out", "run"]) == 0
    assert "latencies of operations, as shares of the longest: " in capsys.readouterr().out
    costs = read("run/config.json")["identity"]["operation_costs"]
    told = read("run/best.json")["strategy"]
    assert costs["skip_connect"] < costs["nor_conv_3x3"] and max(costs.values()) == 1.0
    assert (told["cost"], told["operation_costs"], told["cost_weight"]) == ("latency", costs, 0.5)

    def measure(*args: Any, **kwargs: Any) -> None:
        pytest.fail("measured again")

    Path("run/best.json").unlink()
    monkeypatch.setattr(operation_latency, "measure_operations", measure)
    assert main([*SEARCH, *LATENCY, "--resume", "--out", "run"]) == 0
    assert read("run/best.json")["strategy"] == told
    trials = ["--space", "nasbench201", "--strategy", "random", "--supernet-weights", "run", "--trials", "1", *SEARCH[4:8], *HERE]
    assert main([*trials, "--out", "trials"]) == 0, "its supernet serves others"
    assert main([*SEARCH, "--set", "cost_penalty=0.5", "--out", "other"]) == 0
    assert "operation_costs" not in read("other/config.json")["identity"] and "cost" not in read("other/best.json")["strategy"]


@pytest.mark.slow
@pytest.mark.parametrize(("costs", "cheap"), [({"wide": 1.0, "narrow": 0.2}, "narrow"), ({"wide": 0.2, "narrow": 1.0}, "wide")])
def test_a_space_that_tells_no_costs_is_read_off_by_what_was_measured(
    costs: dict[str, float], cheap: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(operation_latency, "measure_operations", lambda *args, **kwargs: costs)
    told: dict[str, Any] = {"data": "digits", "device": "cpu", "epochs": 1}
    found = rt.search(Digits, rt.Darts(cost_weight=100.0, cost="latency"), out="weight", **told)
    assert found.best.record.architecture["layer"] == cheap
    strategy = rt.DrNAS(cost_penalty=1e4, cost="latency", alpha_lr=0.1)
    alphas = rt.search(Digits, strategy, out="penalty", **told).epochs[-1]["alphas"]["layer"]
    assert max(alphas, key=alphas.get) == cheap


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--set", "cost=latency"], "cost: it needs `cost_weight` or `cost_penalty` above 0"),
        (["--set", "cost=time", "--cost-weight", "1"], "gdas: unknown cost 'time'; known: multiply_adds, latency"),
    ],
)
def test_what_is_refused(words: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*SEARCH, *words, "--out", "run"]) == 2
    error = capsys.readouterr().err
    assert told.replace("`cost_weight`", "--cost-weight") in error and error.count("\n") == 1


def test_a_space_without_costs_is_told_of_latencies() -> None:
    with pytest.raises(rt.SpaceError, match=r"`cost_penalty` needs the costs of operations: .*Digits lacks operation_costs\(\); set "):
        rt.search(Digits, rt.GDAS(cost_penalty=0.1), data="digits")
