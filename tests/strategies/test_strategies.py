"""The contract of every multi-trial strategy in ``STRATEGIES``, on a space that holds every kind of NNI mutable."""

from __future__ import annotations

import json
import math
from functools import cache
from typing import Any

import pytest
from nni.mutable import Categorical, CategoricalMultiple, Mutable, Numerical
from nni.nas.evaluator import FunctionalEvaluator
from nni.nas.space import SimplifiedModelSpace
from program import run_code
from small_spaces import LAYERS, MULTI_TRIAL, TinySpace, built, explore, score
from torch import nn

from common.errors import StrategyError
from spaces import SPACES
from spaces.choices import canonical_within, restrict
from strategies import STRATEGIES, check_pair, make_strategy, search_summary
from strategies.engines import recording
from strategies.engines.in_process import InProcessEngine
from strategies.optuna.encoders import make_encoder
from strategies.search_summary import summarize_search


@pytest.mark.parametrize("name", MULTI_TRIAL)
def test_runs_the_number_of_trials_asked_for_and_none_twice(name: str) -> None:
    results = explore(name)
    assert [result.number for result in results] == list(range(12))
    assert len({json.dumps(result.sample, sort_keys=True) for result in results}) == 12
    for result in results:
        assert result.state == "complete"
        assert result.score is not None
        assert result.curve == [result.score / 2]
        assert result.sample["first"] in LAYERS
        assert len(result.sample["inputs"]) == 2
        assert type(result.sample["lr"]) is float, "plain data, no numpy"


@pytest.mark.parametrize("name", MULTI_TRIAL)
def test_what_a_network_does_not_read_may_be_fixed(name: str) -> None:
    """Of all samples that mean the same, the one that stands for them is one that the search holds."""
    space = SimplifiedModelSpace.from_model(TinySpace(), FunctionalEvaluator(lambda model: 0.5))
    space = SimplifiedModelSpace(space.model, restrict(space.simplify(), {"second": "c"}, {}), space.evaluator)

    def canonical(sample: dict[str, Any]) -> dict[str, Any]:
        return {**sample, "second": "a"} if sample["first"] == "b" else sample

    engine = InProcessEngine(max_trials=12, canonical=canonical_within(space.simplify(), canonical))
    engine.submit_models(space.freeze({"first": "b", "second": "c", "inputs": [0, 1]}))
    built(name, seed=0, trials=12)(space, engine)
    assert len(engine.results) == 12
    assert {result.sample["second"] for result in engine.results} == {"c"}


@pytest.mark.parametrize("name", MULTI_TRIAL)
def test_same_seed_same_trials_other_seed_others(name: str) -> None:
    first, again, other = explore(name, seed=1), explore(name, seed=1), explore(name, seed=2)
    assert [result.sample for result in first] == [result.sample for result in again]
    assert [result.sample for result in first] != [result.sample for result in other]


