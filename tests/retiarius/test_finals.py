"""Trials that are trained once more: none twice, as long as they are of the same networks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from common.reporter import Reporter
from common.trial import Trial
from retiarius.finals import train_each


def test_a_final_of_an_interrupted_run_counts_for_the_network_that_it_was_of(tmp_path: Path) -> None:
    trained: list[dict[str, Any]] = []

    def run(trial: Trial, epochs: int, *heard: Any) -> float:
        trained.append(trial.architecture)
        return float(len(trained))

    def finals_of(*operations: str) -> list[tuple[str, float | None]]:
        chosen = [
            Trial(number, {"edge": operation}, "pruned", architecture_labels=frozenset({"edge"}))
            for number, operation in enumerate(operations)
        ]
        return [(trial.sample["edge"], trial.score) for trial in train_each(run, chosen, tmp_path, lambda *_: 1, Reporter())]

    assert finals_of("a", "b") == [("a", 1), ("b", 2)]
    assert finals_of("a", "b") == [("a", 1), ("b", 2)] and len(trained) == 2, "nothing is trained twice"
    # The supernet was trained on, and others are its best.
    assert finals_of("c", "b") == [("c", 3), ("b", 2)] and len(trained) == 3
    assert finals_of("c", "b") == [("c", 3), ("b", 2)] and len(trained) == 3
