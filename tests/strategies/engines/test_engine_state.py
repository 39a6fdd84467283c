"""What an engine keeps beside its models: trials that are tried again, and its state in NNI's checkpoints."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nni
import pytest
import torch
from nni.mutable import Categorical
from nni.nas.evaluator import FunctionalEvaluator
from nni.nas.hub.pytorch import NasBench101
from nni.nas.space import ModelStatus, SimplifiedModelSpace
from nni.nas.strategy import Random, Strategy
from nni.nas.strategy.middleware import Chain, FailureHandler
from small_spaces import TinySpace

from common.trial import Trial, sample_key
from strategies.engines.concurrent import ConcurrentEngine
from strategies.engines.in_process import InProcessEngine
from strategies.engines.recording import RecordingEngine
from strategies.optuna.pruning import make_pruning
from strategies.pruners import Median


class Finished:
    """A trial of which nothing is left to wait for; it fails the first time that its sample is tried."""

    start = 0.0

    def __init__(self, tried: list[int], n: int) -> None:
        self.facts: dict[str, Any] = {}
        self._n, self._fails = n, n not in tried
        tried.append(n)

    def read_reports(self) -> list[float]:
        return []

    def outcome(self) -> tuple[float | None, str | None]:
        return (None, "the first time") if self._fails else (float(self._n), None)

    def stop(self) -> None:
        """Nothing runs."""


class AllInOrder(Strategy):
    """Submits every sample of ``numbers``, and waits for all by the engine itself: NNI's middleware only sleeps."""

    def __init__(self, engine: RecordingEngine) -> None:
        super().__init__()
        self._really = engine

    def _run(self) -> None:
        for n in (1, 2, 3):
            if self.wait_for_resource():
                self.engine.submit_models(self.model_space.freeze({"n": n}))
        self._really.wait_models()


def numbers() -> SimplifiedModelSpace:
    return SimplifiedModelSpace(TinySpace(), {"n": Categorical([1, 2, 3], label="n")}, None)


def failing(concurrency: int, **options: Any) -> tuple[RecordingEngine, list[int]]:
    """An engine whose trials fail once, and the numbers in the order in which they are tried; 0: it runs them at once."""
    tried: list[int] = []
    if concurrency:
        return ConcurrentEngine(lambda number, sample: Finished(tried, sample["n"]), concurrency=concurrency, **options), tried

    def run(sample: Any, report: Any, note: Any) -> float:
        if Finished(tried, sample["n"])._fails:
            raise OSError("the first time")
        return float(sample["n"])

    return InProcessEngine(run, **options), tried


@pytest.mark.parametrize("concurrency", [0, 1, 2])
def test_a_model_that_is_retried_runs_again(concurrency: int) -> None:
    noted: list[Trial] = []
    engine, tried = failing(concurrency, on_result=noted.append)
    strategy = Chain(AllInOrder(engine), FailureHandler(retry_patience=1))
    strategy(numbers(), engine)
    assert sorted(tried) == [1, 1, 2, 2, 3, 3]
    assert [(model.status, model.metric) for model in strategy.list_models(sort=False)] == [(ModelStatus.Trained, n) for n in (1, 2, 3)]
    assert sorted(trial.number for trial in engine.results) == list(range(6)), "what failed stays in the record"
    assert sorted(trial.state for trial in noted) == ["complete"] * 3 + ["failed"] * 3
    assert engine.result_of({"n": 2}).state == "complete"


@pytest.mark.parametrize("concurrency", [0, 2])
def test_a_retried_trial_counts_against_the_budget(concurrency: int) -> None:
    engine, tried = failing(concurrency, max_trials=4)
    Chain(AllInOrder(engine), FailureHandler(retry_patience=5))(numbers(), engine)
    assert len(tried) == len(engine.results) == 4


@pytest.mark.parametrize("concurrency", [0, 1, 2])
def test_an_engine_that_is_restored_answers_what_was_measured(concurrency: int, tmp_path: Path) -> None:
    engine, _ = failing(concurrency, architecture_labels=["n"])
    engine.submit_models(*(numbers().freeze({"n": n}) for n in (1, 2)))
    engine.wait_models()
    torch.save(engine.state_dict(), tmp_path / "state")  # as NNI's checkpoints are, and read: nothing but plain data is
    restored, tried_then = failing(concurrency, max_trials=3, pruning=make_pruning(Median(), epochs=3))
    restored.load_state_dict(torch.load(tmp_path / "state"))
    assert restored.results == engine.results and restored.results[0].architecture == {"n": 1}
    models = [numbers().freeze({"n": n}) for n in (1, 3)]
    restored.submit_models(*models)
    restored.wait_models()
    assert tried_then == [3]
    assert models[0].status == ModelStatus.Failed
    assert [trial.number for trial in restored.results] == [0, 1, 2]
    assert not restored.budget_available()


def test_what_a_constraint_notes_is_in_no_record() -> None:
    space = NasBench101(stem_out_channels=8, num_stacks=1, num_modules_per_stack=1)
    seen: list[torch.Size] = []

    def evaluate(network: Any) -> None:
        seen.append(network.eval()(torch.zeros(1, 3, 8, 8)).shape)
        nni.report_final_result(1.0)

    engine = InProcessEngine(max_trials=3)
    Random(seed=0)(SimplifiedModelSpace.from_model(space, FunctionalEvaluator(evaluate)), engine)
    assert [trial.error for trial in engine.results] == [None] * 3
    assert seen == [torch.Size([1, 10])] * 3
    for trial in engine.results:
        assert "cell/final" not in trial.sample and len(trial.sample) == 12
        assert json.loads(sample_key(trial.sample)) == trial.sample
        copies = [SimplifiedModelSpace.from_model(space).freeze(dict(trial.sample)) for _ in range(2)]
        copies[0].sample.pop("cell/final")
        without, noted = (str(model.executable_model()) for model in copies)
        assert without == noted, "the network is the same"
