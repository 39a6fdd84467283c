"""How good the cells are that one-shot methods find in NAS-Bench-201, by the benchmark's own table.

    python benchmarks/one_shot_quality.py            # all methods, 4 seeds, 30 epochs of a supernet; many hours on two cores
    python benchmarks/one_shot_quality.py --quick    # DARTS and GDAS, one tiny search each, and a single-path step: less than 50 s

A search trains a supernet on CIFAR-10's training images and reads a cell off it; the result is that cell's test accuracy after 200 epochs
in the table, in percent, the mean of the table's seeds. Beside it stand the mean of all 15,625 cells, which is what a draw finds, and the
share of them that are worse. Every finished search is kept in ``--runs``; begun again, the benchmark goes on from there, in the middle of
a search, too.

A search here has fewer steps than the authors' have. ``--as-far`` lets the alphas go as far as theirs in so few, as ``alpha_lr="auto"``
does.

Two processes, each on a core, may share one ``--runs``, if each has methods of its own; called again with all, the benchmark only reads:

    OMP_NUM_THREADS=1 python benchmarks/one_shot_quality.py --methods darts gdas drnas beta_darts sdarts pc_darts &
    OMP_NUM_THREADS=1 python benchmarks/one_shot_quality.py --methods oles reinmax spos fairnas p_darts darts_pt &
    wait; python benchmarks/one_shot_quality.py

The last line is one JSON object. With --quick it has, besides, what a step of a single-path supernet of 20 cells takes by that of a found
network of the same cells, in time and memory (``benchmarks/single_path_step.py``).
"""

# ruff: noqa: E402 (a script of the checkout, which need not be installed: the imports follow the path)
from __future__ import annotations

import argparse
import hashlib
import json
import statistics
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
from common.libraries import quiet_libraries

quiet_libraries()

import retiarius as rt
from benchmarks import machine, single_path_step
from benchmarks.arguments import count, refuse
from benchmarks.search_quality import find_table
from evaluators.table import Table, load_table
from records.lines import append_document, read_lines

Methods = Mapping[str, rt.Strategy]
# With the settings that they have for the space of DARTS, but for the rate of DrNAS, whose authors have another one for this space. Neither
# the authors' epochs nor their recipes for the supernet's weights: those are the same for all.
METHODS: Methods = {
    "darts": rt.Darts(),
    "gdas": rt.GDAS(),
    "drnas": rt.DrNAS(alpha_lr=3e-4),
    "beta_darts": rt.BetaDarts(),
    "sdarts": rt.SDarts(),
    "pc_darts": rt.PCDarts(),
    "oles": rt.OLES(),
    "reinmax": rt.GDAS(sampler="reinmax"),
    "spos": rt.SPOS(),
    "fairnas": rt.FairNAS(),
    "p_darts": rt.PDarts(),
    "darts_pt": rt.DartsPT(tuning_epochs=1),  # the authors' 10 are 50 epochs more
}


@dataclass(frozen=True)
class Size:
    """Of a supernet and its training; ``images`` is that of both halves together, ``None``: all."""

    width: int = 16
    cells: int = 1
    epochs: int = 30
    batch_size: int = 64
    images: int | None = None


QUICK = Size(width=4, epochs=1, batch_size=32, images=320)


@dataclass(frozen=True)
class Run:
    """One search: ``seconds`` are those of its epochs, ``curve`` is the table's test accuracy of the cell after each of them.

    ``worse`` is the share of all cells below the cell that was found.
    """

    method: str
    seed: int
    size: dict[str, Any]
    settings: dict[str, Any]
    seconds: float | None
    test_accuracy: float
    worse: float
    curve: list[float]
    architecture: dict[str, str]
    machine: dict[str, Any]


def accuracy_of(table: Table, architecture: Mapping[str, Any]) -> float:
    """The test accuracy of a cell after 200 epochs, in percent."""
    return 100 * float(table.find(architecture).facts["test_accuracy"])


def all_accuracies(table: Table) -> list[float]:
    return [100 * float(row.facts["test_accuracy"]) for row in table.rows.values()]


def as_far(strategy: rt.Strategy) -> rt.Strategy:
    """Return the method whose alphas can go as far as its authors' do; one without alphas as it is."""
    return replace(strategy, alpha_lr="auto") if isinstance(strategy, rt.Darts) else strategy


def search(table: Table, method: str, strategy: rt.Strategy, seed: int, size: Size, data: Any, out: Path) -> Run:
    """Search by a method, on from where ``out`` ends, and look up what was found."""
    fixed = {"width": size.width, "cells": size.cells, "batch_size": size.batch_size}
    found = rt.search(
        "nasbench201",
        strategy,
        data=data,
        epochs=size.epochs,
        fixed=fixed,
        seed=seed,
        out=out,
        resume=(out / "config.json").exists(),
        reporter=rt.Screen(sys.stderr, sys.stderr),
    )
    epochs = read_lines(out / "epochs.jsonl")
    architecture = dict(found.best.choices)
    accuracy, everything = accuracy_of(table, architecture), all_accuracies(table)
    return Run(
        method,
        seed,
        asdict(size),
        settings_of(strategy),
        seconds_of(epochs),
        round(accuracy, 3),
        round(sum(other < accuracy for other in everything) / len(everything), 4),
        [round(accuracy_of(table, epoch["sample"]), 3) for epoch in epochs],
        architecture,
        machine.describe(),
    )


