"""How good a network of the zoo the multi-trial strategies find per second, on the table of real trainings in ``benchmarks/tables``.

    python benchmarks/zoo_quality.py            # 100 seeds (20 of the Gaussian processes), three data sets; nothing is trained
    python benchmarks/zoo_quality.py --quick    # 5 seeds, digits, less than 50 s; the last line is one JSON object

A strategy searches the zoo as the program has it: backbone, stem, width, depth and hyperparameters. A sample stands for the nearest row of
the table: of the same backbone if there is one, then of the nearest optimizer, stem, size and learning rate. What counts is the best
validation accuracy so far, in seconds of the table; these choose and judge alike, as the trainings never saw a test set.

- ``whole``: every trial is trained to its end. A configuration of which no epoch fits into the seconds of a training costs all of them.
- ``halving``: trials wait and the best third goes on, by the engine that the program has for a time budget. It turns such a configuration
  down before it begins, and strategies hear of the usual learning rates (``ZooSpace.usual``, measured in part on these very rows).
- ``halving, portfolio``: before that, the configurations that ``benchmarks/zoo_priors.py`` chooses on the other two data sets.

The regret is the best accuracy of the data set's rows less the best found, in points.
"""

# ruff: noqa: E402 (a script of the checkout, which need not be installed: the imports follow the path)
from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
from common.libraries import quiet_libraries

quiet_libraries()

from nni.mutable import Categorical, LabeledMutable
from nni.nas.evaluator import FunctionalEvaluator
from nni.nas.space import SimplifiedModelSpace

from benchmarks.arguments import count
from benchmarks.zoo_near import NearestRows
from benchmarks.zoo_plan import ARCHITECTURE, OTHERS, RATES
from benchmarks.zoo_priors import choose_portfolio
from benchmarks.zoo_table import Training, read_table
from common.trial import Sample
from spaces.ordered_choices import with_order
from spaces.zoo.hyperparameters import FiniteNumerical
from spaces.zoo.networks import usual_values
from spaces.zoo.vocabulary import DEFAULT, LEGAL
from strategies import STRATEGIES as KNOWN
from strategies import SearchContext
from strategies.engines.in_process import InProcessEngine
from strategies.engines.paced import PacedEngine
from strategies.engines.recording import Rejection
from strategies.engines.table import TableEngine
from strategies.first_trials import submit_first_trials
from strategies.rungs import Length

STRATEGIES = ("random", "evolution", "local", "tpe", "gp", "bo")
QUICK = ("random", "tpe")
PROCESSES = ("gp", "bo")
WAYS = ("whole", "halving", "halving, portfolio")
BUDGETS = (40, 80, 160)  # seconds, of which a whole training has 8
LOWEST_RATE, HIGHEST_RATE = 1e-5, 1.0
Path_ = list[tuple[float, float]]


def search_mutables() -> dict[str, LabeledMutable]:
    """Return what is searched, by label: the zoo, and those of its hyperparameters that differ between the rows."""
    choices = {label: LEGAL[label] for label in ARCHITECTURE} | {"optimizer": tuple(RATES)}
    choices |= {label: values for label, values in OTHERS.items() if label != "flip"}  # which the zoo's searches leave alone
    first = {**DEFAULT, "optimizer": "sgd", "batch_size": 128}
    mutables: dict[str, LabeledMutable] = {
        label: Categorical(list(values), default=first.get(label, values[0]), label=label) for label, values in choices.items()
    }
    mutables["initial_lr"] = FiniteNumerical(LOWEST_RATE, HIGHEST_RATE, log_distributed=True, default=0.1, label="initial_lr")
    return with_order(mutables)


class Simulation:
    """The searches on one data set.

    Parameters
    ----------
    rows
        Its trainings.
    portfolio
        Samples to begin with, best first.
    """

    def __init__(self, rows: Sequence[Training], portfolio: Sequence[Sample]) -> None:
        self.mutables = search_mutables()
        self.rows, self.portfolio = NearestRows(rows, list(self.mutables)), portfolio
        self.limit = rows[0].limit
        self.best = max(row.end[0] for row in rows)

    def search(self, name: str, way: str, seed: int, budget: float) -> Path_:
        """Return (seconds, best accuracy) of each new best of a search."""
        clock = Clock()
        path: Path_ = []

        def note(trial: Any) -> None:
            if trial.score is not None and (not path or trial.score > path[-1][1]):
                path.append((clock.now, trial.score))

        space = SimplifiedModelSpace.from_model(Explored(self.mutables), FunctionalEvaluator(_never_called))
        with tempfile.TemporaryDirectory() as folder:
            engine = self._engine(way, budget, clock, note, Path(folder))
            if way.endswith("portfolio"):
                named = {str(place): sample for place, sample in enumerate(self.portfolio)}
                list(submit_first_trials(named, space, engine))
            told: dict[str, Any] = {"canonical": self.rows.canonical, "trials": int(budget / self.limit) * (1 if way == "whole" else 3)}
            KNOWN[name]().build(SearchContext(seed=seed, usual=None if way == "whole" else usual_values, **told))(space, engine)
            if isinstance(engine, PacedEngine):
                engine.finish()
        return path
