"""The engine of a search with a time budget, by a clock that the trials themselves move on."""

from __future__ import annotations

import math
from pathlib import Path
from statistics import median
from typing import Any

import pytest
from nni.mutable import Categorical
from nni.nas.evaluator import FunctionalEvaluator
from nni.nas.execution import ModelEventType
from nni.nas.space import ModelStatus, SimplifiedModelSpace
from small_spaces import TinySpace

from common.trial import AT_ONE_GO, LAST, Trial
from strategies import STRATEGIES, SearchContext
from strategies.engines.paced import PacedEngine
from strategies.engines.recording import ContinuedEvent
from strategies.engines.unfinished import keep_unfinished
from strategies.first_trials import submit_known_trials
from strategies.rungs import Length

NUMBERS = list(range(60))


class Trainings:
    """Trainings of 9 epochs of 1 second; that of ``n`` comes to n / 60, near which it is from the start."""

    def __init__(self, folder: Path) -> None:
        self.now = 0.0
        self.folder = folder
        self.legs: list[tuple[int, int, int]] = []
        self.begun_anew = 0

    def __call__(self, sample: Any, report: Any, note: Any) -> float:
        number, since, until, state = sample["n"], sample["since"], sample["until"], Path(sample["checkpoint"])
        self.legs.append((number, since, until))
        if since and int(state.read_text()) != since:
            self.begun_anew += 1
        score = math.nan
        for epoch in range(since + 1, until + 1):
            self.now += 1.0
            state.write_text(str(epoch))
            score = number / 60 - 0.1 / epoch
            report(score)
        return score

    def engine(self, budget: float, **options: Any) -> PacedEngine:
        options = {"length": lambda sample: Length(9, 1.0), "share": 9.0, **options}
        return PacedEngine(self, checkpoints=self.folder, time_budget=budget, clock=lambda: self.now, **options)


def space() -> SimplifiedModelSpace:
    evaluator = FunctionalEvaluator(lambda model, n: 0.0, n=Categorical(NUMBERS, label="n"))
    return SimplifiedModelSpace.from_model(TinySpace(), evaluator)


def submit(engine: PacedEngine, *numbers: int) -> list[Any]:
    models = [space().freeze({"first": "a", "second": "b", "inputs": [0, 1], "n": number}) for number in numbers]
    for model in models:
        assert engine.idle_worker_available()
        engine.submit_models(model)
    return models


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


class Interrupted:
    """A search that is cut off as soon as the training of 30 has come to an epoch; what it leaves behind is resumed."""

    def __init__(self, folder: Path, epoch: int, length: Length, numbers: tuple[int, ...]) -> None:
        self.trainings, self.kept, self.length = Trainings(folder), dict[int, Trial](), length

        def run(sample: Any, report: Any, note: Any) -> float:
            def report_or_end(score: float) -> None:
                report(score)
                if (self.trainings.legs[-1][0], score) == (30, 0.5 - 0.1 / epoch):
                    raise KeyboardInterrupt

            return self.trainings(sample, report_or_end, note)

        engine = PacedEngine(run, checkpoints=folder, time_budget=100.0, clock=lambda: self.trainings.now, **self.options)
        with pytest.raises(KeyboardInterrupt):
            submit(engine, *numbers)

    @property
    def options(self) -> dict[str, Any]:
        return {"length": lambda _: self.length, "share": 9.0, "on_result": lambda trial: self.kept.update({trial.number: trial})}

    def resume(self, budget: float) -> PacedEngine:
        return self.trainings.engine(budget, known=list(self.kept.values()), **self.options)


@pytest.mark.parametrize(
    ("numbers", "epoch", "length", "legs"),
    [
        ((30,), 1, Length(18, 1.0), [(0, 2), (1, 2)]),
        ((30, 1, 2, 3), 2, Length(9, 1.0), [(1, 3), (2, 3)]),
        ((1, 30), 4, Length(9, 1.0, LAST), [(0, 9), (4, 9)]),
    ],
    ids=["in its first leg", "in a later one", "in one that does not wait"],
)
def test_what_was_cut_off_goes_on_after_its_last_epoch(
    tmp_path: Path, numbers: tuple[int, ...], epoch: int, length: Length, legs: list[tuple[int, int]]
) -> None:
    run = Interrupted(tmp_path, epoch, length, numbers)
    heard: list[float] = []
    engine = run.resume(50.0)
    (cut_off,) = engine.unfinished
    number, end = numbers.index(30), legs[1][1]
    assert (cut_off.number, len(cut_off.curve), cut_off.seconds) == (number, epoch, epoch)
    before = 0 if number not in run.kept else run.kept[number].seconds
    assert engine.seconds_left == 50.0 - (epoch - before), "what is not on record counts, too"
    engine.register_model_event_callback(
        ModelEventType.IntermediateMetric, lambda event: heard.append(event.metric) if event.model.sample["n"] == 30 else None
    )
    submit_known_trials(space(), engine)
    assert [(since, until) for n, since, until in run.trainings.legs if n == 30][-2:] == legs and run.trainings.begun_anew == 0
    assert heard[:end] == pytest.approx([0.5 - 0.1 / each for each in range(1, end + 1)])
    trial = run.kept[number]
    assert (trial.state, trial.seconds, trial.planned_epochs) == ("complete" if length.at_one_go else "pruned", end, length.epochs)
    assert engine.unfinished == [] and not list(tmp_path.glob("*.json"))
    assert (tmp_path / f"trial-{number}.ckpt").exists() == (length.at_one_go is None)
    submit(engine, 50)
    assert sorted(run.kept) == list(range(len(run.kept)))


def test_what_was_cut_off_counts_with_its_last_epoch_where_the_time_is_up(tmp_path: Path) -> None:
    run = Interrupted(tmp_path, 4, Length(9, 1.0, LAST), (30,))
    engine = run.resume(4.5)
    submit_known_trials(space(), engine)
    assert (run.kept[0].state, len(run.kept[0].curve), run.kept[0].score) == ("complete", 4, 0.5 - 0.1 / 4)
    assert len(run.trainings.legs) == 1


def test_what_waits_goes_on_in_the_last_seconds_of_a_resumed_search(tmp_path: Path) -> None:
    """Its samples may be submitted late, or never, as they are no longer in the space."""
    run = Interrupted(tmp_path, 2, Length(9, 1.0), (30, 1, 2, 3))
    (tmp_path / "trial-0.json").unlink()  # as if it had been killed in the first epoch after it had waited
    engine = run.resume(8.0)
    assert engine.idle_worker_available() and len(run.trainings.legs) == 4, "nobody knows its model yet"
    submit_known_trials(space(), engine)
    engine.finish()
    assert run.trainings.legs[4:] == [(30, 1, 3), (30, 3, 9)]


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


def test_what_a_trial_on_record_left_is_taken_away(tmp_path: Path) -> None:
    """It was killed after the record, and before that."""
    sample = {"first": "a", "second": "b", "inputs": [0, 1], "n": 30}
    known = Trial(0, sample, "complete", 0.4, curve=[0.3, 0.4], seconds=2.0, facts={"planned_epochs": 2})
    keep_unfinished(tmp_path, Trial(0, sample, "pruned", 0.3, curve=[0.3], seconds=1.0))
    (tmp_path / "trial-0.ckpt").write_text("1")
    engine = Trainings(tmp_path).engine(50.0, known=[known])
    assert engine.unfinished == [] and engine.seconds_left == 50.0 and not list(tmp_path.iterdir())
