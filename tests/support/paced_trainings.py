"""Trainings that move a clock on, and the engine of a search with a time budget that goes by it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from nni.mutable import Categorical
from nni.nas.evaluator import FunctionalEvaluator
from nni.nas.space import SimplifiedModelSpace
from small_spaces import TinySpace

from strategies.engines.paced import PacedEngine
from strategies.rungs import Length

NUMBERS = list(range(60))


class Trainings:
    """Trainings of 9 epochs of 1 second; that of ``n`` comes to n / 60, near which it is from the start."""

    def __init__(self, folder: Path) -> None:
        self.now = 0.0
        self.folder = folder
        self.legs: list[tuple[int, int, int]] = []
        self.begun_anew = 0

    def __call__(self, sample: Any, report: Any, note: Any) -> float:
        number, since, until, state = sample["n"], sample["since"], sample["until"], Path(sample["checkpoint"])
        self.legs.append((number, since, until))
        if since and int(state.read_text()) != since:
            self.begun_anew += 1
        score = math.nan
        for epoch in range(since + 1, until + 1):
            self.now += 1.0
            state.write_text(str(epoch))
            score = number / 60 - 0.1 / epoch
            report(score)
        return score

    def engine(self, budget: float, **options: Any) -> PacedEngine:
        options = {"length": lambda sample: Length(9, 1.0), "share": 9.0, **options}
        return PacedEngine(self, checkpoints=self.folder, time_budget=budget, clock=lambda: self.now, **options)


def space() -> SimplifiedModelSpace:
    evaluator = FunctionalEvaluator(lambda model, n: 0.0, n=Categorical(NUMBERS, label="n"))
    return SimplifiedModelSpace.from_model(TinySpace(), evaluator)


def submit(engine: PacedEngine, *numbers: int) -> list[Any]:
    models = [space().freeze({"first": "a", "second": "b", "inputs": [0, 1], "n": number}) for number in numbers]
    for model in models:
        assert engine.idle_worker_available()
        engine.submit_models(model)
    return models
