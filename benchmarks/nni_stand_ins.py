"""What takes the place of NNI's constructors in NNI's tests (``benchmarks/nni_tests.py``): the same arguments, an object of ours.

``NNI_TESTS_STRATEGY`` names the strategy. The text of a strategy (``repr``) is NNI's, as its tests compare it before all else.
"""

from __future__ import annotations

import itertools
import os
from typing import Any

from nni.nas import strategy as nnis

from strategies import SearchContext, make_strategy
from strategies.engines.in_process import InProcessEngine
from strategies.nni_search import Evolution

TRIALS = 30  # of NNI's tests
SEEDS = itertools.count()


def _ours(like: Any) -> Any:
    """Return the strategy that was asked for, which calls itself what NNI's is called."""
    built = make_strategy(os.environ["NNI_TESTS_STRATEGY"]).build(SearchContext(seed=next(SEEDS), trials=TRIALS))
    kind = type(type(built).__name__, (type(built),), {"__repr__": lambda _: repr(like)})
    built.__class__ = kind
    return built


def Random(**arguments: Any) -> Any:  # noqa: N802 - in the place of a class
    """NNI's arguments, a strategy of ours; it never tries a sample twice, whatever they say."""
    return nnis.Random(**arguments) if os.environ["NNI_TESTS_STRATEGY"] == "evolution" else _ours(nnis.Random(**arguments))


def RegularizedEvolution(**arguments: Any) -> Any:  # noqa: N802
    """NNI's arguments, a strategy of ours; evolution takes them."""
    if os.environ["NNI_TESTS_STRATEGY"] != "evolution":
        return _ours(nnis.RegularizedEvolution(**arguments))
    kind = type("RegularizedEvolution", (Evolution,), {})
    return kind(**arguments)


def TPE(**arguments: Any) -> Any:  # noqa: N802
    """NNI's arguments, a strategy of ours."""
    theirs = nnis.TPE(**arguments)
    built = _ours(theirs)
    built.tuner = theirs.tuner
    return built


class SequentialExecutionEngine(InProcessEngine):
    """Our engine, by NNI's arguments. It goes on where a trial fails, whatever they say."""

    def __init__(self, max_model_count: int | None = None, max_duration: float | None = None, continue_on_failure: bool = False) -> None:
        super().__init__(max_trials=max_model_count, time_budget=max_duration)

    @property
    def max_model_count(self) -> int | None:
        """The number of trials, which NNI's tests raise."""
        return self._max_trials

    @max_model_count.setter
    def max_model_count(self, count: int) -> None:
        self._max_trials = count
