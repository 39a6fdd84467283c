"""How well a supernet ranks the cells of NAS-Bench-201, alone and beside scores that need no training.

    python benchmarks/inherited_ranks.py --epochs 20 --runs FOLDER    # 500 cells, all images; an hour on two cores
    python benchmarks/inherited_ranks.py --supernet RUN --images N    # 500 cells by the supernet of a one-shot search, not of p_darts
    python benchmarks/inherited_ranks.py --quick                      # 40 cells, one epoch of few images, less than 50 s

A supernet is trained on evenly drawn cells (SPOS). It then scores random ones by the weights that they inherit, on 2,000 images of the half
that its weights have not seen. Spearman's correlation is with the table's test accuracy after 200 epochs on CIFAR-10: over all cells, and
over the better half of them. ``first`` is the table's accuracy of the cell that is ranked highest. ``A + B`` adds up the logarithms of the
ranks by A and by B. Multiply-adds are the table's; the scores of ``evaluators.zero_cost`` are those of untrained networks of 15 cells.
Finished parts are kept in ``--runs`` and not done again. The last line is one JSON object.
"""

# ruff: noqa: E402 (a script of the checkout, which need not be installed: the imports follow the path)
from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
from common.libraries import quiet_libraries

quiet_libraries()

import retiarius as rt
from benchmarks.arguments import count, refuse
from benchmarks.one_shot_quality import Size, accuracy_of, seconds_of
from benchmarks.search_quality import find_table
from benchmarks.zero_cost import correlate, score
from common.scores import from_stored, to_stored
from common.trial import sample_key
from evaluators.table import Table, load_table
from evaluators.zero_cost.scores import ENSEMBLE, rank_together
from records.lines import append_document, read_lines

INHERITED, SIZE_OF_CELL = "inherited", "multiply-adds"
CELLS = 500
IMAGES = {"statistics_images": 500, "validation_images": 2_000}  # that a cell is scored by
QUICK, QUICK_CELLS = Size(width=4, epochs=1, batch_size=32, images=640), 40


def train(sampler: str, size: Size, seed: int, data: Any, out: Path) -> float | None:
    """Train a supernet, on from where ``out`` ends, and return the seconds of its epochs."""
    fixed = {"width": size.width, "cells": size.cells, "batch_size": size.batch_size}
    _search(rt.SPOS(sampler=sampler), out, data=data, epochs=size.epochs, fixed=fixed, seed=seed)
    return seconds_of(read_lines(out / "epochs.jsonl"))


def score_cells(supernet: Path, size: Size, seed: int, number: int, data: Any, out: Path) -> list[rt.Trial]:
    """Return random cells with their accuracies by the weights of the supernet in the folder ``supernet``."""
    fixed = {"width": size.width, "cells": size.cells, **IMAGES}
    found = _search(rt.Random(), out, data=data, trials=number, fixed=fixed, seed=seed, supernet_weights=supernet)
    return [trial for trial in found.trials if trial.score is not None]


def _search(strategy: rt.Strategy, out: Path, **told: Any) -> Any:
    resume = (out / "config.json").exists()
    return rt.search("nasbench201", strategy, out=out, resume=resume, reporter=rt.Screen(sys.stderr, sys.stderr), **told)


def untrained(cells: Sequence[Mapping[str, str]], data: Any, path: Path) -> list[dict[str, float]]:
    """Return the scores of the cells' untrained networks; those that ``path`` has are not computed again."""
    by_cell = {sample_key(line["cell"]): from_stored(line["scores"]) for line in read_lines(path)}
    for cell in cells:
        if sample_key(cell) not in by_cell:
            by_cell[sample_key(cell)], _ = score(cell, data, ENSEMBLE)
            append_document(path, {"cell": cell, "scores": to_stored(by_cell[sample_key(cell)])})
    return [by_cell[sample_key(cell)] for cell in cells]


