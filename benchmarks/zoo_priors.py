"""What the table of zoo trainings says of networks nobody has trained yet: good learning rates, and configurations to try first.

    python benchmarks/zoo_priors.py           # writes spaces/zoo/networks.json and spaces/zoo/portfolio.json anew
    python benchmarks/zoo_priors.py --check   # status 1 where what is shipped is not what the table gives

**Learning rates.** ``zoo_rates.csv.gz`` has the lighter backbones by each optimizer at three rates: the usual one, a quarter of it, four
times as much. A parabola through their accuracies, over the logarithm of the rate, has its highest place at the good rate; where it has
none within them, the best of the three is good. Backbones that were not trained, or got nowhere at all three, keep the usual rate: what
others tell did not predict the good rate of one that was left out. Rates that were measured otherwise stay, and so do stem, weight decay
and batch size: they were not varied.

**Portfolio** (after Feurer et al. 2022, *Auto-sklearn 2.0*, arXiv 2007.04074, and by time): the next configuration is the one that raises
the best accuracy so far most per second, in the mean over data sets; accuracies are normalised from guessing to the best of the data set.
When nothing is gained any more, what was reached is forgotten, and the rest are second bests. No two are of one backbone.
What is shipped begins with two configurations that were measured at full size, and goes on with other backbones.
"""

# ruff: noqa: E402 (a script of the checkout, which need not be installed: the imports follow the path)
from __future__ import annotations

import argparse
import json
import math
import statistics
import sys
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.zoo_plan import ARCHITECTURE, FACTOR, usual_rate
from benchmarks.zoo_table import GUESSING, RATES_TABLE, Training, read_table
from common.files import read_json, write_text_atomically
from spaces.zoo.networks import BATCH, NETWORKS, PORTFOLIO, POWERS

OURS, PRELIMINARY = "trainings", "practice"  # sources of rates that are chosen here
SOURCES = {
    OURS: "benchmarks/zoo_priors.py: n trainings of this backbone, 45 s each, on 4,000 images of CIFAR-10",
    PRELIMINARY: "not measured here: rates in common use for small images, SGD 0.1 and Adam 0.001 with norms, less without",
}
FACTORS = (1 / FACTOR, 1.0, float(FACTOR))
GOT_SOMEWHERE = 0.2  # accuracy, of ten classes
LONG = 250  # characters
MOST = 6
SEARCHED = ("initial_lr", "optimizer", "batch_size", "cutout", "label_smoothing")
NOT_VARIED = {"momentum": 0.9, "weight_decay": 0.0005, "grad_clip": 0.0}
SEARCHED_RATES = (1e-4, 0.5)  # of spaces/zoo/hyperparameters.py
PORTFOLIO_SOURCE = (
    "benchmarks/zoo_priors.py: the first two by the recipe fast, measured at full size in docs/measurements/2026-11-lab-table.md and "
    "2026-11-amx.md; the others greedily by gain per second, in n trainings of 8 s on one core, on three small data sets"
)
_FAST = {"optimizer": "muon", "momentum": 0.85, "weight_decay": 0.0005, "cutout": 0, "grad_clip": 0.0, "label_smoothing": 0.2}
FULL_SIZE: list[dict[str, Any]] = [
    {
        "architecture": {"backbone": "convnet32", "stem": "own", "width": 32, "depth": 2},
        "hyperparameters": {"initial_lr": 0.045, "batch_size": 128, **_FAST},
    },
    {
        "architecture": {"backbone": "convnet32", "stem": "own", "width": 64, "depth": 3},
        "hyperparameters": {"initial_lr": 0.03, "batch_size": 256, **_FAST},
    },
]


def measured_accuracies(trainings: Iterable[Training]) -> dict[tuple[str, str], list[float]]:
    """Return by backbone and optimizer the accuracies at the three rates of ``FACTORS``; those that got nowhere are left out."""
    ends: dict[tuple[str, str], dict[float, float]] = defaultdict(dict)
    for one in trainings:
        backbone, optimizer = one.configuration["backbone"], one.configuration["optimizer"]
        rate = one.configuration["initial_lr"] / (one.configuration["batch_size"] / BATCH) ** POWERS[optimizer]
        factor = min(FACTORS, key=lambda factor: abs(math.log(rate / usual_rate(backbone, optimizer) / factor)))
        ends[backbone, optimizer][factor] = one.end[0]
    whole = {pair: by_factor for pair, by_factor in ends.items() if len(by_factor) == len(FACTORS)}
    return {
        pair: [by_factor[factor] for factor in FACTORS] for pair, by_factor in whole.items() if max(by_factor.values()) >= GOT_SOMEWHERE
    }


def best_factor(accuracies: Sequence[float]) -> float:
    """Return by what to multiply the usual rate: the highest place of the parabola through the accuracies at ``FACTORS``."""
    low, middle, high = accuracies
    curvature = low - 2 * middle + high
    place = (low - high) / (2 * curvature) if curvature < 0 else math.copysign(1, high - low)
    return float(FACTOR ** max(-1.0, min(1.0, place)))


