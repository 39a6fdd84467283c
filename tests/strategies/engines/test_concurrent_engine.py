"""The engine of trials that are processes: several at a time, each with its own result, and going on as if nothing had happened."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from fake_trials import SPACE, Trials
from nni.nas.execution import ModelEventType
from nni.nas.space import SimplifiedModelSpace
from small_spaces import built
from trial_scripts import write_script

from common.trial import Trial
from nni_compat.search_space import NniSpace, parse_search_space
from nni_compat.trial_command import TrialCommand
from nni_compat.trial_program import TrialProgram
from strategies import STRATEGIES, Median
from strategies.engines.concurrent import ConcurrentEngine
from strategies.optuna.pruning import make_pruning

MULTI_TRIAL = [name for name, kind in STRATEGIES.items() if not kind.one_shot and not kind.several_objectives]


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("strategies.engines.concurrent.SECONDS_BETWEEN_LOOKS", 0.0)


def search(strategy: str, start: Any, space: NniSpace = SPACE, *, total: int = 10, **options: Any) -> tuple[ConcurrentEngine, list[Trial]]:
    heard: list[Trial] = []
    with ConcurrentEngine(start, max_trials=total, canonical=space.canonical, on_result=heard.append, **options) as engine:
        built(strategy, seed=1, trials=total)(SimplifiedModelSpace(TrialProgram(), space.mutables, None), engine)
        engine.wait_models()
    return engine, heard


@pytest.mark.parametrize("concurrency", [1, 2, 5])
@pytest.mark.parametrize("strategy", MULTI_TRIAL)
def test_results_belong_to_their_parameters(strategy: str, concurrency: int) -> None:
    trials = Trials()
    engine, heard = search(strategy, trials.start, concurrency=concurrency)
    count = len(heard)
    assert count == 10
    assert [result.number for result in engine.results] == list(range(count))
    for result in engine.results:
        assert (result.number, result.sample) in trials.started
        assert result.score == result.sample["x"] * result.sample["n"]
    for model in engine.list_models():
        assert model.sample is not None
        assert model.metric == model.sample["x"] * model.sample["n"], "and the strategy hears the same"
    assert trials.most == (1 if strategy == "local" else concurrency), "each step of a local search needs the one before"


@pytest.mark.parametrize("strategy", MULTI_TRIAL)
def test_whole_numbers_are_tried_until_there_are_no_more(strategy: str) -> None:
    space = parse_search_space({"x": {"_type": "randint", "_value": [0, 12]}})
    trials = Trials(score=lambda sample: float(sample["x"]), looks=lambda sample: 0)
    engine, _ = search(strategy, trials.start, space, total=12)
    assert sorted(result.sample["x"] for result in engine.results) == list(range(12))
    assert not engine.found_nothing_new


@pytest.mark.parametrize("strategy", MULTI_TRIAL)
@pytest.mark.parametrize("done", [1, 4, 9])
def test_a_resumed_search_proposes_what_the_interrupted_one_did(strategy: str, done: int) -> None:
    whole = Trials()
    _, heard = search(strategy, whole.start, concurrency=2)
    rest = Trials()
    engine, _ = search(strategy, rest.start, concurrency=2, known=heard[:done])
    known = {result.number for result in heard[:done]}
    # One proposal follows each result, so that those up to this one were made with the same results in the same order.
    same = [(number, sample) for number, sample in whole.started if number < done + 2]
    assert [(number, sample) for number, sample in rest.started if number < done + 2] == [each for each in same if each[0] not in known]
    assert sorted(result.number for result in engine.results) == list(range(10))


def test_trials_that_fail_end_no_search() -> None:
    engine, heard = search("evolution", Trials(score=lambda sample: None).start, concurrency=5)
    assert {(result.state, result.error) for result in heard} == {("failed", "it failed")}
    assert len(engine.results) == 10


def test_equal_parameters_are_one_trial() -> None:
    space = parse_search_space({"x": {"_type": "choice", "_value": [0, 1]}, "n": {"_type": "choice", "_value": [1]}})
    trials = Trials()
    engine, _ = search("tpe", trials.start, space, total=2, concurrency=2)
    assert sorted(sample["x"] for _, sample in trials.started) == [0, 1]
    assert all(model.metric == model.sample["x"] for model in engine.list_models() if model.sample)


def test_a_hopeless_trial_is_stopped_and_says_so() -> None:
    pruning = make_pruning(Median(start_step=1), epochs=None)
    trials = Trials(score=lambda sample: sample["x"], looks=lambda sample: 3)
    seen: list[float] = []
    heard: list[Trial] = []
    with ConcurrentEngine(trials.start, concurrency=2, pruning=pruning, on_result=heard.append) as engine:
        engine.register_model_event_callback(ModelEventType.IntermediateMetric, lambda event: seen.append(event.metric))
        space = SimplifiedModelSpace(TrialProgram(), SPACE.mutables, None)
        for x in (0.5, 0.6, 0.7, 0.8, 0.9, 0.1):
            engine.submit_models(space.freeze({"x": x, "n": 1}))
        engine.wait_models()
    pruned = [result for result in heard if result.state == "pruned"]
    assert [result.sample["x"] for result in pruned] == [0.1]
    assert pruned[0].score is None
    assert pruned[0].curve == [0.1]
    assert trials.stopped == [5]
    assert seen.count(0.1) == 1


def test_what_still_runs_is_ended_with_the_block() -> None:
    trials = Trials(looks=lambda sample: 1_000_000)
    with pytest.raises(KeyboardInterrupt), ConcurrentEngine(trials.start, concurrency=2) as engine:
        for x in (0.1, 0.2):
            engine.submit_models(SimplifiedModelSpace(TrialProgram(), SPACE.mutables, None).freeze({"x": x, "n": 1}))
        raise KeyboardInterrupt
    assert trials.stopped == [0, 1]
    assert trials.running == 0


@pytest.mark.slow
def test_two_processes_at_a_time_that_end_in_any_order(tmp_path: Path) -> None:
    code = 'time.sleep(random.random() / 2); send("PERIODICAL", parameters["x"]); send("FINAL", parameters["x"] * parameters["n"])'
    write_script(tmp_path, code)
    program = TrialCommand("python -S main.py", tmp_path, tmp_path / "trials")
    engine, heard = search("random", program.start, total=12, concurrency=2)
    assert len(heard) == 12
    for result in heard:
        assert result.state == "complete", result.error
        assert result.score == pytest.approx(result.sample["x"] * result.sample["n"], abs=0)
        assert result.curve == [result.sample["x"]]
    assert [result.number for result in engine.results] == list(range(12))
