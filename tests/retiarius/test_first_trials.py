"""What a search begins with by itself, and what strategies learn of trials that were there before they began."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nni
import pytest
from command_line import in_a_folder_of_its_own_with_few_digits  # noqa: F401
from fake_trials import SPACE, Trials
from nni.mutable import Categorical
from nni.nas.evaluator import FunctionalEvaluator
from nni.nas.space import SimplifiedModelSpace
from optuna.trial import TrialState
from small_spaces import TinySpace

from common.reporter import Reporter
from evaluators import EVALUATORS, EvaluatorEntry
from nni_compat.trial_program import TrialProgram
from retiarius.pacing import ABOUT_SO_MANY
from retiarius.plan import make_plan
from retiarius.presets import PRESETS
from retiarius.settings import SearchSettings
from run_experiment import main
from spaces.zoo.space import ZooSpace
from strategies import STRATEGIES, SearchContext
from strategies.engines.concurrent import ConcurrentEngine
from strategies.engines.in_process import InProcessEngine
from strategies.nni_search import evolution
from strategies.optuna.samplers import nsga2, tpe


class TestEvolution:
    """NNI's own does not hear of what was submitted before it started."""

    def test_a_trained_one_is_of_the_first_population(self) -> None:
        space = SimplifiedModelSpace.from_model(TinySpace(), FunctionalEvaluator(lambda model: 0.5))
        engine, strategy, start = (
            InProcessEngine(max_trials=3),
            evolution(seed=0, trials=9),
            {"first": "a", "second": "b", "inputs": [0, 1]},
        )
        engine.submit_models(space.freeze(start))
        strategy(space, engine)
        assert start in [individual.x for individual in strategy._population]
        assert len(strategy._population) == 3

    def test_of_many_the_best_make_the_first_population(self) -> None:
        space = SimplifiedModelSpace.from_model(TinySpace(), FunctionalEvaluator(lambda model, n: n, n=Categorical(range(9), label="n")))
        engine, strategy = InProcessEngine(max_trials=9), evolution(seed=0, trials=9)
        for n in (4, 8, 0, 6, 2, 1, 3, 5, 7):
            engine.submit_models(space.freeze({"first": "a", "second": "b", "inputs": [0, 1], "n": n}))
        strategy(space, engine)
        assert [individual.y for individual in strategy._population] == [6, 7, 8], "the first to die is the worst"

    def test_one_that_still_runs_is_so_when_it_ends(self) -> None:
        space, strategy, start = SimplifiedModelSpace(TrialProgram(), SPACE.mutables, None), evolution(seed=0, trials=9), {"x": 0.5, "n": 3}
        trials = Trials(looks=lambda sample: 3)
        with ConcurrentEngine(trials.start, concurrency=2, max_trials=3) as engine:
            engine.submit_models(space.freeze(start))
            strategy(space, engine)
            engine.wait_models()
        assert start in [individual.x for individual in strategy._population]
        assert len(strategy._population) == 3


def begun_by_hand(strategy: Any) -> InProcessEngine:
    """A search of nine trials, of which the first was there before the strategy began."""
    space = SimplifiedModelSpace.from_model(TinySpace(), FunctionalEvaluator(lambda model: 0.5))
    engine = InProcessEngine(max_trials=9, describe=lambda network: {"parameters": 7})
    engine.submit_models(space.freeze({"first": "a", "second": "b", "inputs": [0, 1]}))
    strategy(space, engine)
    assert len(engine.results) == 9
    return engine


@pytest.mark.parametrize("make", [tpe, partial(nsga2, costs=("parameters",))])
def test_optunas_samplers_are_told_of_them(make: Any) -> None:
    strategy = make(seed=0, trials=16)
    begun_by_hand(strategy)
    told = strategy.study.get_trials(states=[TrialState.COMPLETE])
    assert len({str(trial.params) for trial in told}) == 9, "what it asks for again, when nothing is left, is answered again"


