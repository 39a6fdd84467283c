"""What the order of numbers is worth to a search of the zoo's own labels in a table, beside Optuna's TPE told of the order.

    python benchmarks/ordered_numbers.py                              # 20 seeds of tpe and bo; the last line is one JSON object
    python benchmarks/ordered_numbers.py --code CHECKOUT              # the same searches by the code of another checkout
    python benchmarks/ordered_numbers.py --quick                      # 3 seeds of tpe, a smaller table

The table is made here, once, by scikit-learn's data and networks: digits, one hidden layer of ``width``, SGD with ``initial_lr``,
``momentum``, ``batch_size`` and ``weight_decay``, five epochs. Its score is the validation accuracy, the mean of three
first weights. What counts is the best score that a search of 50 trials has seen.
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
import warnings
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
CODE = Path(sys.argv[sys.argv.index("--code") + 1]).resolve() if "--code" in sys.argv[:-1] else ROOT
sys.path[:0] = [str(CODE), str(ROOT)]
from common.libraries import quiet_libraries

quiet_libraries()

import optuna
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier

import retiarius as rt

COLUMNS: dict[str, list[Any]] = {
    "initial_lr": [0.001, 0.003, 0.01, 0.03, 0.1, 0.2, 0.5],
    "weight_decay": [1e-6, 1e-4, 1e-3],
    "momentum": [0.8, 0.9, 0.99],
    "batch_size": [64, 128, 256],
    "width": [16, 32, 48, 64, 96, 128],
}
FIXED = {"backbone": "convnet32", "stem": "own", "depth": 2, "optimizer": "sgd", "cutout": 0, "grad_clip": 0, "label_smoothing": 0}
FIRST_WEIGHTS = 3
OPTUNA = "Optuna's TPE"
Scores = dict[tuple[str, ...], float]


def columns(*, quick: bool) -> dict[str, list[Any]]:
    """Return the values of each column; every other one where time is short."""
    return {label: values[::2] if quick else values for label, values in COLUMNS.items()}


def read_table(path: Path, *, quick: bool) -> Scores:
    """Return the scores by the texts of a row, which are trained where the file is not there."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(".unfinished")
        with unfinished.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow([*FIXED, *COLUMNS, "score"])
            for row in itertools.product(*columns(quick=quick).values()):
                writer.writerow([*FIXED.values(), *row, train(*row)])
        unfinished.replace(path)
    with path.open(newline="", encoding="utf-8") as file:
        return {tuple(row[label] for label in COLUMNS): float(row["score"]) for row in csv.DictReader(file)}


@cache
def split_digits() -> Any:
    """Return images and labels, 700 to train and 700 to validate: images, images, labels, labels."""
    images, digits = load_digits(return_X_y=True)
    return train_test_split(images / 16, digits, train_size=700, test_size=700, random_state=0, stratify=digits)


def train(initial_lr: float, weight_decay: float, momentum: float, batch_size: int, width: int) -> float:
    """Return the validation accuracy after five epochs."""
    train_images, validation, train_digits, validation_digits = split_digits()
    told: dict[str, Any] = {"solver": "sgd", "learning_rate_init": initial_lr, "alpha": weight_decay, "momentum": momentum}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it has not converged, and is not meant to
        networks = [MLPClassifier([width], **told, batch_size=batch_size, max_iter=5, random_state=seed) for seed in range(FIRST_WEIGHTS)]
        return statistics.fmean(network.fit(train_images, train_digits).score(validation, validation_digits) for network in networks)


def search_ours(path: Path, strategy: str, seed: int, trials: int) -> float:
    """Return the best score that a search of the zoo has seen."""
    with tempfile.TemporaryDirectory() as folder:
        found = rt.search("zoo", strategy, table=path, fixed=FIXED, trials=trials, seed=seed, out=Path(folder) / "run")
        return max(trial.score for trial in found.trials if trial.score is not None)


def search_by_optuna(scores: Scores, values: dict[str, list[Any]], seed: int, trials: int) -> float:
    """Return the best score that Optuna's TPE has seen, as it comes, told of the order of all numbers."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=seed))

    def score(trial: optuna.Trial) -> float:
        return scores[tuple(str(values[label][trial.suggest_int(label, 0, len(values[label]) - 1)]) for label in COLUMNS)]

    study.optimize(score, n_trials=trials)
    return study.best_value


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="3 seeds of tpe, a smaller table")
    parser.add_argument("--code", type=Path, metavar="CHECKOUT", help="whose code searches (default: this one's)")
    parser.add_argument("--strategies", nargs="+", metavar="NAME", help="default: tpe bo, with --quick tpe")
    parser.add_argument("--seeds", type=int, help="default: 20, with --quick 3")
    parser.add_argument("--trials", type=int, default=50, help="of each search (default: 50)")
    parser.add_argument("--cache", type=Path, default=ROOT / "runs" / "any_table", metavar="DIR", help="where the table is kept")
    arguments = parser.parse_args()
    seeds = range(arguments.seeds or (3 if arguments.quick else 20))
    path = arguments.cache / f"ordered{'-quick' * arguments.quick}.csv"
    scores = read_table(path, quick=arguments.quick)
    values = columns(quick=arguments.quick)
    found = {OPTUNA: [search_by_optuna(scores, values, seed, arguments.trials) for seed in seeds]}
    for name in arguments.strategies or (["tpe"] if arguments.quick else ["tpe", "bo"]):
        found[name] = [search_ours(path, name, seed, arguments.trials) for seed in seeds]
    for name, best in found.items():
        error = statistics.stdev(best) / math.sqrt(len(best))
        print(f"  {name:14} {statistics.fmean(best):.4%} ± {error:.4%}", flush=True)
    told = {"rows": len(scores), "best": max(scores.values()), "seeds": len(seeds), "trials": arguments.trials, "found": found}
    print(json.dumps(told))


if __name__ == "__main__":
    main()
