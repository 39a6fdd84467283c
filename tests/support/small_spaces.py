"""A small space, a score that knows its best sample, and a search of it."""

from __future__ import annotations

import math
from typing import Any

import nni
from nni.mutable import Categorical, Numerical
from nni.nas.evaluator import FunctionalEvaluator
from nni.nas.nn.pytorch import InputChoice, LayerChoice, ModelSpace
from nni.nas.space import SimplifiedModelSpace
from torch import nn

from common.trial import Trial
from strategies import STRATEGIES, SearchContext, make_strategy
from strategies.engines.in_process import InProcessEngine

MULTI_TRIAL = [name for name, kind in STRATEGIES.items() if not kind.one_shot]

LAYERS = ("a", "b", "c")


class TinySpace(ModelSpace):
    """Two layer choices and a choice of two of four inputs: 3 * 3 * 6 networks."""

    def __init__(self) -> None:
        super().__init__()
        self.first = LayerChoice({name: nn.Identity() for name in LAYERS}, label="first")
        self.second = LayerChoice({name: nn.Identity() for name in LAYERS}, label="second")
        self.inputs = InputChoice(4, n_chosen=2, label="inputs")


def score(model: nn.Module, *, lr: float, width: int) -> float:
    """Highest for lr = 0.01 and the widest network; the report is what the evaluator tells on the way."""
    value = 1 - abs(math.log10(lr) + 2) / 4 + width / 100
    nni.report_intermediate_result(value / 2)
    return value


def built(name: str, **context: Any) -> Any:
    """The NNI strategy of this name in a search of which it is told this."""
    return make_strategy(name).build(SearchContext(**context))


def explore(name: str, *, seed: int = 0, trials: int = 12, evaluate: Any = score) -> list[Trial]:
    numbers = {"lr": Numerical(1e-4, 1.0, log_distributed=True, label="lr"), "width": Categorical([4, 8, 16], label="width")}
    space = SimplifiedModelSpace.from_model(TinySpace(), FunctionalEvaluator(evaluate, **numbers))
    engine = InProcessEngine(max_trials=trials, seed=seed)
    built(name, seed=seed, trials=trials)(space, engine)
    return engine.results
