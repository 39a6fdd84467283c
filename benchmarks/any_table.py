"""How good a row the strategies find in tables that this project has never seen, beside Optuna's TPE written in Optuna's own words.

    python benchmarks/any_table.py            # 20 seeds, full tables (a few minutes the first time)
    python benchmarks/any_table.py --quick    # 5 seeds, smaller tables, less than 50 s; the last line is one JSON object

The tables are made here by real training on data that comes with scikit-learn, once, and kept in ``--cache``:

- ``svm``: a support vector machine on digits; scaling, kernel, C, gamma. ``score`` is the validation accuracy, ``test_accuracy`` beside it.
- ``boosting``: gradient boosting on diabetes; five hyperparameters, the mean squared error of three splits, a column each. It is minimised.

Ours are searched as README has it: the table, NNI's search_space.json, a number of trials. Optuna's is ``TPESampler`` as it comes, with
``suggest_int`` where the values are a range (of powers, too) and ``suggest_categorical`` elsewhere. Both get the same number of trials;
what counts is the best score that a search has seen.
"""

# ruff: noqa: E402 (a script of the checkout, which need not be installed: the imports follow the path)
from __future__ import annotations

import argparse
import csv
import itertools
import json
import math
import statistics
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
from common.libraries import quiet_libraries

quiet_libraries()

import numpy as np
import optuna
from sklearn.datasets import load_diabetes, load_digits
from sklearn.ensemble import GradientBoostingRegressor
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, MinMaxScaler, StandardScaler
from sklearn.svm import SVC

import retiarius as rt
from benchmarks.arguments import count

OPTUNA, UNORDERED = "Optuna's TPE", "tpe without order"
QUICK = ("tpe", UNORDERED)
STRATEGIES = ("tpe", UNORDERED, "gp", "bo", "evolution", "random")
Suggest = Callable[[optuna.Trial], dict[str, Any]]
SCALERS = {"none": FunctionTransformer, "standard": StandardScaler, "minmax": MinMaxScaler}
BOOSTING = {
    "learning_rate": [0.01, 0.02, 0.05, 0.1, 0.2, 0.4],
    "max_depth": [1, 2, 3, 4],
    "min_samples_leaf": [1, 3, 10, 30],
    "subsample": [0.5, 1.0],
    "n_estimators": [20, 40, 60, 80, 100, 120, 140, 160],
}


@dataclass(frozen=True)
class Example:
    """One table, and how it is searched.

    Attributes
    ----------
    table, columns
        The file, and the file that says what its columns mean, or None.
    space
        NNI's search_space.json.
    suggest
        The same in Optuna's words.
    mode
        ``maximize`` or ``minimize``.
    scores
        By the values of a row, in the order of ``space``.
    """

    table: Path
    columns: Path | None
    space: dict[str, Any]
    suggest: Suggest
    mode: str
    scores: Mapping[tuple[str, ...], float]

    def score(self, parameters: Mapping[str, Any]) -> float:
        """Return what the table has for these parameters."""
        return self.scores[tuple(str(parameters[label]) for label in self.space)]


def choice(values: Sequence[Any]) -> dict[str, Any]:
    """Return one parameter of NNI's."""
    return {"_type": "choice", "_value": list(values)}


def make_svm(folder: Path, *, quick: bool) -> Example:
    """Train all support vector machines, unless the table is there."""
    powers = {"C": range(-5, 12, 2 if quick else 1), "gamma": range(-15, 4, 2 if quick else 1)}
    values: dict[str, list[Any]] = {"scaling": list(SCALERS), "kernel": ["rbf", "poly", "sigmoid"]}
    values |= {label: [2.0**power for power in span] for label, span in powers.items()}
    path = folder / f"svm{'-quick' * quick}.csv"
    if not path.exists():
        images, digits = load_digits(return_X_y=True)
        size = 250 if quick else 500
        train, rest, train_digits, rest_digits = train_test_split(images, digits, train_size=size, random_state=0, stratify=digits)
        parts = train_test_split(rest, rest_digits, train_size=500, test_size=500, random_state=0, stratify=rest_digits)
        write(
            path,
            [*values, "score", "test_accuracy"],
            (svm_row(row, train, train_digits, parts) for row in itertools.product(*values.values())),
        )

    def suggest(trial: optuna.Trial) -> dict[str, Any]:
        chosen: dict[str, Any] = {label: trial.suggest_categorical(label, values[label]) for label in ("scaling", "kernel")}
        exponents = {label: trial.suggest_int(f"log2_{label}", span[0], span[-1], step=span.step) for label, span in powers.items()}
        return chosen | {label: 2.0**power for label, power in exponents.items()}

    space = {label: choice(candidates) for label, candidates in values.items()}
    return Example(path, None, space, suggest, "maximize", read(path, list(values), ["score"]))


def svm_row(row: Sequence[Any], train: np.ndarray, train_digits: np.ndarray, parts: Sequence[np.ndarray]) -> list[Any]:
    scaling, kernel, regularisation, gamma = row
    validation, test, validation_digits, test_digits = parts
    machine = make_pipeline(SCALERS[scaling](), SVC(kernel=kernel, C=regularisation, gamma=gamma, max_iter=2_000))
    machine.fit(train, train_digits)
    return [*row, machine.score(validation, validation_digits), machine.score(test, test_digits)]