@pytest.mark.parametrize("name", MULTI_TRIAL)
def test_a_search_that_runs_out_of_what_is_new_says_so(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (recording, search_summary):
        monkeypatch.setattr(module, "MAX_REPEATS", 30)

    def canonical(sample: dict[str, Any]) -> dict[str, Any]:
        return {"first": sample["first"], "second": "a", "inputs": [0, 1]}

    space = SimplifiedModelSpace.from_model(TinySpace(), FunctionalEvaluator(lambda model: 0.5))
    engine = InProcessEngine(max_trials=12, canonical=canonical)
    built(name, seed=0, trials=12)(space, engine)
    (line,) = summarize_search(engine, None)
    assert len(engine.results) <= 3 and line.startswith("the search ended "), line


@cache
def explored_elsewhere() -> dict[str, list[dict[str, Any]]]:
    """The samples that each strategy explores in a new process."""
    program = """
import json
from small_spaces import MULTI_TRIAL, explore
print(json.dumps({name: [result.sample for result in explore(name, trials=6)] for name in MULTI_TRIAL}))
"""
    return json.loads(run_code(program).splitlines()[-1])


@pytest.mark.slow
@pytest.mark.parametrize("name", MULTI_TRIAL)
def test_same_seed_same_trials_in_a_fresh_process(name: str) -> None:
    # The last digits of products, from which the Gaussian processes draw, depend on where memory happens to lie.
    here = [{k: pytest.approx(v, rel=1e-9) if isinstance(v, float) else v for k, v in r.sample.items()} for r in explore(name, trials=6)]
    assert explored_elsewhere()[name] == here


def fails_on_a(model: nn.Module, *, lr: float, width: int) -> float:
    if width == 4:
        raise RuntimeError("width 4 does not fit\nsecond line")
    return math.nan if width == 8 else lr


@pytest.mark.parametrize("name", MULTI_TRIAL)
def test_failing_and_nan_trials_are_recorded_and_the_search_goes_on(name: str) -> None:
    results = explore(name, trials=15, evaluate=fails_on_a)
    assert len(results) == 15
    for result in results:
        width = result.sample["width"]
        assert (result.state, result.score is None) == (("complete", False) if width == 16 else ("failed", True))
        expected = {4: "RuntimeError: width 4 does not fit", 8: "ValueError: the evaluator's score is nan", 16: None}
        assert result.error == expected[width]
    assert {result.state for result in results} == {"complete", "failed"}


@pytest.mark.parametrize("name", MULTI_TRIAL)
def test_a_resumed_search_answers_from_the_record_and_ends_with_the_same_trials(name: str) -> None:
    whole, calls = explore(name, trials=10), []

    def counted(model: nn.Module, *, lr: float, width: int) -> float:
        calls.append(lr)
        return score(model, lr=lr, width=width)

    numbers = {"lr": Numerical(1e-4, 1.0, log_distributed=True, label="lr"), "width": Categorical([4, 8, 16], label="width")}
    space = SimplifiedModelSpace.from_model(TinySpace(), FunctionalEvaluator(counted, **numbers))
    engine = InProcessEngine(max_trials=10, known=whole[:6])
    built(name, seed=0, trials=10)(space, engine)
    assert [result.sample for result in engine.results] == [result.sample for result in whole]
    assert len(calls) == 4


@pytest.mark.slow
def test_tpe_maximises_and_beats_random() -> None:
    best = {name: sum(max(r.score or 0 for r in explore(name, seed=s, trials=40)) for s in range(5)) / 5 for name in ("tpe", "random")}
    assert best["tpe"] > 1.13, "the optimum is 1.16"
    assert best["tpe"] > best["random"]


@pytest.mark.parametrize(
    "mutable",
    [
        Categorical(["x", 3, 2.5], label="m"),
        Categorical([[1, 2], [3]], label="m"),
        CategoricalMultiple([0, 1, 2, 3], n_chosen=2, label="m"),
        CategoricalMultiple(list(range(30)), n_chosen=5, label="m"),
        CategoricalMultiple(["p", "q", "r"], label="m"),
        Numerical(0.5, 2.0, label="m"),
        Numerical(1e-5, 1e-1, log_distributed=True, label="m"),
        Numerical(0.0, 10.0, quantize=2.0, label="m"),
        Numerical(mu=0.0, sigma=1.0, label="m"),
        Numerical(mu=0.0, sigma=1.0, log_distributed=True, label="m"),
    ],
    ids=repr,
)
def test_every_kind_of_mutable_is_sampled_legally_and_understood_both_ways(mutable: Mutable) -> None:
    import optuna

    encoder = make_encoder("m", mutable)
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=0, n_startup_trials=5))
    for _ in range(12):
        trial = study.ask(encoder.distributions)
        value = encoder.decode(trial.params)
        assert mutable.contains({"m": value})
        again = encoder.decode(encoder.encode(value))
        assert again == pytest.approx(value, rel=1e-3, abs=1e-5) if isinstance(value, float) else again == value
        study.tell(trial, float(len(str(value))))


def test_unknown_kinds_of_mutables_are_refused() -> None:
    with pytest.raises(StrategyError, match="m: this strategy cannot search a Mutable"):
        make_encoder("m", Mutable())


def test_pairs_that_do_not_fit_are_refused_with_those_that_do() -> None:
    offers = {name: entry.offers for name, entry in SPACES.items()}
    with pytest.raises(
        StrategyError, match=r"strategy 'darts' does not fit space 'zoo': it fits darts, nasbench201; 'zoo' can be searched by random, "
    ):
        check_pair(make_strategy("darts"), "zoo", offers)
    for strategy, kind in STRATEGIES.items():
        fitting = [space for space in SPACES if kind.needs <= offers[space]]
        assert fitting, f"{strategy} fits no space"
        for space in fitting:
            check_pair(make_strategy(strategy), space, offers)


def test_unknown_strategies_name_the_known_ones() -> None:
    with pytest.raises(StrategyError, match=r"unknown strategy 'tpee' \(did you mean tpe\?\); known: darts, .*random, "):
        make_strategy("tpee")


@pytest.mark.slow
def test_bayesian_optimisation_beats_random() -> None:
    best = {name: sum(max(r.score or 0 for r in explore(name, seed=s, trials=40)) for s in range(3)) / 3 for name in ("bo", "random")}
    assert best["bo"] > 1.15, "the optimum is 1.16"
    assert best["bo"] > best["random"]
