"""How good a network of the zoo the multi-trial strategies find per second, on the table of real trainings in ``benchmarks/tables``.

    python benchmarks/zoo_quality.py            # 100 seeds (20 of the Gaussian processes), three data sets; nothing is trained
    python benchmarks/zoo_quality.py --quick    # 5 seeds, digits, 64 s, less than 50 s; the last line is one JSON object

A strategy searches the zoo as the program has it: backbone, stem, width, depth and hyperparameters. A sample stands for the nearest row of
the table: of the same backbone if there is one, then of the nearest optimizer, stem, size and learning rate. What counts is the best
validation accuracy so far, in seconds of the table; these choose and judge alike, as the trainings never saw a test set.

- ``whole``: every trial is trained to its end. A configuration of which no epoch fits into the seconds of a training costs all of them.
- ``halving``: trials wait and the best third goes on, by the engine that the program has for a time budget. A configuration of which
  no three epochs fit is turned down before it begins, which costs nothing.
- ``priors``: that, after the portfolio that ``benchmarks/zoo_priors.py`` makes of the other two data sets, and with its learning rates.
  These were compared on CIFAR-10: a search there has those in common use (and two of convnet32 that were measured on CIFAR-10 before).

The regret is the best accuracy of the data set's rows less the best found. The full run keeps every search in ``--runs`` and, begun again,
goes on from there, unless the table or the code of the strategies has changed.
"""

# ruff: noqa: E402 (a script of the checkout, which need not be installed: the imports follow the path)
from __future__ import annotations

import argparse
import hashlib
import itertools
import json
import math
import statistics
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
from common.libraries import quiet_libraries

quiet_libraries()

from nni.mutable import Categorical, LabeledMutable
from nni.nas.space import SimplifiedModelSpace

from benchmarks.arguments import count
from benchmarks.zoo_near import NearestRows
from benchmarks.zoo_plan import ARCHITECTURE, OTHERS, RATES
from benchmarks.zoo_priors import choose_networks, choose_portfolio
from benchmarks.zoo_table import GUESSING, RATES_TABLE, TABLE, Training, read_table
from common.errors import TrainingDiverged
from common.files import read_json
from common.trial import Sample
from nni_compat.trial_program import TrialProgram
from records.lines import append_document, read_lines
from retiarius.pacing import ABOUT_SO_MANY, FEWEST_EPOCHS, SHARES
from spaces.ordered_choices import with_order
from spaces.zoo.hyperparameters import FiniteNumerical
from spaces.zoo.networks import BATCH, NETWORKS, POWERS
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
WAYS = ("whole", "halving", "priors")
BUDGETS = (64, 160)  # seconds; a training has 8, and the program makes it an eighth of a budget
LOWEST_RATE, HIGHEST_RATE = 1e-5, 1.0
Usual = Callable[[Mapping[str, Any]], Mapping[str, float]]


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


class Clock:
    """The time of the table."""

    def __init__(self) -> None:
        self.now = 0.0


class Legs:
    """Trains a sample from one epoch to another by the table: a ``common.trial.RunTrial`` of ``PacedEngine``."""

    def __init__(self, rows: NearestRows, clock: Clock) -> None:
        self._rows, self._clock = rows, clock

    def __call__(self, sample: Sample, report: Callable[[float], Any], note: Callable[[dict[str, Any]], Any]) -> float:
        row = self._rows.nearest(sample)
        before = row.curve[sample["since"] - 1][0] if sample["since"] else 0.0
        for seconds, accuracy in row.curve[sample["since"] : sample["until"]]:
            self._clock.now += seconds - before
            before = seconds
            report(accuracy)
        if len(row.curve) < sample["until"]:
            raise TrainingDiverged("the training diverged in the table")
        return row.curve[sample["until"] - 1][1]

    def length(self, sample: Sample) -> Length:
        """Return how long a training is."""
        row = self._rows.nearest(sample)
        return Length(row.epochs, row.epoch_seconds)