def tell(table: Table, trials: Sequence[rt.Trial], scores: Sequence[Mapping[str, float]]) -> dict[str, Any]:
    """Return by what ranks the cells its correlations with the table, and the accuracy of the cell that it finds best."""
    accuracies = [accuracy_of(table, trial.architecture) for trial in trials]
    together = "+".join(ENSEMBLE)
    columns: list[dict[str, float]] = [
        {INHERITED: trial.score or 0.0, SIZE_OF_CELL: float(table.find(trial.architecture).facts["flops"]), **told}
        for trial, told in zip(trials, scores, strict=True)
    ]
    sets = {INHERITED: [INHERITED], SIZE_OF_CELL: [SIZE_OF_CELL], together: list(ENSEMBLE)}
    sets |= {f"{INHERITED} + {name}": [INHERITED, *names] for name, names in list(sets.items())[1:]}
    result: dict[str, Any] = {"cells": len(trials), "best": round(max(accuracies), 2)}
    for name, names in sets.items():
        ranks = rank_together(columns, names)
        first = max(range(len(ranks)), key=ranks.__getitem__)
        result[name] = {**correlate(ranks, accuracies), "first": round(accuracies[first], 2)}
    return result


def measure(arguments: argparse.Namespace, size: Size, cells: int, folder: Path) -> dict[str, Any]:
    """Return the values of a record."""
    table = load_table(find_table(arguments.table), dataset="cifar10")
    data = rt.load_data("cifar10", data_dir=arguments.data_dir, limit=size.images)
    supernet, sampler = arguments.supernet, arguments.sampler or "uniform"
    if supernet is None:
        supernet = folder / f"supernet-{sampler}-{arguments.seed}-{size.epochs}"
        seconds = train(sampler, size, arguments.seed, data, supernet)
    else:
        run = rt.open_run(supernet).record
        if run.space != "nasbench201" or not run.epochs:
            raise rt.RecordError(f"{supernet}: no one-shot search of nasbench201")
        told = run.identity["space"]["arguments"]
        size = replace(size, width=told["width"], cells=told["cells"], epochs=run.identity["epochs"])
        sampler, seconds = run.strategy, seconds_of(run.epochs)
    begin = time.monotonic()
    trials = score_cells(supernet, size, arguments.seed, cells, data, folder / f"{supernet.name}-cells")
    scoring = time.monotonic() - begin
    scores = untrained(
        [trial.architecture for trial in trials], rt.load_data("cifar10", data_dir=arguments.data_dir), folder / "untrained.jsonl"
    )
    told = {"sampler": sampler, "epochs": size.epochs, "images": size.images or 50_000}
    return {**told, **tell(table, trials, scores), "training_seconds": seconds, "scoring_seconds": round(scoring)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_CELLS} cells, one epoch of few images, less than 50 s")
    parser.add_argument("--table", type=Path, metavar="FILE", help="the table of NAS-Bench-201 (default: where search_quality.py looks)")
    parser.add_argument("--sampler", choices=("uniform", "fair"), help="of the paths (default: uniform)")
    parser.add_argument("--supernet", type=Path, metavar="RUN", help="the folder of a one-shot search, whose supernet scores the cells")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cells", type=count, help=f"default: {CELLS}, with --quick {QUICK_CELLS}")
    parser.add_argument("--epochs", type=count, help="of the supernet (default: 20)")
    parser.add_argument("--images", type=count, help="of both halves together (default: all 50,000)")
    parser.add_argument("--data-dir", type=Path, default=ROOT / "data", help="where CIFAR-10 lies (default: data)")
    parser.add_argument("--runs", type=Path, help="where finished parts are kept (default: nowhere)")
    arguments = parser.parse_args()
    if arguments.supernet is not None and (arguments.epochs is not None or arguments.sampler is not None):
        parser.error("--epochs and --sampler are of a supernet that is trained here: leave them out beside --supernet")
    asked = {name: getattr(arguments, name) for name in ("epochs", "images") if getattr(arguments, name) is not None}
    size = replace(QUICK if arguments.quick else Size(epochs=20), **asked)
    with refuse(rt.RetiariusError), tempfile.TemporaryDirectory() as folder:
        runs = arguments.runs or Path(folder)
        runs.mkdir(parents=True, exist_ok=True)
        print(json.dumps(measure(arguments, size, arguments.cells or (QUICK_CELLS if arguments.quick else CELLS), runs)))


if __name__ == "__main__":
    main()
