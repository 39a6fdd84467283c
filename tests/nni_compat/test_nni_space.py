"""NNI's search spaces: every type as NNI defines it, what is refused and in which words, and that every strategy searches them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from nni import parameter_expressions
from nni.common.hpo_utils import validate_search_space
from nni.nas.space import SimplifiedModelSpace
from small_spaces import built

from common.errors import SpaceError
from common.trial import Trial, sample_key
from nni_compat.search_space import ARGUMENTS, parse_search_space
from nni_compat.trial_program import TrialProgram
from spaces.choices import count_configurations
from strategies import STRATEGIES
from strategies.engines.recording import RecordingEngine
from strategies.optuna.encoders import make_encoder

NUMBERS: dict[str, list[Any]] = {
    "randint": [2, 7],
    "uniform": [-1.0, 3],
    "quniform": [0.3, 2.4, 0.5],
    "loguniform": [1e-4, 0.1],
    "qloguniform": [1, 1000, 50],
    "normal": [1, 2],
    "qnormal": [0, 3, 0.5],
    "lognormal": [-1, 0.5],
    "qlognormal": [0, 1, 0.25],
}
ALL = {name: {"_type": name, "_value": values} for name, values in NUMBERS.items()}
NESTED = {
    "layer": {
        "_type": "choice",
        "_value": [
            {"_name": "empty"},
            {"_name": "conv", "kernel": {"_type": "choice", "_value": [3, 5]}, "rate": {"_type": "uniform", "_value": [0, 1]}},
        ],
    },
    "batch_size": {"_type": "choice", "_value": [64, 128]},
}


def one(kind: str, values: Any) -> Any:
    return parse_search_space({"p": {"_type": kind, "_value": values}}).mutables["p"]


def test_every_type_of_nni_is_known() -> None:
    assert set(ARGUMENTS) == {"choice", *NUMBERS}
    assert validate_search_space(ALL, raise_exception=True)


@pytest.mark.parametrize("kind", list(NUMBERS))
def test_numbers_are_distributed_as_in_nni(kind: str) -> None:
    mutable, draws = one(kind, NUMBERS[kind]), 4000
    state, other = np.random.RandomState(0), np.random.RandomState(1)
    ours = np.array([mutable.random(random_state=state) for _ in range(draws)])
    theirs = np.array([getattr(parameter_expressions, kind)(*NUMBERS[kind], other) for _ in range(draws)])
    if mutable.quantize is not None:
        common = sorted({*np.round(ours, 9), *np.round(theirs, 9)})
        shares = np.array([[np.mean(np.isclose(values, value)) for value in common] for values in (ours, theirs)])
        assert np.abs(shares[0] - shares[1]).max() < 0.04
    else:
        shares = np.array(
            [[np.mean(values <= cut) for cut in np.quantile(theirs, np.linspace(0.02, 0.98, 25))] for values in (ours, theirs)]
        )
        assert np.abs(shares[0] - shares[1]).max() < 0.045, "the statistic of Kolmogorov and Smirnov for p = 0.001"
    assert all(mutable.contains({"p": float(value) if kind != "randint" else int(value)}) for value in theirs[:200])


@pytest.mark.parametrize("kind", list(NUMBERS))
def test_optuna_and_the_grid_give_values_of_the_same_quantiles(kind: str) -> None:
    mutable = one(kind, NUMBERS[kind])
    encoder = make_encoder("p", mutable)
    (name,) = encoder.distributions
    distribution: Any = encoder.distributions[name]
    for share in (0.0, 0.1, 0.5, 0.9, 1.0):
        low, high = (math.log(distribution.low), math.log(distribution.high)) if distribution.log else (distribution.low, distribution.high)
        inner = low + share * (high - low)
        value = encoder.decode({name: math.exp(inner) if distribution.log else inner})
        assert mutable.contains({"p": value})
        assert isinstance(value, int) == (kind == "randint")
        if 0 < share < 1:
            assert value == pytest.approx(mutable.qclip(mutable.distribution.ppf(share)), rel=1e-4)
    assert list(mutable.grid(granularity=1)) == [pytest.approx(mutable.qclip(mutable.distribution.median()))]


def test_whole_numbers_end_before_upper_and_are_whole() -> None:
    mutable = one("randint", [2, 5])
    values = [mutable.random(random_state=np.random.RandomState(seed)) for seed in range(60)]
    assert {type(value) for value in values} == {int}
    assert set(values) == {2, 3, 4}
    assert count_configurations({"p": mutable}) == 3
    assert not mutable.contains({"p": 5})


def test_a_log_normal_number_may_round_to_0() -> None:
    mutable = one("qlognormal", [-3, 0.1, 1])
    assert mutable.random(random_state=np.random.RandomState(0)) == 0.0


def test_nan_is_in_no_range() -> None:
    assert not one("uniform", [0, 1]).contains({"p": math.nan})
    assert not one("normal", [0, 1]).contains({"p": math.inf})
    assert not one("uniform", [0, 1]).contains({"p": True})


def test_nested_choices_become_what_nni_gives_to_trials() -> None:
    space = parse_search_space(NESTED)
    assert list(space.mutables) == ["layer", "layer/conv/kernel", "layer/conv/rate", "batch_size"]
    sample = {"layer": "conv", "layer/conv/kernel": 5, "layer/conv/rate": 0.75, "batch_size": 64}
    assert space.parameters(sample) == {"layer": {"_name": "conv", "kernel": 5, "rate": 0.75}, "batch_size": 64}
    assert space.canonical(sample) == sample
    empty = space.canonical({**sample, "layer": "empty"})
    assert empty == {"layer": "empty", "layer/conv/kernel": 3, "layer/conv/rate": 0.5, "batch_size": 64}
    assert space.parameters(empty) == {"layer": {"_name": "empty"}, "batch_size": 64}


def test_a_choice_of_anything() -> None:
    values = ["a", 1, 2.5, None, [1, 2], {"x": 1}]
    assert list(one("choice", values).values) == values


def test_pins_leave_one_value() -> None:
    space = parse_search_space(NESTED).pin({"batch_size": 128})
    assert list(space.mutables["batch_size"].values) == [128]
    with pytest.raises(SpaceError, match="batch_size: 100 is not in the search space"):
        space.pin({"batch_size": 100})
    with pytest.raises(SpaceError, match="unknown label 'batch'; closest known: batch_size"):
        space.pin({"batch": 100})


@pytest.mark.parametrize("strategy", [name for name, entry in STRATEGIES.items() if not entry.one_shot and not entry.several_objectives])
def test_every_strategy_searches_every_type(strategy: str) -> None:
    class Engine(RecordingEngine):
        def _try(self, model: Any, sample: dict[str, Any]) -> None:
            key = sample_key(sample)
            if self._note_proposal(key):
                self._known[key] = Trial(len(self._known), sample, "complete", -abs(sample["uniform"] - 1))
            self._answer(model, self._known[key])

        def idle_worker_available(self) -> bool:
            return True

    space = parse_search_space({**ALL, **NESTED})
    engine = Engine(max_trials=12, canonical=space.canonical)
    built(strategy, seed=0, trials=12)(SimplifiedModelSpace(TrialProgram(), space.mutables, None), engine)
    assert len(engine.results) == 12
    for result in engine.results:
        assert set(result.sample) == set(space.mutables)
        assert all(mutable.contains(result.sample) for mutable in space.mutables.values())
        assert isinstance(result.sample["randint"], int)


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (
            {"grad_clip": {"_type": "loguniform", "_value": [0.0, 5.0]}},
            "grad_clip: loguniform [0.0, 5.0]: the logarithm of 0 is -infinity; write uniform [0, 5], "
            "or begin at a positive number: loguniform [0.005, 5]",
        ),
        ({"p": {"_type": "qloguniform", "_value": [-1, 5, 1]}}, "-1 has no logarithm; write quniform [-1, 5]"),
        ({"p": {"_type": "logunifrom", "_value": [1, 2]}}, "unknown type 'logunifrom' (did you mean loguniform?); known: choice, randint"),
        ({"p": {"_type": ["uniform"], "_value": [1, 2]}}, "unknown type ['uniform']"),
        ({"p": {"_type": "uniform", "_value": [1]}}, "uniform takes 2 numbers, [low, high], not 1"),
        ({"p": {"_type": "quniform", "_value": [1, 2]}}, "quniform takes 3 numbers, [low, high, q], not 2"),
        ({"p": {"_type": "uniform", "_value": [2, 1]}}, "low is 2, above high, 1; swap them"),
        ({"p": {"_type": "uniform", "_value": [2, 2]}}, "low and high are the same; for one value write choice [2]"),
        ({"p": {"_type": "uniform", "_value": ["0", 1]}}, "low is 0; expected a number"),
        ({"p": {"_type": "uniform", "_value": [True, 2]}}, "low is True; expected a number"),
        ({"p": {"_type": "uniform", "_value": [0, math.inf]}}, "high is inf; expected a number"),
        ({"p": {"_type": "uniform", "_value": [math.nan, 1]}}, "low is nan; expected a number"),
        ({"p": {"_type": "uniform", "_value": [0, 10**400]}}, "expected a number"),
        ({"p": {"_type": "uniform", "_value": {"low": 1}}}, "_value is {'low': 1}; expected a list"),
        ({"p": {"_type": "quniform", "_value": [0, 1, 0]}}, "q is 0; expected a number above 0, and not tiny in comparison with the range"),
        ({"p": {"_type": "quniform", "_value": [0, 1, 1e-300]}}, "expected a number above 0, and not tiny in comparison with the range"),
        ({"p": {"_type": "randint", "_value": [3, 3]}}, "upper must be above lower"),
        ({"p": {"_type": "randint", "_value": [0.5, 3]}}, "randint takes whole numbers"),
        ({"p": {"_type": "normal", "_value": [0, 0]}}, "sigma is 0; expected a number above 0"),
        ({"p": {"_type": "lognormal", "_value": [900, 1]}}, "mu and sigma are of the logarithm, and e to the power of 910"),
        ({"p": {"_type": "choice", "_value": []}}, "a choice needs at least one candidate"),
        ({"p": {"_type": "choice", "_value": [1, 2, 1]}}, "the candidate 1 appears twice (true equals 1, and false equals 0)"),
        ({"p": {"_type": "choice", "_value": [1, math.nan]}}, "the candidate nan is not a finite number"),
        ({"p": {"_type": "choice", "_value": list(range(5000))}}, "5,000 candidates, more than 1,000; use randint"),
        (
            {"p": {"_type": "choice", "_value": [{"_name": "a"}, 3]}},
            "in a nested choice, every candidate must be an object with a string _name",
        ),
        ({"p": {"_type": "choice", "_value": [{"_name": "a", "x": 3}]}}, "p/a/x: 3 is not of the form"),
        ({"p": {"_type": "uniform", "_value": [0, 1], "q": 2}}, "unknown key q; a parameter has _type and _value"),
        ({"p": [0, 1]}, "p: [0, 1] is not of the form"),
        ({3: {"_type": "uniform", "_value": [0, 1]}}, "3; expected a string"),
        ({}, "a search space is an object such as"),
        ([1], "a search space is an object such as"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(document: Any, message: str) -> None:
    with pytest.raises(SpaceError) as error:
        parse_search_space(document)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_choices_that_are_nested_too_deeply_are_refused() -> None:
    document: dict[str, Any] = {"p": {"_type": "uniform", "_value": [0, 1]}}
    for _ in range(200):
        document = {"p": {"_type": "choice", "_value": [{"_name": "a", **document}]}}
    with pytest.raises(SpaceError, match="choices are nested deeper than 10"):
        parse_search_space(document)
