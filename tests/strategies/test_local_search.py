"""Local search: neighbours of every kind of mutable, and the way up."""

from __future__ import annotations

from typing import Any

import pytest
from nni.mutable import Categorical, CategoricalMultiple, Mutable, Numerical
from nni.nas.evaluator import FunctionalEvaluator
from nni.nas.space import SimplifiedModelSpace
from small_spaces import TinySpace

from common.errors import StrategyError
from common.trial import Trial
from strategies.engines.in_process import InProcessEngine
from strategies.local_search import LocalSearch, neighbour_values


@pytest.mark.parametrize(
    ("mutable", "value", "neighbours"),
    [
        (Categorical(["x", 3, 2.5], label="m"), 3, ["x", 2.5]),
        (CategoricalMultiple([0, 1, 2], n_chosen=2, label="m"), [0, 2], [[1, 2], [0, 1]]),
        (CategoricalMultiple(["p", "q"], label="m"), ["p"], [[], ["p", "q"]]),
        (Numerical(0, 1000, quantize=250, label="m"), 500, [250, 750]),
        (Numerical(0, 1000, quantize=250, label="m"), 0, [250]),
        (Numerical(0.0, 10.0, label="m"), 5.0, [4.0, 4.8, 5.2, 6.0]),
        (Numerical(1e-4, 1.0, log_distributed=True, label="m"), 1e-2, [10**-2.4, 10**-2.08, 10**-1.92, 10**-1.6]),
    ],
    ids=repr,
)
def test_neighbours_differ_in_one_step(mutable: Any, value: Any, neighbours: list[Any]) -> None:
    found = neighbour_values(mutable, value)
    assert found == (pytest.approx(neighbours) if isinstance(value, float) else neighbours)
    assert all(mutable.contains({"m": neighbour}) for neighbour in found)


def test_the_ends_of_a_range_have_neighbours_inside() -> None:
    number = Numerical(0.0, 10.0, label="m")
    for value in (0.0, 10.0):
        assert all(number.contains({"m": neighbour}) for neighbour in neighbour_values(number, value))


def test_unknown_kinds_and_no_starts_are_refused() -> None:
    mutable = Mutable()
    mutable.label = "m"
    with pytest.raises(StrategyError, match="m: this strategy cannot search a Mutable"):
        neighbour_values(mutable, 0)
    with pytest.raises(StrategyError, match="local search: starts is"):
        LocalSearch(starts=0)


class SumEngine(InProcessEngine):
    """Scores a sample by the sum of its numbers, without a network."""

    def _run(self, model: Any) -> None:
        score = float(sum(model.sample.values()))
        self._record(model, Trial(len(self._known), dict(model.sample), "complete", score))


def climb(*, starts: int, seed: int = 0, trials: int = 200) -> list[dict[str, Any]]:
    mutables = {f"n{index}": Categorical([0, 1, 2], label=f"n{index}") for index in range(4)}
    engine = SumEngine(max_trials=trials)
    LocalSearch(seed=seed, starts=starts)(SimplifiedModelSpace(TinySpace(), mutables, FunctionalEvaluator(print)), engine)
    return [result.sample for result in engine.results]


@pytest.mark.parametrize("seed", range(5))
def test_moves_to_the_first_better_neighbour(seed: int) -> None:
    samples = climb(starts=1, seed=seed)
    current = samples[0]
    for sample in samples[1:]:
        if sum(current.values()) == 8:
            return
        assert sum(sample[label] != current[label] for label in sample) == 1, "a neighbour of where it stands"
        if sum(sample.values()) > sum(current.values()):
            current = sample
    pytest.fail("the top was not reached")


def test_begins_at_the_best_of_its_starts_and_again_elsewhere_until_the_space_is_used_up() -> None:
    samples = climb(starts=5)
    best = max(samples[:5], key=lambda sample: sum(sample.values()))
    assert sum(samples[5][label] != best[label] for label in best) == 1
    assert len(samples) == 3**4