def test_bo_learns_from_them() -> None:
    strategy = STRATEGIES["bo"]().build(SearchContext(seed=0, trials=16))
    first = begun_by_hand(strategy).results[0]
    assert strategy._observed[0].sample == first.sample


def test_nsga2_takes_them_for_parents() -> None:
    strategy = nsga2(seed=0, trials=16, costs=("parameters",))
    begun_by_hand(strategy)
    assert all("NSGAIISampler:generation" in trial.system_attrs for trial in strategy.study.trials), "or no later one descends from it"


def test_a_pruned_one_is_told_with_its_curve() -> None:
    def evaluate(model: Any) -> float:
        for score in (0.1, 0.2):
            nni.report_intermediate_result(score)
        return 0.2

    class Prunes:
        def begin(self, epochs: int | None) -> Any:
            return SimpleNamespace(stops=lambda score: score > 0.15, end=lambda status, score: None)

    space, strategy = SimplifiedModelSpace.from_model(TinySpace(), FunctionalEvaluator(evaluate)), tpe(seed=0, trials=3)
    engine = InProcessEngine(max_trials=2, pruning=Prunes())  # type: ignore[arg-type]
    engine.submit_models(space.freeze({"first": "a", "second": "b", "inputs": [0, 1]}))
    strategy(space, engine)
    first = strategy.study.trials[0]
    assert (first.state, first.intermediate_values) == (TrialState.PRUNED, {1: 0.1, 2: 0.2})


def test_a_default_that_is_not_searched_is_left_out_with_a_word(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(EVALUATORS, "train", EvaluatorEntry("fake_evaluators:score_by_rate", "none"))
    monkeypatch.setitem(ZooSpace.NARROWED, "quick", {"backbone": ["squeezenet1_1", "tinynet_e"]})
    assert main(["--space", "zoo", "--strategy", "random", "--trials", "1", "--dataset", "digits", "--out", "run"]) == 0
    said = "the default configuration is not tried first, as it is outside of what is searched: backbone resnet18"
    assert said in capsys.readouterr().err


def starts_of(**told: Any) -> dict[str, dict[str, Any]]:
    """Return with what a search of the zoo begins, by name."""
    return make_plan(
        SearchSettings(**{"space": "zoo", "strategy": "tpe", "preset": "lab", "time_budget": 3600.0, **told}), Reporter()
    ).starts


DEFAULT_START = "the default configuration"


@pytest.mark.slow
def test_a_search_of_a_given_time_begins_with_the_default_and_the_portfolio() -> None:
    first, *others = starts_of()
    assert first == DEFAULT_START and others and all(name.endswith("of the portfolio") for name in others)
    assert len(others) + 1 <= ABOUT_SO_MANY // 2, "at most half of the trials"
    assert list(starts_of(time_budget=None)) == [DEFAULT_START]
    assert list(starts_of(start_with=["default"])) == [DEFAULT_START]
    assert list(starts_of(start_with=["portfolio"], time_budget=None)) == [first, *others][: PRESETS["lab"].trials // 2]
    assert list(starts_of(start_with=["convnet32"])) == [DEFAULT_START, "convnet32"], "who names a start means that one"


@pytest.mark.slow
def test_never_more_than_half_of_the_trials_are_of_the_portfolio() -> None:
    assert len(starts_of(trials=6)) == 3
    assert list(starts_of(trials=1)) == [DEFAULT_START]


@pytest.mark.slow
def test_of_the_portfolio_only_what_is_searched() -> None:
    backbones = [start["backbone"] for start in starts_of().values()]
    one = next(backbone for backbone in backbones[1:] if backbone != "resnet18")
    kept = starts_of(fixed={"backbone": one})
    assert len(kept) <= 1 + backbones[1:].count(one)
    assert any(name.endswith("of the portfolio") for name in kept)
    assert {start.get("backbone", one) for start in kept.values()} == {one}