def make_boosting(folder: Path, *, quick: bool) -> Example:
    """Train all ensembles on three splits, unless the table is there; all numbers of trees come of one training."""
    path, seeds = folder / f"boosting{'-quick' * quick}.csv", range(1 if quick else 3)
    names = [f"mse_{seed}" for seed in seeds]
    if not path.exists():
        *others, trees = BOOSTING.values()
        parts = [train_test_split(*load_diabetes(return_X_y=True), test_size=0.3, random_state=seed) for seed in seeds]
        rows = (line for row in itertools.product(*others) for line in boosting_rows(row, trees, parts))
        write(path, [*BOOSTING, *names], rows)
    columns = folder / f"boosting{'-quick' * quick}.columns.json"
    told = {"format": "retiarius-table-columns", "version": 1, "datasets": {"diabetes": {"score": {"columns": names}}}}
    columns.write_text(json.dumps(told))

    def suggest(trial: optuna.Trial) -> dict[str, Any]:
        chosen: dict[str, Any] = {label: trial.suggest_categorical(label, BOOSTING[label]) for label in BOOSTING}
        return chosen | {"max_depth": trial.suggest_int("depth", 1, 4), "n_estimators": trial.suggest_int("trees", 20, 160, step=20)}

    space = {label: choice(candidates) for label, candidates in BOOSTING.items()}
    return Example(path, columns, space, suggest, "minimize", read(path, list(BOOSTING), names))


def boosting_rows(row: Sequence[Any], trees: Sequence[int], parts: Sequence[Sequence[np.ndarray]]) -> list[list[Any]]:
    settings = dict(zip(BOOSTING, row, strict=False))
    errors = []
    for seed, (train, test, targets, test_targets) in enumerate(parts):
        ensemble = GradientBoostingRegressor(**settings, n_estimators=max(trees), random_state=seed).fit(train, targets)
        errors.append([float(np.mean((guess - test_targets) ** 2)) for guess in ensemble.staged_predict(test)])
    return [[*row, number, *(error[number - 1] for error in errors)] for number in trees]


def write(path: Path, header: Sequence[str], rows: Any) -> None:
    """Write a CSV file, which is there when it is complete."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".unfinished")
    with unfinished.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])
    unfinished.replace(path)


def read(path: Path, labels: Sequence[str], scores: Sequence[str]) -> dict[tuple[str, ...], float]:
    """Return the mean of the columns ``scores`` by the texts of ``labels``."""
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return {tuple(row[label] for label in labels): statistics.fmean(float(row[name]) for name in scores) for row in rows}


def search_ours(example: Example, strategy: str, seed: int, trials: int) -> float:
    """Return the best score that a search of ours has found."""
    space, name = (as_names(example.space), "tpe") if strategy == UNORDERED else (example.space, strategy)
    with tempfile.TemporaryDirectory() as folder:
        told: dict[str, Any] = {"search_space": space, "table": example.table, "table_columns": example.columns}
        found = rt.search(None, name, **told, optimize_mode=example.mode, trials=trials, seed=seed, out=Path(folder) / "run")
        return example.score(found.best_parameters)


def as_names(space: Mapping[str, Any]) -> dict[str, Any]:
    """Return the same choices as texts, which have no order."""
    return {label: choice([str(value) for value in told["_value"]]) for label, told in space.items()}


def search_by_optuna(example: Example, seed: int, trials: int) -> float:
    """Return the best score that Optuna's TPE has found, as it comes."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction=example.mode, sampler=optuna.samplers.TPESampler(seed=seed))
    study.optimize(lambda trial: example.score(example.suggest(trial)), n_trials=trials)
    return study.best_value


def summarise(values: Sequence[float]) -> dict[str, Any]:
    error = statistics.stdev(values) / math.sqrt(len(values)) if len(values) > 1 else 0.0
    return {"mean": statistics.fmean(values), "standard_error": error, "values": list(values)}


def compare(example: Example, names: Sequence[str], seeds: int, trials: int) -> dict[str, Any]:
    """Return mean and standard error of each strategy, and by how much ours are behind Optuna's TPE, negative where ahead."""
    sign = 1 if example.mode == "maximize" else -1
    found = {OPTUNA: [search_by_optuna(example, seed, trials) for seed in range(seeds)]}
    found |= {name: [search_ours(example, name, seed, trials) for seed in range(seeds)] for name in names}
    told = {name: summarise(values) for name, values in found.items()}
    for name in names:
        behind = sign * (told[OPTUNA]["mean"] - told[name]["mean"])
        told[name] |= {"behind": behind, "of_difference": math.hypot(told[OPTUNA]["standard_error"], told[name]["standard_error"])}
    return {"rows": len(example.scores), "best": sign * max(sign * score for score in example.scores.values()), "strategies": told}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="5 seeds, smaller tables, less than 50 s")
    parser.add_argument("--seeds", type=count, help="default: 20, with --quick 5")
    parser.add_argument("--trials", type=count, default=50, help="of each search (default: 50)")
    parser.add_argument("--cache", type=Path, default=ROOT / "runs" / "any_table", metavar="DIR", help="where the tables are kept")
    arguments = parser.parse_args()
    seeds, names = arguments.seeds or (5 if arguments.quick else 20), QUICK if arguments.quick else STRATEGIES
    results = {}
    for name, make in {"svm": make_svm, "boosting": make_boosting}.items():
        results[name] = compare(make(arguments.cache, quick=arguments.quick), names, seeds, arguments.trials)
        for strategy, told in results[name]["strategies"].items():
            print(f"  {name:9} {strategy:18} {told['mean']:.5g} ± {told['standard_error']:.2g}", flush=True)
    print(json.dumps({"seeds": seeds, "trials": arguments.trials, "tables": results}))


if __name__ == "__main__":
    main()