def choose_networks(trainings: Iterable[Training], before: Mapping[str, Any]) -> dict[str, Any]:
    """Return the document of ``networks.json`` with the rates that the trainings give, and the usual ones of what they do not tell."""
    accuracies, document = measured_accuracies(trainings), deepcopy(dict(before))
    measured_otherwise = {name: words for name, words in document["sources"].items() if name == "recipe"}
    document["sources"] = {**measured_otherwise, **SOURCES}
    for backbone, told in document["networks"].items():
        for optimizer, good in told["optimizers"].items():
            if good["source"] in measured_otherwise:
                continue
            rate = usual_rate(backbone, optimizer)
            good |= {"initial_lr": rate, "source": PRELIMINARY, "n": 0}
            if (own := accuracies.get((backbone, optimizer))) is not None:
                good |= {"initial_lr": float(f"{rate * best_factor(own):.2g}"), "source": OURS, "n": len(own)}
    return document


def choose_portfolio(trainings: Iterable[Training], most: int = MOST) -> list[Mapping[str, Any]]:
    """Return at most so many configurations (``Training.configuration``), those that gain most per second first."""
    tables: dict[str, dict[int, Training]] = defaultdict(dict)
    for one in trainings:
        tables[one.data][one.configuration["number"]] = one
    everywhere = {number: one.configuration for table in tables.values() for number, one in table.items()}
    chosen: list[Mapping[str, Any]] = []
    best: dict[str, float] = defaultdict(float)
    while len(chosen) < most:
        taken = {one["backbone"] for one in chosen}
        left = [number for number, one in everywhere.items() if one["backbone"] not in taken]
        gains = {number: _gain_per_second(number, tables, best) for number in left}
        number = max(left, key=lambda number: (gains[number], -number), default=None)
        if number is None or gains[number] <= 0:
            if number is None or not best:
                break
            best.clear()
            continue
        chosen.append(everywhere[number])
        for data, table in tables.items():
            if number in table:
                best[data] = max(best[data], _normalised(table[number], table.values()))
    return chosen


def _gain_per_second(number: int, tables: Mapping[str, Mapping[int, Training]], best: Mapping[str, float]) -> float:
    """Return what a configuration adds to the normalised accuracies, by its seconds, both in the mean over the data sets that have it."""
    having = [(data, table) for data, table in tables.items() if number in table]
    gain = statistics.mean(max(0.0, _normalised(table[number], table.values()) - best.get(data, 0.0)) for data, table in having)
    return gain / statistics.mean(table[number].end[1] for _, table in having)


def _normalised(training: Training, rows: Collection[Training]) -> float:
    return (training.end[0] - GUESSING) / (max(row.end[0] for row in rows) - GUESSING)


def is_searched(training: Training) -> bool:
    """Return whether the zoo's range of learning rates holds that of a training."""
    low, high = SEARCHED_RATES
    return low <= float(training.configuration["initial_lr"]) <= high


def portfolio_document(trainings: Collection[Training]) -> dict[str, Any]:
    """Return the document of ``portfolio.json``."""
    known = {entry["architecture"]["backbone"] for entry in FULL_SIZE}
    others = [one for one in trainings if is_searched(one) and one.configuration["backbone"] not in known]
    configurations = [
        {
            "architecture": {label: one[label] for label in ARCHITECTURE},
            "hyperparameters": {label: one[label] for label in SEARCHED} | NOT_VARIED,
        }
        for one in choose_portfolio(others, MOST - len(FULL_SIZE))
    ]
    told = {"format": "retiarius-portfolio", "version": 1, "source": PORTFOLIO_SOURCE, "n": len(trainings)}
    return {**told, "configurations": [*FULL_SIZE, *configurations]}


def as_text(value: Any, margin: str = "") -> str:
    """Return plain data as JSON; what holds no further lists or objects is one line, unless that is a long one."""
    inner = list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else []
    line = json.dumps(value)
    if not any(isinstance(one, dict | list) for one in inner) and len(line) < LONG:
        return line
    deeper = margin + "  "
    names = [f"{json.dumps(name)}: " for name in value] if isinstance(value, dict) else [""] * len(inner)
    lines = ",\n".join(f"{deeper}{name}{as_text(one, deeper)}" for name, one in zip(names, inner, strict=True))
    first, last = "{}" if isinstance(value, dict) else "[]"
    return f"{first}\n{lines}\n{margin}{last}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; status 1 where a file is not what the table gives")
    arguments = parser.parse_args()
    trainings = read_table()
    networks = choose_networks(read_table(RATES_TABLE), read_json(NETWORKS))
    documents = {NETWORKS: networks, PORTFOLIO: portfolio_document(trainings)}
    if arguments.check:
        stale = [path.name for path, document in documents.items() if read_json(path) != document]
        if stale:
            sys.exit(f"{', '.join(stale)}: not what benchmarks/tables gives; run python benchmarks/zoo_priors.py")
        return
    for path, document in documents.items():
        write_text_atomically(path, as_text(document) + "\n")
    print(json.dumps({"trainings": len(trainings), "portfolio": len(documents[PORTFOLIO]["configurations"])}))


if __name__ == "__main__":
    main()
