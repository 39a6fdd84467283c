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

from strategies import STRATEGIES, strategy_entry
from strategies.engines.in_process import InProcessEngine
from strategies.engines.recording import TrialResult

MULTI_TRIAL = [name for name, entry in STRATEGIES.items() if not entry.one_shot]

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


def explore(name: str, *, seed: int = 0, trials: int = 12, evaluate: Any = score) -> list[TrialResult]:
    numbers = {"lr": Numerical(1e-4, 1.0, log_distributed=True, label="lr"), "width": Categorical([4, 8, 16], label="width")}
    space = SimplifiedModelSpace.from_model(TinySpace(), FunctionalEvaluator(evaluate, **numbers))
    engine = InProcessEngine(max_trials=trials, seed=seed)
    strategy_entry(name).load()(seed=seed, trials=trials)(space, engine)
    return engine.results
