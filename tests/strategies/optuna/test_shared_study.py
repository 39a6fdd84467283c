"""One search of several processes, by way of a study in SQLite or a journal."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import optuna
import pytest
from nni.nas.evaluator import FunctionalEvaluator
from nni.nas.space import SimplifiedModelSpace
from optuna.storages import BaseStorage
from optuna.trial import TrialState
from small_spaces import TinySpace, built

from common.errors import StrategyError
from common.trial import Trial
from strategies import STRATEGIES
from strategies.engines.in_process import InProcessEngine
from strategies.optuna.shared_study import SharedStudy, name_study, open_storage

pytestmark = pytest.mark.usefixtures("own_folder")
OPTUNAS = [name for name, kind in STRATEGIES.items() if kind.shares_study]


@pytest.fixture
def opened() -> Iterator[Callable[[str], BaseStorage]]:
    """Opens storages that the test's end closes."""
    with ExitStack() as stack:
        yield lambda url: stack.enter_context(open_storage(url))


def count_letters(model: Any) -> float:
    return sum(ord(name) for name in "ab")


def explore(strategy: str, shared: SharedStudy, *, trials: int = 5, known: list[Trial] | None = None) -> list[Trial]:
    """A search of a small space; results are told as facts too, for those that want several objectives."""
    engine = InProcessEngine(max_trials=trials, known=known or [], describe=lambda network: {"parameters": 3})
    space = SimplifiedModelSpace.from_model(TinySpace(), FunctionalEvaluator(count_letters))
    built(strategy, seed=0, trials=trials, shared=shared, costs=["parameters"])(space, engine)
    return engine.results


def samples_of(results: list[Trial]) -> set[str]:
    return {json.dumps(result.sample, sort_keys=True) for result in results}


@pytest.mark.parametrize("url", [pytest.param("sqlite:///study.db", marks=pytest.mark.slow), "journal:///study.log"])
@pytest.mark.parametrize("strategy", OPTUNAS)
def test_each_process_knows_the_trials_of_all(strategy: str, url: str, opened: Any) -> None:
    first = explore(strategy, SharedStudy(opened(url), "s", "1" * 32))
    second = explore(strategy, SharedStudy(opened(url), "s", "2" * 32))
    assert len(first) == len(second) == 5
    assert not samples_of(first) & samples_of(second), "with one seed, and yet none tries what the other has"
    study = optuna.load_study(study_name="s", storage=opened(url))
    complete = study.get_trials(states=[TrialState.COMPLETE])
    for member, results in (("1", first), ("2", second)):
        told = {str(trial.params) for trial in complete if trial.user_attrs["retiarius:member"] == member * 32}
        assert len(told) == len(results) > 0


@pytest.mark.slow
def test_a_study_that_lags_behind_the_record_or_was_lost_is_put_in_order(opened: Any) -> None:
    shared = SharedStudy(opened("sqlite:///study.db"), "s", "1" * 32)
    results = explore("tpe", shared, trials=5)
    study = optuna.load_study(study_name="s", storage=shared.storage)
    other = study.ask()
    distributions, tried = study.trials[0].distributions, {str(trial.params) for trial in study.trials}
    cut = shared.ask(study, distributions)  # asked for, and killed before it had ended
    while str(cut.params) in tried:  # that would be another case: one that had ended
        study.tell(cut, state=TrialState.FAIL)
        cut = shared.ask(study, distributions)
    resumed = explore("tpe", shared, trials=7, known=results)
    assert resumed[:5] == results
    assert len(samples_of(resumed)) == 7
    states = {trial.number: trial.state for trial in study.trials}
    assert states[cut.number] == TrialState.FAIL
    assert states[other.number] == TrialState.RUNNING, "another's is left alone"
    complete = study.get_trials(states=[TrialState.COMPLETE])
    assert len(complete) == 7
    assert any(trial.params == cut.params for trial in complete), "what was cut off is run again"

    empty = SharedStudy(opened("sqlite:///new.db"), "s", "1" * 32)
    explore("tpe", empty, trials=8, known=resumed)
    assert len(optuna.load_study(study_name="s", storage=empty.storage).get_trials(states=[TrialState.COMPLETE])) == 8


@pytest.mark.slow
def test_a_trial_that_ended_before_the_study_heard_of_it_is_told(opened: Any) -> None:
    shared = SharedStudy(opened("sqlite:///study.db"), "s", "1" * 32)
    results = explore("tpe", shared, trials=3)
    study = optuna.load_study(study_name="s", storage=shared.storage)
    copy = SharedStudy(opened("sqlite:///copy.db"), "s", "1" * 32)
    there = optuna.create_study(study_name="s", storage=copy.storage, direction="maximize")
    copy.begin(there, study.trials[1].params, study.trials[1].distributions)
    explore("tpe", copy, trials=4, known=results)
    assert there.trials[0].state == TrialState.COMPLETE
    assert sum(trial.state == TrialState.COMPLETE for trial in there.trials) == 4


def test_another_space_or_other_objectives_of_the_same_name_are_refused(opened: Any) -> None:
    shared = SharedStudy(opened("sqlite:///study.db"), "mine", "1" * 32)
    explore("tpe", shared)
    with pytest.raises(StrategyError, match="'mine' in this storage has other objectives; set `study` to another name"):
        explore("nsga2", shared)
    study = optuna.load_study(study_name="mine", storage=shared.storage)
    with pytest.raises(StrategyError, match="has another search space"):
        shared.check(study, {"x": optuna.distributions.FloatDistribution(0, 1)})


def test_a_study_is_named_by_what_its_members_have_in_common() -> None:
    identity = {"seed": 0, "trials": 5, "epochs": 3, "--storage": "sqlite:///a.db", "--workers": 2}
    assert name_study("zoo", "tpe", identity) == name_study("zoo", "tpe", {"seed": 0, "epochs": 3})
    assert name_study("zoo", "tpe", identity) != name_study("zoo", "tpe", {**identity, "epochs": 4})
    assert name_study("zoo", "tpe", identity) != name_study("zoo", "tpe", {**identity, "seed": 1}), "it has other validation images"


@pytest.mark.slow
def test_a_pruned_trial_that_the_study_has_not_heard_of_is_told_with_its_curve(opened: Any) -> None:
    first = SharedStudy(opened("sqlite:///study.db"), "s", "1" * 32)
    results = explore("tpe", first, trials=3)
    heard = optuna.load_study(study_name="s", storage=first.storage).trials[1]
    known = [replace(result, state="pruned", score=None, curve=[0.1, 0.2]) if result.number == 1 else result for result in results]
    shared = SharedStudy(opened("sqlite:///new.db"), "s", "1" * 32)
    study = optuna.create_study(study_name="s", storage=shared.storage, direction="maximize")
    shared.begin(study, heard.params, heard.distributions)  # killed between the end of the trial and the telling
    for _ in range(2):
        explore("tpe", shared, trials=4, known=known)
        told = study.get_trials(states=[TrialState.PRUNED])
        assert [(trial.params, trial.intermediate_values) for trial in told] == [(heard.params, {1: 0.1, 2: 0.2})]
        assert not study.get_trials(states=[TrialState.RUNNING])
