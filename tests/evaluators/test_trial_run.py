"""A trial as a function of its sample: networks, facts, seeds, and the same in another process."""

from __future__ import annotations

from typing import Any

import cloudpickle
import pytest
import torch
from bright_bars import HERE, SETTINGS, make_data
from torch import nn

from common.errors import EvaluatorError
from evaluators.training.loop import train_and_validate
from evaluators.trial_run import TrialRun

SAMPLE = {"width": 4, "initial_lr": 0.05}


def build(architecture: Any) -> nn.Module:
    assert set(architecture) == {"width"}
    return nn.Sequential(nn.Flatten(), nn.Linear(192, architecture["width"]), nn.Dropout(0.5), nn.Linear(architecture["width"], 3))


def count(network: nn.Module) -> dict[str, int]:
    return {"parameters": sum(parameter.numel() for parameter in network.parameters())}


def make_run(evaluate: Any, **options: Any) -> TrialRun:
    training = {"data": make_data(), "epochs": 2, "seed": 3, **HERE, **SETTINGS}
    return TrialRun(build=build, evaluate=evaluate, labels=["width"], training=training, **options)


def run(trial: TrialRun, sample: dict[str, Any] = SAMPLE) -> tuple[float, list[float], list[dict[str, Any]]]:
    curve: list[float] = []
    facts: list[dict[str, Any]] = []
    return trial(sample, curve.append, facts.append), curve, facts


def test_a_trial_builds_measures_and_scores() -> None:
    score, curve, facts = run(make_run(train_and_validate, measure=count))
    assert score == curve[-1] and len(curve) == 2
    assert facts == [{"parameters": 192 * 4 + 4 + 4 * 3 + 3}]
    assert run(make_run(train_and_validate))[2] == [{}], "nothing has to be measured"


def test_the_sample_counts_before_what_every_trial_has() -> None:
    def evaluate(network: Any, epochs: int, initial_lr: float, batch_size: int) -> float:
        return epochs + 10 * initial_lr + batch_size

    assert run(make_run(evaluate))[0] == 2 + 0.5 + 16
    assert run(make_run(evaluate), {**SAMPLE, "epochs": 1})[0] == 1 + 0.5 + 16


def test_a_trial_depends_on_its_seed_alone_and_leaves_torchs_generator() -> None:
    def first_weight(network: Any) -> float:
        return network[1].weight[0, 0].item() + float(torch.rand(()))

    state = torch.get_rng_state()
    first = run(make_run(first_weight, seed=1))[0]
    torch.rand(7)
    again, other = run(make_run(first_weight, seed=1))[0], run(make_run(first_weight, seed=2))[0]
    assert first == again != other
    torch.set_rng_state(state)
    run(make_run(first_weight))
    assert torch.equal(torch.get_rng_state(), state)


def test_it_is_the_same_after_cloudpickle_has_carried_it() -> None:
    weight = 0.5
    trial = make_run(lambda network, report: weight + network[1].out_features, measure=lambda network: count(network))
    carried = cloudpickle.loads(cloudpickle.dumps(trial))
    assert run(carried) == run(trial) == (4.5, [], [{"parameters": 787}])
    whole = make_run(train_and_validate, measure=count)
    assert run(cloudpickle.loads(cloudpickle.dumps(whole))) == run(whole)


def test_what_fails_comes_out() -> None:
    with pytest.raises(EvaluatorError, match="the evaluator returned 'good', of type str"):
        run(make_run(lambda network: "good"))
    with pytest.raises(ValueError, match="the evaluator's score is nan"):
        run(make_run(lambda network: float("nan")))
    with pytest.raises(ZeroDivisionError):
        run(make_run(lambda network: 1 / 0))


def test_an_evaluator_that_can_wait_goes_to_the_end_where_nothing_waits() -> None:
    def evaluate(network: Any, *, epochs: int, checkpoint: Any, since: int, until: int) -> float:
        assert checkpoint is None
        return sum(range(since + 1, until + 1)) / epochs

    trial = TrialRun(build=lambda architecture: nn.Linear(1, 1), evaluate=evaluate, labels=(), training={"epochs": 4})
    assert trial({}, print, print) == 2.5
