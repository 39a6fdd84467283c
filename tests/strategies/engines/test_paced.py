"""The engine of a search with a time budget, by a clock that the trials themselves move on."""

from __future__ import annotations

import math
from pathlib import Path
from statistics import median
from typing import Any

import pytest
from nni.nas.execution import ModelEventType
from nni.nas.space import ModelStatus
from paced_trainings import Trainings, space, submit

from common.trial import AT_ONE_GO, LAST, Trial
from strategies import STRATEGIES, SearchContext
from strategies.engines.paced import PacedEngine
from strategies.engines.recording import ContinuedEvent
from strategies.first_trials import submit_known_trials
from strategies.rungs import Length


def test_a_trial_waits_and_goes_on_where_it_was(tmp_path: Path) -> None:
    trainings = Trainings(tmp_path)
    engine = trainings.engine(1000.0)
    submit(engine, 10, 30, 20)
    assert trainings.legs == [(10, 0, 1), (30, 0, 1), (20, 0, 1)]
    assert {trial.state for trial in engine.results} == {"pruned"} and not engine.out_of_time
    submit(engine, 5)
    assert trainings.legs[3:] == [(30, 1, 3), (5, 0, 1)]
    best = engine.results[1]
    assert (best.number, len(best.curve), best.planned_epochs, best.seconds) == (1, 3, 9, 3.0)
    assert best.score == best.curve[-1] == pytest.approx(0.5 - 0.1 / 3)
    assert trainings.begun_anew == 0


def test_strategies_hear_of_each_rung(tmp_path: Path) -> None:
    heard: list[tuple[type, float | None, ModelStatus]] = []
    engine = Trainings(tmp_path).engine(1000.0)
    engine.register_model_event_callback(
        ModelEventType.TrainingEnd, lambda event: heard.append((type(event), event.model.metric, event.status))
    )
    model = submit(engine, 30, 1, 2)[0]
    engine.finish()
    mine = [(kind, score) for kind, score, status in heard if score in {0.5 - 0.1 / 1, 0.5 - 0.1 / 3, 0.5 - 0.1 / 9}]
    assert [kind is ContinuedEvent for kind, _ in mine] == [False, True, True]
    assert [score for _, score in mine] == pytest.approx([0.4, 0.5 - 0.1 / 3, 0.5 - 0.1 / 9])
    assert model.metric == pytest.approx(0.5 - 0.1 / 9) and len(model.metrics.intermediates) == 9
    assert {status for _, _, status in heard} == {ModelStatus.Trained}


@pytest.mark.parametrize("budget", [30.0, 72.0, 100.5])
def test_the_time_is_kept_and_the_best_comes_to_its_end(tmp_path: Path, budget: float) -> None:
    trainings = Trainings(tmp_path)
    engine = trainings.engine(budget)
    number = 0
    while engine.idle_worker_available() and engine.budget_available():
        number += 7
        submit(engine, number % 60)
    engine.finish()
    assert budget - 1.0 <= trainings.now <= budget, "no epoch is begun that cannot end"
    complete = [trial for trial in engine.results if trial.state == "complete" and len(trial.curve) == 9]
    best = max(engine.results, key=lambda trial: trial.score or 0.0)
    assert best in complete
    assert sum(trial.seconds for trial in engine.results) == pytest.approx(trainings.now)
    assert not list(tmp_path.glob(f"trial-{best.number}.ckpt")), "its state is needed no more"


def test_what_runs_when_the_time_is_up_counts_with_its_last_epoch(tmp_path: Path) -> None:
    trainings = Trainings(tmp_path)
    engine = trainings.engine(12.5)
    submit(engine, 30)
    engine.finish()
    assert engine.results[0].state == "complete" and len(engine.results[0].curve) == 9
    trainings = Trainings(tmp_path)
    engine = trainings.engine(5.5, share=1.0)
    submit(engine, 30)
    engine.finish()
    (trial,) = engine.results
    assert (trial.state, len(trial.curve), trial.score) == ("complete", 5, trial.curve[-1])


def test_a_new_trial_does_not_go_on_from_another_ones_state(tmp_path: Path) -> None:
    (tmp_path / "trial-0.ckpt").write_text("1")
    trainings = Trainings(tmp_path)

    def run(sample: Any, report: Any, note: Any) -> float:
        assert not Path(sample["checkpoint"]).exists()
        return trainings(sample, report, note)

    engine = PacedEngine(
        run, checkpoints=tmp_path, length=lambda _: Length(9, 1.0), share=9.0, time_budget=100.0, clock=lambda: trainings.now
    )
    submit(engine, 30)
    assert engine.results[0].state == "pruned", engine.results[0].error


