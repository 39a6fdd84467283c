"""How well the cells learn that one-shot methods find in the space of DARTS, beside random cells and trials of the same time.

    python benchmarks/cell_quality.py --runs DIR       # six random cells; DrNAS, SPOS and TPE with 3 seeds; a day on one core
    python benchmarks/cell_quality.py --quick          # one random cell and one of GDAS, tiny; less than 50 s

Every cell is trained by one protocol: so many epochs in a network of so many cells, with seed 0, on the same images of CIFAR-10. It is
scored once on its test images, without mirror images. Supernets have the size of ``--preset lab`` and see ``--search-images``. Their
alphas go as far as the authors' (``alpha_lr="auto"``). ``tpe`` has a time budget: as long as the longest search of a supernet with its
seed, and at least a minute.

All that is done is kept in ``--runs``; begun again, the benchmark goes on there, in the middle of a training, too. Two processes may share
it, each with methods of its own, if ``tpe`` comes after all others.

The last line is one JSON object: by method the test accuracies in percent, and the seconds of each search.
"""

# ruff: noqa: E402 (a script of the checkout, which need not be installed: the imports follow the path)
from __future__ import annotations

import argparse
import hashlib
import json
import statistics
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
from common.libraries import quiet_libraries

quiet_libraries()

import retiarius as rt
from benchmarks.arguments import count, refuse
from benchmarks.one_shot_quality import METHODS, as_far, seconds_of

RANDOM, TRIALS = "random", "tpe"
ASKED = (RANDOM, "drnas", "spos", TRIALS)
LEAST_BUDGET = 60.0


@dataclass(frozen=True)
class Protocol:
    """How supernets and found networks are trained; ``images`` are of both halves, or of training and validation, together."""

    preset: str = "lab"
    search_epochs: int = 15
    search_images: int = 12_500
    epochs: int = 12
    images: int = 12_500
    cells: int = 20


QUICK = Protocol("quick", search_epochs=1, search_images=320, epochs=1, images=320, cells=3)


def find(method: str, seed: int, protocol: Protocol, data_dir: Path, runs: Path) -> tuple[rt.Architecture, float]:
    """Return the cell of a search, and the seconds that it took."""
    out = runs / f"{method}-{seed}"
    told: dict[str, Any] = {"preset": protocol.preset, "seed": seed, "out": out, "resume": (out / "config.json").exists()}
    told |= {
        "reporter": rt.Screen(sys.stderr, sys.stderr),
        "data": rt.load_data("cifar10", data_dir=data_dir, limit=protocol.search_images),
    }
    if method == RANDOM:
        found = rt.search("darts", rt.Random(), trials=1, evaluator="zero_cost", fixed={"proxy": "parameters"}, **told)
        return found.best, 0.0
    if method == TRIALS:
        found = rt.search("darts", rt.TPE(), time_budget=longest_search(seed, runs), **told)
        return found.best, sum(trial.seconds for trial in found.trials)
    found = rt.search("darts", as_far(METHODS[method]), epochs=protocol.search_epochs, **told)
    return found.best, seconds_of(found.epochs) or 0.0


def longest_search(seed: int, runs: Path) -> float:
    """The seconds of the longest search of a supernet with this seed."""
    supernets = [rt.open_run(runs / f"{method}-{seed}") for method in METHODS if (runs / f"{method}-{seed}" / "best.json").exists()]
    if not supernets:
        raise rt.StrategyError(f"{TRIALS} has the time of a supernet, and none was searched with seed {seed}: name such a method, too")
    return max([LEAST_BUDGET, *(seconds_of(found.epochs) or 0.0 for found in supernets)])


def train(cell: rt.Architecture, protocol: Protocol, data_dir: Path, runs: Path) -> dict[str, Any]:
    """Train the network of a cell, unless that was done by this protocol, and return what is on record."""
    told = {"cell": cell.choices, **asdict(protocol)}
    out = runs / f"trained-{hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:12]}"
    if not (out / "retrained.json").exists():
        rt.retrain(
            cell,
            data=rt.load_data("cifar10", data_dir=data_dir, limit=protocol.images),
            epochs=protocol.epochs,
            preset=protocol.preset,
            fixed={"num_cells": protocol.cells},
            out=out,
            resume=(out / "config.json").exists(),
            reporter=rt.Screen(sys.stderr, sys.stderr),
        )
    return dict(json.loads((out / "retrained.json").read_text(encoding="utf-8")))


def measure(methods: Sequence[str], seeds: int, random_cells: int, protocol: Protocol, data_dir: Path, runs: Path) -> dict[str, Any]:
    """Return what is told of each method."""
    told: dict[str, Any] = {}
    for method in methods:
        rows = []
        for seed in range(random_cells if method == RANDOM else seeds):
            cell, seconds = find(method, seed, protocol, data_dir, runs)
            trained = train(cell, protocol, data_dir, runs)
            rows.append((round(100 * trained["plain_test_accuracy"], 2), round(seconds, 1)))
            print(f"{method}, seed {seed}: {rows[-1][0]:.2f}% after {seconds:.0f} s of search", file=sys.stderr, flush=True)
        accuracies = [accuracy for accuracy, _ in rows]
        spread = statistics.stdev(accuracies) if len(rows) > 1 else 0.0
        told[method] = {"test_accuracy": accuracies, "mean": round(statistics.mean(accuracies), 2), "std": round(spread, 2)}
        told[method]["search_seconds"] = [seconds for _, seconds in rows]
    return told


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False)
    parser.add_argument("--methods", nargs="+", choices=[RANDOM, TRIALS, *METHODS], help=f"default: {' '.join(ASKED)}")
    parser.add_argument("--seeds", type=count, default=3, help="searches by each method (default: 3)")
    parser.add_argument("--random-cells", type=count, default=6, help="default: 6")
    parser.add_argument("--search-epochs", type=count, help=f"of a supernet (default: {Protocol.search_epochs})")
    parser.add_argument("--search-images", type=count, help=f"of both its halves (default: {Protocol.search_images:,})")
    parser.add_argument("--epochs", type=count, help=f"of the training of a cell (default: {Protocol.epochs})")
    parser.add_argument("--images", type=count, help=f"of that training (default: {Protocol.images:,})")
    parser.add_argument("--cells", type=count, help=f"of that network (default: {Protocol.cells})")
    parser.add_argument("--data-dir", type=Path, default=ROOT / "data", help="where CIFAR-10 lies (default: data)")
    parser.add_argument("--runs", type=Path, help="where all that is done is kept (default: nowhere)")
    parser.add_argument("--quick", action="store_true", help="one random cell and one of GDAS, tiny: less than 50 s")
    arguments = parser.parse_args()
    base = QUICK if arguments.quick else Protocol()
    asked = {name: getattr(arguments, name) for name in ("search_epochs", "search_images", "epochs", "images", "cells")}
    protocol = Protocol(**{**vars(base), **{name: value for name, value in asked.items() if value is not None}})
    methods = sorted(arguments.methods or ((RANDOM, "gdas") if arguments.quick else ASKED), key=lambda method: method == TRIALS)
    seeds, random_cells = (1, 1) if arguments.quick else (arguments.seeds, arguments.random_cells)
    with refuse(rt.RetiariusError), tempfile.TemporaryDirectory() as folder:
        told = measure(methods, seeds, random_cells, protocol, arguments.data_dir, arguments.runs or Path(folder))
    print(json.dumps({"protocol": vars(protocol), **told}))


if __name__ == "__main__":
    main()