class Simulation:
    """The searches on one data set.

    Parameters
    ----------
    rows
        Its trainings.
    others
        Those on other data sets, of which priors are made.
    """

    def __init__(self, rows: Sequence[Training], others: Sequence[Training]) -> None:
        self._mutables = search_mutables()
        self._rows, self._limit = NearestRows(rows, list(self._mutables)), rows[0].limit
        rates = [one for one in read_table(RATES_TABLE) if one.data != rows[0].data]
        self._usual = usual_rates(choose_networks(rates, read_json(NETWORKS)))
        self._portfolio = [{label: one[label] for label in self._mutables} for one in choose_portfolio(others)]
        self.best = max(row.end[0] for row in rows)

    def search(self, name: str, way: str, seed: int, budget: float) -> float:
        """Return the best validation accuracy that a search of so many seconds has seen; that of guessing where it ended no epoch."""
        clock, best = Clock(), GUESSING

        def note(trial: Any) -> None:
            nonlocal best
            best = max(best, trial.score or 0.0)

        space = SimplifiedModelSpace(TrialProgram(), self._mutables, None)
        starts, usual = (self._portfolio, self._usual) if way == "priors" else ([], None)
        with tempfile.TemporaryDirectory() as folder, self._engine(way, budget, clock, note, Path(folder)) as engine:
            list(submit_first_trials({str(place): start for place, start in enumerate(starts)}, space, engine))
            trials = max(1, int(budget / self._limit)) * (1 if way == "whole" else ABOUT_SO_MANY // SHARES)
            KNOWN[name]().build(SearchContext(seed=seed, trials=trials, canonical=self._rows.canonical, usual=usual))(space, engine)
            engine.finish()
        return best

    def _engine(self, way: str, budget: float, clock: Clock, note: Callable[[Any], None], folder: Path) -> InProcessEngine:
        options: dict[str, Any] = {"canonical": self._rows.canonical, "on_result": note}
        if way == "whole":
            return TableEngine(look_up=lambda sample: [self._rows.nearest(sample).end], simulated_seconds=budget, **options)
        legs = Legs(self._rows, clock)
        timed = {"share": self._limit, "time_budget": budget, "clock": lambda: clock.now}
        return PacedEngine(legs, length=legs.length, checkpoints=folder, reject=self._reject, **timed, **options)

    def _reject(self, sample: Sample) -> Rejection | None:
        """Return why a configuration is turned down, as the program does it: too few epochs fit."""
        excess = math.log(FEWEST_EPOCHS * self._rows.nearest(sample).epoch_seconds / self._limit)
        return Rejection(excess, f"{FEWEST_EPOCHS} epochs do not fit", fault="too slow") if excess > 0 else None


def usual_rates(document: Mapping[str, Any]) -> Usual:
    """Return what tells the learning rates of a document of ``networks.json``."""

    def usual(sample: Mapping[str, Any]) -> dict[str, float]:
        optimizer = sample["optimizer"]
        rate = document["networks"][sample["backbone"]]["optimizers"][optimizer]["initial_lr"]
        return {"initial_lr": rate * (sample["batch_size"] / BATCH) ** POWERS[optimizer]}

    return usual


def simulations(trainings: Sequence[Training]) -> dict[str, Simulation]:
    """Return one for each data set."""
    names = sorted({one.data for one in trainings})
    return {
        name: Simulation([one for one in trainings if one.data == name], [one for one in trainings if one.data != name]) for name in names
    }


def summarise(regrets: Sequence[float]) -> dict[str, Any]:
    """Return mean, standard deviation over seeds and their number."""
    spread = statistics.stdev(regrets) if len(regrets) > 1 else 0.0
    return {"mean": round(statistics.mean(regrets), 2), "std": round(spread, 2), "seeds": len(regrets)}


def digest() -> str:
    """Return what changes with the table, and with every file that searches."""
    files = [TABLE, RATES_TABLE, *sorted((ROOT / "benchmarks").glob("zoo_*.py")), *sorted((ROOT / "strategies").rglob("*.py"))]
    return hashlib.sha256(b"\0".join(file.read_bytes() for file in files)).hexdigest()[:12]


def run_all(
    simulated: Mapping[str, Simulation], path: Path, seeds: Callable[[str], int], names: Sequence[str], budgets: Sequence[int]
) -> dict[str, Any]:
    """Search, print a line for each data set, strategy and way, and return the regrets; finished searches are kept in ``path``."""
    done, summary, code = read_searches(path), dict[str, Any](), digest()
    path.parent.mkdir(parents=True, exist_ok=True)
    for (data, simulation), name, way in itertools.product(simulated.items(), names, WAYS):
        told = {}
        for budget in budgets:  # a search of its own each, as strategies size their parts by it
            regrets = []
            for seed in range(seeds(name)):
                key = (data, name, way, seed, budget)
                if key not in done:
                    done[key] = 100 * (simulation.best - simulation.search(name, way, seed, budget))
                    append_document(path, {"code": code, "search": key, "regret": done[key]})
                regrets.append(done[key])
            told[f"after_{budget}_s"] = summarise(regrets)
        summary.setdefault(data, {"best": simulation.best})[f"{name}, {way}"] = told
        words = "  ".join(f"{budget} s: {one['mean']:5.2f} ± {one['std']:.2f}" for budget, one in zip(budgets, told.values(), strict=True))
        print(f"{data:8} {name:10} {way:8} {words}", flush=True)
    return summary


def read_searches(path: Path) -> dict[tuple[Any, ...], float]:
    """Return the regrets of the searches that are finished, by the code as it is now; half a line at the end is none."""
    code = digest()
    return {tuple(line["search"]): line["regret"] for line in read_lines(path) if line["code"] == code}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="5 seeds, digits, 64 s, two strategies, less than 50 s")
    parser.add_argument("--seeds", type=count, help="default: 100, with --quick 5")
    parser.add_argument("--gp-seeds", type=count, default=20, help="seeds of the Gaussian processes, gp and bo (default: 20)")
    parser.add_argument("--only", nargs="+", choices=STRATEGIES, default=STRATEGIES, metavar="NAME", help="these strategies")
    parser.add_argument("--budgets", type=count, nargs="+", default=BUDGETS, metavar="SECONDS", help=f"default: {BUDGETS}")
    parser.add_argument("--runs", type=Path, default=ROOT / "runs" / "zoo_quality.jsonl", help="finished searches of the full run")
    arguments = parser.parse_args()
    simulated = simulations(read_table())
    if arguments.quick:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "searches.jsonl"
            print(json.dumps(run_all({"digits": simulated["digits"]}, path, lambda _: arguments.seeds or 5, QUICK, BUDGETS[:1])))
        return
    seeds = dict.fromkeys(STRATEGIES, arguments.seeds or 100) | dict.fromkeys(PROCESSES, arguments.gp_seeds)
    print(json.dumps(run_all(simulated, arguments.runs, seeds.__getitem__, arguments.only, arguments.budgets)))


if __name__ == "__main__":
    main()
