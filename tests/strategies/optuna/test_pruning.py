"""Trials that end early: every pruner in ``PRUNERS`` with every multi-trial strategy, resuming, and what the strategies are told."""

from __future__ import annotations

import math
from collections import Counter
from functools import partial
from typing import Any

import nni
import optuna
import pytest
from nni.mutable import Categorical, Numerical
from nni.nas.evaluator import FunctionalEvaluator
from nni.nas.space import ModelStatus, SimplifiedModelSpace
from small_spaces import MULTI_TRIAL, TinySpace, built
from torch import nn

from common.errors import SearchFailed
from common.trial import Trial
from strategies import PRUNERS, Halving, Hyperband, Median, make_pruner
from strategies.engines.concurrent import ConcurrentEngine
from strategies.engines.in_process import InProcessEngine
from strategies.optuna.pruning import Pruning, make_pruning
from strategies.search_summary import summarize_search

EPOCHS, TRIALS = 9, 30
# A Gaussian process takes minutes for so many trials; its pruned trials reach it as TPE's do.
STRATEGIES = [name for name in MULTI_TRIAL if name != "gp"]
# These three of Optuna's hear of pruned trials by one way, on which one goes in the quick tests.
CASES = [
    pytest.param(pruner, strategy, marks=pytest.mark.slow if strategy in ("nsga2", "hpo") else ())
    for pruner in PRUNERS
    for strategy in STRATEGIES
]


def curve_of(lr: float, width: int) -> list[float]:
    """A curve that rises to a height which depends on the hyperparameters; two such curves do not cross."""
    height = 1 - abs(math.log10(lr) + 2) / 4 + width / 100
    return [height * epoch / (epoch + 1) for epoch in range(1, EPOCHS + 1)]


def score(model: nn.Module, *, lr: float, width: int) -> float:
    """Reports the curve; some narrow networks fail in their last epoch."""
    curve = curve_of(lr, width)
    for epoch, value in enumerate(curve, start=1):
        if epoch == EPOCHS and width == 4 and lr < 1e-3:
            raise RuntimeError("does not fit")
        nni.report_intermediate_result(value)
    return curve[-1]


def explore(
    strategy: str, pruner: str, *, known: Any = (), evaluate: Any = score, trials: int = TRIALS, seed: int = 0
) -> tuple[InProcessEngine, Any]:
    numbers = {"lr": Numerical(1e-4, 1.0, log_distributed=True, label="lr"), "width": Categorical([4, 8, 16], label="width")}
    space = SimplifiedModelSpace.from_model(TinySpace(), FunctionalEvaluator(evaluate, **numbers))
    engine = InProcessEngine(max_trials=trials, known=known, pruning=make_pruning(make_pruner(pruner), epochs=EPOCHS))
    search = built(strategy, seed=seed, trials=trials)
    search(space, engine)
    return engine, search


def told(results: list[Trial]) -> list[tuple[Any, ...]]:
    """What of the results does not depend on the clock."""
    return [(r.number, r.sample, r.state, r.score, r.curve, r.error) for r in results]


@pytest.mark.parametrize(("pruner", "strategy"), CASES)
def test_hopeless_trials_end_early_and_have_no_score(pruner: str, strategy: str) -> None:
    results = explore(strategy, pruner)[0].results
    assert [result.number for result in results] == list(range(TRIALS)), "a pruned trial is one of the trials asked for"
    for result in results:
        curve = curve_of(result.sample["lr"], result.sample["width"])
        assert result.curve == curve[: len(result.curve)]
        assert (result.score is None) == (result.state != "complete")
        assert (result.error is None) == (result.state != "failed")
        if result.state == "pruned":
            assert 1 <= len(result.curve) < EPOCHS, "never at the last epoch, which costs nothing any more"
        elif result.state == "complete":
            assert result.score == curve[-1]
            assert len(result.curve) == EPOCHS
    count = Counter(result.state for result in results)
    assert count["pruned"] >= 2
    assert count["complete"] >= 2
    # In such curves, which do not cross, the best of all is never ended.
    assert max(results, key=lambda r: curve_of(r.sample["lr"], r.sample["width"])[0]).state == "complete"