def settings_of(strategy: rt.Strategy) -> dict[str, Any]:
    """The settings of a method as they are read from a file again."""
    return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(strategy).items()}


def seconds_of(epochs: Sequence[Mapping[str, Any]]) -> float | None:
    """The time of the epochs of a supernet, those before an interruption included; None where an earlier version did not note it."""
    return round(sum(epoch["seconds"] for epoch in epochs), 1) if all("seconds" in epoch for epoch in epochs) else None


def read_runs(path: Path) -> list[Run]:
    """The finished searches; a last line that was cut off is passed over and its search looked up again."""
    return [Run(**line) for line in read_lines(path)]


def run_all(table: Table, methods: Methods, seeds: int, size: Size, data: Any, path: Path) -> list[Run]:
    """The searches of these methods, the finished ones from ``path``, where the others are added as they end."""
    own = {method: settings_of(strategy) for method, strategy in methods.items()}
    done = {(run.method, run.seed): run for run in read_runs(path) if run.size == asdict(size) and run.settings == own.get(run.method)}
    for seed in range(seeds):  # all methods of one seed first, so that a table can be made early
        for method, strategy in methods.items():
            if (method, seed) not in done:
                digest = hashlib.sha256(json.dumps(own[method], sort_keys=True).encode()).hexdigest()[:8]
                name = f"{method}-{seed}-" + "-".join(str(value) for value in asdict(size).values()) + f"-{digest}"
                run = done[method, seed] = search(table, method, strategy, seed, size, data, path.parent / path.stem / name)
                append_document(path, asdict(run))
            run = done[method, seed]
            print(f"{method:10} seed {seed}: {run.test_accuracy:.2f}%, better than {100 * run.worse:.1f}% of all cells", flush=True)
    return [run for (method, seed), run in done.items() if method in methods and seed < seeds]


def summarize(runs: Sequence[Run], table: Table) -> dict[str, Any]:
    """By method the accuracies of its seeds, in order, with their mean and standard deviation; and what a draw finds."""
    everything, told = all_accuracies(table), {}
    for method in dict.fromkeys(run.method for run in runs):
        own = sorted((run for run in runs if run.method == method), key=lambda run: run.seed)
        values = [run.test_accuracy for run in own]
        told[method] = {
            "test_accuracy": values,
            "mean": round(statistics.mean(values), 2),
            "std": round(statistics.stdev(values), 2) if len(values) > 1 else 0.0,
            "seconds": [run.seconds for run in own],
        }
    draw = {"mean": round(statistics.mean(everything), 2), "std": round(statistics.stdev(everything), 2), "best": round(max(everything), 2)}
    return {"all_cells": draw, "methods": told}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="DARTS and GDAS, one seed, few images, and a single-path step: less than 50 s")
    parser.add_argument("--table", type=Path, metavar="FILE", help="the table of NAS-Bench-201 (default: where search_quality.py looks)")
    parser.add_argument("--methods", nargs="+", choices=METHODS, metavar="NAME", help=f"default: {', '.join(METHODS)}")
    parser.add_argument("--seeds", type=count, help="default: 4, with --quick 1")
    parser.add_argument("--epochs", type=count, help=f"of the supernet (default: {Size.epochs})")
    parser.add_argument("--width", type=count, help=f"channels of the supernet's first stage (default: {Size.width})")
    parser.add_argument("--cells", type=count, help=f"cells of each of its stages (default: {Size.cells}; the authors' supernets: 5)")
    parser.add_argument("--images", type=count, help="of both halves together (default: all 50,000)")
    parser.add_argument("--as-far", action="store_true", help="with higher rates of the alphas, which can go as far as the authors' do")
    parser.add_argument("--data-dir", type=Path, default=ROOT / "data", help="where CIFAR-10 lies (default: data)")
    parser.add_argument("--runs", type=Path, default=ROOT / "runs" / "one_shot_quality.jsonl", help="finished searches")
    arguments = parser.parse_args()
    asked = {name: getattr(arguments, name) for name in ("epochs", "width", "cells", "images") if getattr(arguments, name) is not None}
    size = Size(**{**asdict(QUICK if arguments.quick else Size()), **asked})
    names = arguments.methods or (["darts", "gdas"] if arguments.quick else list(METHODS))
    methods = {name: as_far(METHODS[name]) if arguments.as_far else METHODS[name] for name in names}
    with refuse(rt.RetiariusError):
        table = load_table(find_table(arguments.table), dataset="cifar10")
        data = rt.load_data("cifar10", data_dir=arguments.data_dir, limit=size.images)
        arguments.runs.parent.mkdir(parents=True, exist_ok=True)
        runs = run_all(table, methods, arguments.seeds or (1 if arguments.quick else 4), size, data, arguments.runs)
    told = {"size": asdict(size), "as_far": arguments.as_far, **summarize(runs, table)}
    print(json.dumps({**told, **(single_path_step.measure() if arguments.quick else {})}))


if __name__ == "__main__":
    main()
