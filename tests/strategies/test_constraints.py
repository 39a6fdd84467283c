"""Spaces with constraints of NNI's, and small ones that are used up: the contract of every strategy by trials."""

from __future__ import annotations

import json
from statistics import fmean

import pytest
from nni.mutable import Categorical, Numerical
from nni.nas.evaluator import FunctionalEvaluator
from nni.nas.hub.pytorch import NasBench101
from nni.nas.space import SimplifiedModelSpace
from pairs import pairs
from small_spaces import MULTI_TRIAL, TinySpace, built

from common.errors import SearchFailed
from common.trial import sample_key
from strategies.domain import Domain
from strategies.engines.in_process import InProcessEngine
from strategies.engines.recording import RecordingEngine
from strategies.search_summary import summarize_search

LEARNING = [name for name in MULTI_TRIAL if name in ("local", "tpe", "gp", "bo", "nsga2", "hpo")]


def search(name: str, space: SimplifiedModelSpace, trials: int, seed: int = 0) -> RecordingEngine:
    engine = InProcessEngine(max_trials=trials)
    built(name, seed=seed, trials=trials, costs=())(space, engine)
    return engine


@pytest.mark.parametrize("name", MULTI_TRIAL)
def test_a_strategy_tries_what_is_allowed_alone(name: str) -> None:
    engine = search(name, pairs(), 12)
    assert [trial.error for trial in engine.results] == [None] * 12
    assert all((trial.sample["a"] + trial.sample["b"]) % 2 == 1 and len(trial.sample) == 2 for trial in engine.results)


@pytest.mark.parametrize("name", LEARNING)
def test_the_search_ends_where_all_that_is_allowed_was_tried(name: str) -> None:
    engine = search(name, pairs(3), 20)
    assert sorted(tuple(trial.sample.values()) for trial in engine.results) == [(0, 1), (1, 0), (1, 2), (2, 1)]
    assert not engine.found_nothing_new, "and not by 200 repeats"


@pytest.mark.parametrize("name", LEARNING)
def test_one_pair_in_many_is_found(name: str) -> None:
    engine = search(name, pairs(40, sums=lambda total: total == 78), 5)
    assert [trial.sample for trial in engine.results] == [{"a": 39, "b": 39}]


@pytest.mark.parametrize("name", [*LEARNING, "random", "grid", "evolution"])
def test_where_nothing_is_allowed_the_search_ends_with_a_line(name: str) -> None:
    engine = search(name, pairs(3, sums=lambda total: total == 99), 5)
    with pytest.raises(SearchFailed, match="no trial was run: no sample meets the constraints of the space"):
        list(summarize_search(engine, None))


SIXTEENTH = {"size": 16, "sums": lambda total: total % 16 == 5}


def test_the_random_start_of_tpe_is_of_what_is_allowed() -> None:
    engine, strategy = InProcessEngine(max_trials=16), built("tpe", seed=0, trials=40)
    strategy(pairs(**SIXTEENTH), engine)
    counted = [trial for trial in strategy.study.trials if trial.state.name in ("COMPLETE", "PRUNED")]  # by TPE, towards its start of 10
    assert len(counted) == 16 and not any(trial.constraints for trial in counted)


@pytest.mark.slow
def test_tpe_learns_where_a_sixteenth_is_allowed() -> None:
    def near(sample: dict[str, int]) -> float:
        return -float(sum((sample[label] - best) ** 2 for label, best in zip("abcd", (3, 5, 2, 5), strict=True)))

    means = {}
    for name in ("tpe", "random"):  # 3,876 of 65,536 sums are allowed
        engines = []
        for seed in range(10):
            engines.append(InProcessEngine(lambda sample, report, note: near(sample), max_trials=40))
            built(name, seed=seed, trials=40)(pairs(16, labels="abcd", sums=lambda total: total <= 15), engines[-1])
        means[name] = fmean(max(trial.score or 0 for trial in engine.results) for engine in engines)
    assert means["tpe"] > means["random"] + 2


@pytest.mark.slow
@pytest.mark.parametrize("name", LEARNING)
def test_a_cell_of_nasbench101_is_searched(name: str) -> None:
    space = SimplifiedModelSpace.from_model(
        NasBench101(stem_out_channels=8, num_stacks=1, num_modules_per_stack=1), FunctionalEvaluator(lambda network: 1.0)
    )
    engine = search(name, space, 6)
    assert [(trial.state, len(trial.sample)) for trial in engine.results] == [("complete", 12)] * 6
    assert all(json.loads(sample_key(trial.sample)) == trial.sample for trial in engine.results)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["tpe", "gp", "bo", "nsga2"])
def test_a_finite_space_of_numbers_is_tried_once(name: str) -> None:
    mutables = {"a": Numerical(0, 1, quantize=0.25, label="a"), "b": Categorical([1, 2], label="b")}
    engine = InProcessEngine(lambda sample, report, note: sample["a"])
    built(name, trials=20)(SimplifiedModelSpace(TinySpace(), mutables, None), engine)
    assert len(engine.results) == 10
    assert len(engine.list_models()) == 10, "no repeats"


def test_the_domain_of_a_space() -> None:
    domain = Domain(pairs(3))
    assert (domain.is_constrained, domain.count, list(domain.mutables)) == (True, 9, ["a", "b"])
    assert domain.allows({"a": 0, "b": 1}) and not domain.allows({"a": 1, "b": 1})
    free = Domain(SimplifiedModelSpace(TinySpace(), {"n": Numerical(0, 1, label="n")}, None))
    assert not free.is_constrained and free.count == float("inf")