@pytest.mark.parametrize(("pruner", "strategy"), CASES)
def test_a_resumed_search_prunes_as_an_uninterrupted_one(pruner: str, strategy: str) -> None:
    whole = explore(strategy, pruner)[0].results
    for done in (1, 11, TRIALS - 1):
        resumed = explore(strategy, pruner, known=whole[:done])[0].results
        assert told(resumed) == told(whole)
        assert [result.seconds for result in resumed[:done]] == [result.seconds for result in whole[:done]], "answered, not run"


@pytest.mark.parametrize("pruner", PRUNERS)
def test_pruning_saves_epochs_and_costs_little(pruner: str) -> None:
    without, pruned = explore("random", "none")[0].results, explore("random", pruner)[0].results
    assert [result.sample for result in pruned] == [result.sample for result in without], "random search proposes the same"
    assert sum(len(result.curve) for result in pruned) < 0.8 * sum(len(result.curve) for result in without)
    best = [max(result.score or 0 for result in results) for results in (without, pruned)]
    assert best[0] == best[1]


@pytest.mark.parametrize("start_step", [1, 2, 5])
def test_medianstop_judges_from_start_step_on_as_nnis_does(start_step: int) -> None:
    from nni.algorithms.hpo.medianstop_assessor import MedianstopAssessor
    from nni.assessor import AssessResult

    pruning, assessor = make_pruning(Median(start_step=start_step), epochs=8), MedianstopAssessor("maximize", start_step)
    assert pruning is not None
    for number in range(5):
        judged, scores = pruning.begin(), [1.0 / (1 + number)] * 8
        stops = [judged.stops(score) for score in scores[:-1]]
        theirs = [assessor.assess_trial(str(number), scores[:count]) is AssessResult.Bad for count in range(1, 8)]
        assert (stops.index(True) + 1 if True in stops else None) == (start_step if number == 4 else None)
        if number < 4:
            judged.end("complete", scores[-1])
            assessor.trial_end(str(number), success=True)
        else:
            assert theirs.index(True) + 1 == start_step


def test_tpe_is_told_of_pruned_trials_with_their_curves() -> None:
    engine, search = explore("tpe", "halving")
    states = {"complete": "COMPLETE", "pruned": "PRUNED", "failed": "FAIL"}
    assert [trial.state.name for trial in search.study.trials] == [states[result.state] for result in engine.results]
    for trial, result in zip(search.study.trials, engine.results, strict=True):
        if result.state == "pruned":
            assert trial.intermediate_values == dict(enumerate(result.curve, start=1))


def test_nnis_evolution_leaves_pruned_trials_out_of_its_population() -> None:
    engine, search = explore("evolution", "halving")
    interrupted = engine.list_models(ModelStatus.Interrupted)
    assert len(interrupted) == sum(result.state == "pruned" for result in engine.results) > 0
    assert all(model.metric is None for model in interrupted)
    scores = [result.score for result in engine.results]
    assert [individual.y for individual in search._population] == [s for s in scores if s is not None][-search.population_size :]


def test_an_evaluator_that_catches_exceptions_does_not_go_on() -> None:
    epochs = []

    def stubborn(model: nn.Module, *, lr: float, width: int) -> float:
        curve = curve_of(lr, width)
        for epoch, value in enumerate(curve):
            epochs.append(epoch)
            try:
                nni.report_intermediate_result(value)
            except Exception:
                pytest.fail("the end of a trial is no error")
        return curve[-1]

    results = explore("random", "halving", evaluate=stubborn)[0].results
    assert len(epochs) == sum(len(result.curve) for result in results) < EPOCHS * TRIALS


def test_scores_that_are_not_finite_are_not_compared() -> None:
    pruning = Pruning(Median().build(4), epochs=4)
    for _ in range(5):
        pruning.replay([0.5, 0.6, 0.7, 0.8], "complete", 0.8)
    first = pruning.begin()
    assert not first.stops(math.nan)
    assert not first.stops(0.7)
    first.end("failed", None)
    assert pruning.begin().stops(0.4)


def test_the_last_epoch_is_not_judged() -> None:
    for epochs, judged in ((3, False), (4, True)):
        pruning = make_pruning(Halving(), epochs=epochs)
        assert pruning is not None
        pruning.replay([0.5, 0.6, 0.9, 0.9][:epochs], "complete", 0.9)
        trial = pruning.begin()
        assert [trial.stops(value) for value in (0.6, 0.7, 0.1)] == [False, False, judged]


