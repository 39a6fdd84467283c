"""Trials of a search with a time budget that an interruption cut off: what is kept of them, and how they go on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from nni.mutable import Categorical
from nni.nas.evaluator import FunctionalEvaluator
from nni.nas.execution import ModelEventType
from nni.nas.space import SimplifiedModelSpace
from paced_trainings import Trainings, space, submit
from small_spaces import TinySpace

from common.trial import LAST, Trial
from strategies.engines.paced import PacedEngine
from strategies.engines.unfinished import keep_unfinished
from strategies.first_trials import submit_known_trials
from strategies.rungs import Length


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


def test_what_a_trial_on_record_left_is_taken_away(tmp_path: Path) -> None:
    """It was killed after the record, and before that."""
    sample = {"first": "a", "second": "b", "inputs": [0, 1], "n": 30}
    known = Trial(0, sample, "complete", 0.4, curve=[0.3, 0.4], seconds=2.0, facts={"planned_epochs": 2})
    keep_unfinished(tmp_path, Trial(0, sample, "pruned", 0.3, curve=[0.3], seconds=1.0))
    (tmp_path / "trial-0.ckpt").write_text("1")
    engine = Trainings(tmp_path).engine(50.0, known=[known])
    assert engine.unfinished == [] and engine.seconds_left == 50.0 and not list(tmp_path.iterdir())


def test_a_strategy_may_propose_once_more_what_is_known(tmp_path: Path) -> None:
    """As random search does when it is resumed: it draws by its seed. More than 200 of these had ended the search."""
    numbers = list(range(250))
    choices = {"n": Categorical(numbers, label="n")}
    model_space = SimplifiedModelSpace.from_model(TinySpace(), FunctionalEvaluator(lambda model, n: 0.0, **choices))
    known = [
        Trial(number, {"first": "a", "second": "b", "inputs": [0, 1], "n": number}, "pruned", 0.5, facts={"planned_epochs": 9})
        for number in numbers
    ]
    engine = Trainings(tmp_path).engine(100.0, known=known)
    submit_known_trials(model_space, engine)
    for trial in known:
        engine.submit_models(model_space.freeze(trial.sample))
    assert engine.budget_available() and len(engine.results) == len(numbers)
    for trial in known:
        engine.submit_models(model_space.freeze(trial.sample))
    assert engine.found_nothing_new, "the strategy has nothing else"
