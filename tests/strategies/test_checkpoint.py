"""Strategies that are restored from their state, as NNI's ``NasExperiment`` does it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from nni.nas.execution import SequentialExecutionEngine
from nni.nas.space import ModelStatus, SimplifiedModelSpace
from pairs import pairs
from small_spaces import MULTI_TRIAL, built

from common.trial import sample_key

LEARNING = [name for name in MULTI_TRIAL if name in ("local", "tpe", "gp", "bo", "nsga2", "hpo")]


def restored(name: str, state: Any, *, first: bool, engine: Any, space: SimplifiedModelSpace) -> None:
    """Run a strategy that takes over ``state`` before it is initialized, or after, as ``NasExperiment`` does."""
    strategy = built(name, seed=0, trials=24)
    if first:
        strategy.load_state_dict(state)
    strategy.initialize(space, engine)
    if not first:
        strategy.load_state_dict(state)
    strategy.run()


@pytest.mark.parametrize("first", [True, False], ids=["before", "after"])
@pytest.mark.parametrize("name", LEARNING)
def test_a_restored_strategy_tries_nothing_again_and_knows_the_scores(name: str, first: bool, tmp_path: Path) -> None:
    space = pairs(8)
    strategy, begun = built(name, seed=0, trials=24), SequentialExecutionEngine(max_model_count=20)
    strategy(space, begun)
    torch.save(strategy.state_dict(), tmp_path / "state.torch")  # NNI's way, and what PyTorch reads again: plain data
    state = torch.load(tmp_path / "state.torch")
    tried = [sample_key(model.sample) for model in begun.list_models()]
    assert len(set(tried)) == 20
    later = SequentialExecutionEngine(max_model_count=8)
    restored(name, state, first=first, engine=later, space=pairs(8))
    new = [model for model in later.list_models() if model.status == ModelStatus.Trained]
    assert len(new) == 8 and not {sample_key(model.sample) for model in new} & set(tried)
    numbers = [(a, b) for a in range(8) for b in range(8) if (a + b) % 2 == 1]
    untried = [a * 2 + b for a, b in numbers if sample_key({"a": a, "b": b}) not in tried]
    assert sum(model.metric for model in new) / 8 > sum(untried) / len(untried), "better than chance"


@pytest.mark.parametrize("name", LEARNING)
def test_a_strategy_restored_on_its_own_engine_learns_nothing_twice(name: str) -> None:
    engine = SequentialExecutionEngine(max_model_count=6)
    strategy = built(name, seed=0, trials=24)
    strategy(pairs(8), engine)
    engine.max_model_count = 10
    restored(name, strategy.state_dict(), first=True, engine=engine, space=pairs(8))
    assert len({sample_key(model.sample) for model in engine.list_models()}) == 10