@pytest.mark.parametrize("make_engine", [InProcessEngine, partial(ConcurrentEngine, lambda number, sample: pytest.fail("all is known"))])
def test_what_is_known_can_be_told_at_once(make_engine: Any) -> None:
    """Of a shared study, whose sampler never proposes its own trials again."""
    before, _ = explore("random", "none", trials=5)
    for at_once, counts in ((True, [5, 5]), (False, [0, 1])):
        pruning = make_pruning(Median(), epochs=EPOCHS)
        assert pruning is not None
        with make_engine(known=before.results, pruning=pruning, replays_at_once=at_once) as engine:
            seen = [len(pruning.study.trials)]
            model = before.list_models()[0]
            model.status = ModelStatus.Frozen
            engine.submit_models(model)
            engine.wait_models()
        assert [*seen, len(pruning.study.trials)] == counts


def test_the_last_epoch_of_a_short_trial_is_not_judged_either() -> None:
    """Where the number of epochs is searched, too."""
    pruning = make_pruning(Halving(), epochs=8)
    assert pruning is not None
    pruning.replay([0.5, 0.6, 0.9, 0.9], "complete", 0.9)
    assert [pruning.begin(epochs).stops(0.1) for epochs in (1, 2, None)] == [False, True, True]

    def poor(model: nn.Module, *, epochs: int) -> float:
        for _ in range(epochs):
            nni.report_intermediate_result(0.1)
        return 0.1

    space = SimplifiedModelSpace.from_model(TinySpace(), FunctionalEvaluator(poor, epochs=Categorical([1, 8], label="epochs")))
    engine = InProcessEngine(pruning=pruning)
    for epochs in (1, 8):
        engine.submit_models(space.freeze({"first": "a", "second": "b", "inputs": [0, 1], "epochs": epochs}))
    assert [(result.state, len(result.curve)) for result in engine.results] == [("complete", 1), ("pruned", 1)]


def test_median_lets_the_first_trials_and_the_first_epochs_pass() -> None:
    pruning = make_pruning(Median(), epochs=12)
    assert pruning is not None
    for trial in range(4):
        judged = pruning.begin()
        assert not any(judged.stops(1 / (trial + 1)) for _ in range(12))
        judged.end("complete", 1 / (trial + 1))
    judged = pruning.begin()
    assert [judged.stops(0.0) for _ in range(3)] == [False, False, True], "not before a quarter of the epochs"


def test_the_brackets_of_hyperband_do_not_depend_on_the_process() -> None:
    pruning = make_pruning(Hyperband(), epochs=EPOCHS)
    assert pruning is not None
    assert pruning.study.study_name == "trials", "Optuna deals trials to brackets by this name, by default a random one"
    assert isinstance(pruning.study.pruner, optuna.pruners.HyperbandPruner)


def test_repeated_samples_are_judged_once() -> None:
    pruning = make_pruning(Median(), epochs=EPOCHS)
    assert pruning is not None
    engine = InProcessEngine(pruning=pruning)
    numbers = {"lr": Categorical([0.01], label="lr"), "width": Categorical([16], label="width")}
    space = SimplifiedModelSpace.from_model(TinySpace(), FunctionalEvaluator(score, **numbers))
    for _ in range(3):
        engine.submit_models(space.freeze({"first": "a", "second": "b", "inputs": [0, 1], "lr": 0.01, "width": 16}))
    assert len(pruning.study.trials) == len(engine.results) == 1


def test_the_outcome_counts_pruned_trials_and_fails_without_a_complete_one() -> None:
    def fails_late(model: nn.Module, *, lr: float, width: int) -> float:
        for value in curve_of(lr, width):
            nni.report_intermediate_result(value)
        raise RuntimeError("out of luck")

    engine, _ = explore("random", "halving")
    pruned = sum(result.state == "pruned" for result in engine.results)
    assert list(summarize_search(engine, Halving())) == [f"{pruned} of 30 trials were pruned by halving"]
    assert list(summarize_search(engine, None)) == []
    engine, _ = explore("random", "halving", evaluate=fails_late)
    with pytest.raises(SearchFailed, match=r"no trial was completed: \d+ failed, \d+ pruned; the first failure: RuntimeError: out of luck"):
        list(summarize_search(engine, Halving()))
