"""HOW GOOD a choice is: data, training, measurements.

An evaluator is a plain function: a frozen network and hyperparameters in, a score (a float, higher is better) out, and a call of
``report`` with the score of every epoch on the way. The same function serves trials, single configurations and notebooks. A table of
results takes a sample in place of a network.

To add one: write one function in one file, then one line in ``EVALUATORS``. The contract tests run over the dict.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common.errors import EvaluatorError


@dataclass(frozen=True)
class EvaluatorEntry:
    """One line of ``EVALUATORS``: where it is and what it does.

    One with ``looks_up`` answers samples from a file in place of networks: its target is a function that reads the file
    (``evaluators.table.load_table``).
    """

    target: str
    summary: str
    looks_up: bool = False

    def load(self) -> Callable[..., Any]:
        """The function; imports torch on first use."""
        module, name = self.target.split(":")
        return getattr(importlib.import_module(module), name)


EVALUATORS: dict[str, EvaluatorEntry] = {
    "train": EvaluatorEntry("evaluators.training.loop:train_and_validate", "trains the network, scores it on the validation split"),
    "table": EvaluatorEntry("evaluators.table:load_table", "looks up what a training gave, in the file --table", looks_up=True),
}


def evaluator_entry(name: str) -> EvaluatorEntry:
    """The entry called ``name``; raises ``EvaluatorError`` that names the known ones."""
    if name not in EVALUATORS:
        raise EvaluatorError(f"unknown evaluator {name!r}; known: {', '.join(EVALUATORS)}")
    return EVALUATORS[name]


def open_table(evaluator: str, path: Path | None, columns: Path | None, dataset: str) -> Any:
    """The table ``path`` that ``evaluator`` looks up; ``None`` where it trains networks.

    ``columns`` and ``dataset`` are as in ``evaluators.table.load_table``.

    Raises ``EvaluatorError`` where the evaluator is unknown, where it has no table or one that it has no use for, and as reading it does.
    """
    entry = evaluator_entry(evaluator)
    if entry.looks_up and path is None:
        raise EvaluatorError(f"--evaluator {evaluator} needs --table FILE")
    if not entry.looks_up and (path is not None or columns is not None):
        raise EvaluatorError("--table and --table-columns go with --evaluator table")
    return entry.load()(path, columns, dataset) if entry.looks_up else None
