"""What the table of zoo trainings says of networks nobody has trained yet: good learning rates, and configurations to try first.

    python benchmarks/zoo_priors.py           # writes spaces/zoo/networks.json and spaces/zoo/portfolio.json anew
    python benchmarks/zoo_priors.py --check   # status 1 where what is shipped is not what the table gives

**Learning rates.** Each training counts by its accuracy less the mean of its backbone on its data set, as a share of what the best gains
over guessing there. Of an optimizer these are smoothed over the logarithm of the rate at batches of 128 (Nadaraya-Watson, a Gaussian of
``WIDTH`` decades), the backbone's own trainings ``OWN`` times as heavy as those of other backbones. The highest place of that curve within
the tried rates is the good rate. A backbone that got nowhere on a data set in the time tells nothing there. One that tells of fewer than
``FEWEST`` rates keeps the usual one, and so does a rate that was measured otherwise. Stem, weight decay and batch size stay as they are
in the file: they were not varied, or not enough.

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

from benchmarks.zoo_plan import ARCHITECTURE, RATES
from benchmarks.zoo_table import GUESSING, Training, read_table
from common.files import read_json, write_text_atomically
from spaces.zoo.networks import BATCH, NETWORKS, PORTFOLIO, POWERS

OURS = "trainings"
SOURCES = {OURS: "benchmarks/zoo_priors.py: n trainings of this backbone, 8 s each, and less heavily all others by this optimizer"}
PRELIMINARY = "practice"  # the source of rates that were not measured, which are replaced
WIDTH, OWN = 0.25, 4.0
GOT_SOMEWHERE = 0.2  # accuracy, of ten classes
FEWEST = 3
LONG = 250  # characters
STEPS = 40  # places at which the smoothed curve is looked at
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
Point = tuple[str, float, float]  # backbone, decimal logarithm of the rate at batches of 128, gain


def telling_points(trainings: Iterable[Training]) -> dict[str, list[Point]]:
    """Return by optimizer what its trainings tell of learning rates."""
    groups: dict[tuple[str, str], list[Training]] = defaultdict(list)
    for one in trainings:
        if one.state != "too slow":
            groups[one.data, one.configuration["backbone"]].append(one)
    points: dict[str, list[Point]] = {optimizer: [] for optimizer in RATES}
    for (_, backbone), group in groups.items():
        mean, best = statistics.mean(one.end[0] for one in group), max(one.end[0] for one in group)
        if best < GOT_SOMEWHERE:
            continue
        for one in group:
            optimizer, batch_size = one.configuration["optimizer"], one.configuration["batch_size"]
            rate = one.configuration["initial_lr"] / (batch_size / BATCH) ** POWERS[optimizer]
            points[optimizer].append((backbone, math.log10(rate), (one.end[0] - mean) / (best - GUESSING)))
    return points


def good_rate(points: Sequence[Point], backbone: str) -> float:
    """Return the rate at batches of 128 where the smoothed gain of an optimizer on ``backbone`` is highest, to two digits."""
    low, high = min(place for _, place, _ in points), max(place for _, place, _ in points)
    places = [low + (high - low) * step / STEPS for step in range(STEPS + 1)]
    return float(f"{10 ** max(places, key=lambda place: _smoothed(points, backbone, place)):.2g}")


def _smoothed(points: Sequence[Point], backbone: str, place: float) -> float:
    weights = [(OWN if name == backbone else 1.0) * math.exp(-(((place - other) / WIDTH) ** 2) / 2) for name, other, _ in points]
    return sum(weight * gain for weight, (_, _, gain) in zip(weights, points, strict=True)) / sum(weights)


def choose_networks(trainings: Iterable[Training], before: Mapping[str, Any]) -> dict[str, Any]:
    """Return the document of ``networks.json`` with the rates that the trainings give, in place of the preliminary ones of ``before``."""
    points, document = telling_points(trainings), deepcopy(dict(before))
    document["sources"] = {**document["sources"], **SOURCES}
    for backbone, told in document["networks"].items():
        for optimizer, good in told["optimizers"].items():
            own = [place for name, place, _ in points[optimizer] if name == backbone]
            if good["source"] in (PRELIMINARY, OURS) and len(set(own)) >= FEWEST:
                good |= {"initial_lr": good_rate(points[optimizer], backbone), "source": OURS, "n": len(own)}
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
    documents = {NETWORKS: choose_networks(trainings, read_json(NETWORKS)), PORTFOLIO: portfolio_document(trainings)}
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