def test_a_failure_on_the_way_is_a_failed_trial(tmp_path: Path) -> None:
    trainings = Trainings(tmp_path)

    def run(sample: Any, report: Any, note: Any) -> float:
        if sample["since"]:
            raise ValueError("out of luck")
        return trainings(sample, report, note)

    engine = PacedEngine(
        run, checkpoints=tmp_path, length=lambda _: Length(9, 1.0), share=9.0, time_budget=100.0, clock=lambda: trainings.now
    )
    submit(engine, 30, 1, 2)
    engine.finish()
    assert {trial.state for trial in engine.results} == {"failed"}
    assert engine.results[0].score is None and "out of luck" in (engine.results[0].error or "")


def test_what_cannot_be_measured_is_a_failed_trial(tmp_path: Path) -> None:
    def length(sample: Any) -> Length:
        raise ValueError("no such network")

    engine = Trainings(tmp_path).engine(100.0, length=length)
    submit(engine, 3)
    assert engine.results[0].state == "failed" and "no such network" in (engine.results[0].error or "")


@pytest.mark.parametrize("strategy", ["random", "grid", "evolution", "local", "tpe", "gp", "bo"])
def test_every_strategy_searches_so_and_goes_on_after_an_interruption(tmp_path: Path, strategy: str) -> None:
    kept: dict[int, Trial] = {}
    trainings = Trainings(tmp_path)
    with trainings.engine(60.0, on_result=lambda trial: kept.update({trial.number: trial})) as engine:
        STRATEGIES[strategy]().build(SearchContext(seed=1, trials=20))(space(), engine)
        if strategy != "local":  # which waits for nothing more
            assert engine.out_of_time
    begun = len(kept)
    assert begun >= 8 and trainings.now <= 60.0
    with trainings.engine(60.0, known=list(kept.values()), on_result=lambda trial: kept.update({trial.number: trial})) as engine:
        explored = space()
        submit_known_trials(explored, engine)
        STRATEGIES[strategy]().build(SearchContext(seed=1, trials=20))(explored, engine)
        engine.finish()
    assert trainings.now <= 120.0 and trainings.begun_anew == 0
    assert sorted(kept) == list(range(len(kept))) and len(kept) > begun
    ended = [trial for trial in kept.values() if trial.state == "complete"]
    dropped = [trial for trial in kept.values() if trial.state == "pruned"]
    assert median(trial.curve[0] for trial in ended) > median(trial.curve[0] for trial in dropped), "the good ones go on"
    assert sum(trial.seconds for trial in kept.values()) == pytest.approx(trainings.now)


def test_a_trial_that_does_not_wait_is_trained_at_one_go_in_time_that_is_given_to_it(tmp_path: Path) -> None:
    trainings = Trainings(tmp_path)
    engine = trainings.engine(10.0, length=lambda sample: Length(9, 1.0, LAST if sample["n"] == 40 else None))
    submit(engine, 10)
    engine.finish()
    assert engine.seconds_left <= 9.0
    engine.give_time(20.0)
    engine.submit_models(space().freeze({"first": "a", "second": "b", "inputs": [0, 1], "n": 40}))
    assert trainings.legs[-1] == (40, 0, 9)
    last = engine.results[-1]
    assert (last.state, len(last.curve), last.planned_epochs, last.facts[AT_ONE_GO]) == ("complete", 9, 9, LAST)


def test_scores_that_are_no_numbers_end_no_trial(tmp_path: Path) -> None:
    def run(sample: Any, report: Any, note: Any) -> float:
        for epoch in range(sample["since"] + 1, sample["until"] + 1):
            report(math.nan if epoch == 1 else 0.5)
        return 0.5

    engine = PacedEngine(run, checkpoints=tmp_path, length=lambda _: Length(9, 1.0, LAST), share=9.0, time_budget=100.0)
    submit(engine, 30)
    (trial,) = engine.results
    assert (trial.state, trial.curve[1:]) == ("complete", [0.5] * 8) and math.isnan(trial.curve[0])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("reported", [0, 1])
def test_an_evaluator_that_leaves_out_reports_comes_to_its_end(tmp_path: Path, reported: int) -> None:
    def run(sample: Any, report: Any, note: Any) -> float:
        for _ in range(reported):
            report(0.25)
        return 0.5

    engine = PacedEngine(run, checkpoints=tmp_path, length=lambda _: Length(9, 1.0), share=1.0, time_budget=2.0, clock=lambda: 0.0)
    submit(engine, 30)
    engine.finish()
    (trial,) = engine.results
    assert (trial.state, trial.score, len(trial.curve), trial.curve[-1]) == ("complete", 0.5, 9, 0.5)
