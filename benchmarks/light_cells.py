"""Lighter cells out of a search that is done: its architecture parameters less what an operation costs, and short trainings to choose.

    python benchmarks/light_cells.py --data-dir data            # two rounds of trainings, the best of the first in the second
    python benchmarks/light_cells.py --cells 1/6/0.75 1/6/0.8   # the second round alone, of these: seed, epoch, weight of the cost
    python benchmarks/light_cells.py --keep 1/6/0.8             # write docs/found/light-NAS.json, or what --to says
    python benchmarks/light_cells.py --quick                    # two cells, few images, less than 50 s; the last line is one JSON object

A one-shot search weighs the operations of an edge in a network of 8 cells, by what each adds there; that convolutions one behind another
train slowly in 20 cells it does not see. So the cells are read off as with ``--cost-weight``: from the alphas in
``docs/found/longer-NAS-alphas.json`` (two searches of 6 epochs, see
docs/measurements/2026-11-lab-table.md), less the weight times what an operation costs. A
search has a cell for every epoch and weight, and short trainings at the full depth choose among them by successive halving (arXiv
1502.07943): many cells with few images, the best of them with more. Nothing here sees the test images.
"""

# ruff: noqa: E402 (a script of the checkout, which need not be installed: the imports follow the path)
from __future__ import annotations

import argparse
import json
import math
import sys
import time
import warnings
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from itertools import product
from multiprocessing import get_context
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
warnings.filterwarnings("ignore", message=".*is found to be not a nn.Module")

import torch

from benchmarks.arguments import refuse
from benchmarks.watch_parent import watch_parent
from common.errors import EvaluatorError
from evaluators.complexity import measure_complexity
from evaluators.data.dataset import load_dataset
from evaluators.training.loop import measure_accuracy, train
from evaluators.training.recipes import RECIPES
from records.best import save_best
from records.provenance import collect_versions
from spaces import build_network
from spaces.darts.space import DartsSpace
from strategies.one_shot.search_epoch import choose_edges, less_costs

FOUND = ROOT / "docs" / "found"
ALPHAS, KEPT = FOUND / "longer-NAS-alphas.json", FOUND / "light-NAS.json"
WIDTH, CELLS, IMAGE = 8, 20, (3, 32, 32)
RECIPE = replace(RECIPES["fast"], batch_size=128, initial_lr=0.06)  # that of the row NAS of the lab's table
VALIDATION_IMAGES = 2_000
Cell = tuple[int, int, float]  # seed of the search, epoch, weight of the cost
CELLS_READ_OFF: list[Cell] = [*product((0, 1), (2, 4, 6), (0.4, 0.6, 0.8, 1.0))]
QUICK: list[Cell] = [(0, 2, 0.4), (0, 2, 0.6)]


@dataclass(frozen=True)
class Round:
    """So many epochs of so many images for each cell, of which the best ``kept`` go on."""

    images: int
    epochs: int
    kept: int


ROUNDS = (Round(9_000, 1, 6), Round(18_000, 2, 1))


def read_cell(text: str) -> Cell:
    """``SEED/EPOCH/WEIGHT``, as a type of ``argparse``."""
    try:
        seed, epoch, weight = text.split("/")
        cell = (int(seed), int(epoch), float(weight))
        if not (0 <= cell[0] < 2 and 1 <= cell[1] <= 6 and 0 <= cell[2] < math.inf):
            raise ValueError
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not SEED/EPOCH/WEIGHT: the searches have the seeds 0 and 1 and the epochs 1 to 6, and weights are from 0 on"
        ) from None
    return cell


def derive(seed: int, epoch: int, weight: float) -> dict[str, Any]:
    """The architecture that the alphas of an epoch stand for, as ``--cost-weight`` would have read it off."""
    history = json.loads(ALPHAS.read_text())[seed]
    space = DartsSpace(width=WIDTH, num_cells=8)
    probabilities: dict[str, dict[str, float]] = {}
    for edge, text in history[epoch - 1]["alphas"].items():
        words = text.split()
        softmax = torch.tensor([float(alpha) for alpha in words[1::2]]).softmax(0).tolist()
        probabilities[edge] = dict(zip(words[::2], softmax, strict=True))
    edges = space.input_edges()
    charged = less_costs(probabilities, space.operation_costs(), weight)
    return DartsSpace.canonical(choose_edges(charged, edges, dict.fromkeys(edges, 2)))


def build(architecture: Mapping[str, Any]) -> Any:
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        return build_network(DartsSpace, {"width": WIDTH, "num_cells": CELLS, "auxiliary": True}, architecture)


def measure(cell: Cell, images: int, epochs: int, dataset: str, data_dir: Path) -> tuple[str, int, float, float]:
    """What is said of a cell: its normal cell, parameters, accuracy on validation images, image and mirror image averaged, seconds."""
    torch.set_num_threads(1)  # one network on every core
    data = load_dataset(dataset, data_dir=data_dir)
    architecture = derive(*cell)
    network = build(architecture)
    parameters = measure_complexity(network, IMAGE)["parameters"]
    start = time.perf_counter()
    few = data.train.take(torch.arange(min(images, len(data.train))))
    for _ in train(network, few, data, epochs=epochs, recipe=RECIPE):
        pass
    seconds = time.perf_counter() - start
    judged = data.validation.take(torch.arange(min(VALIDATION_IMAGES, len(data.validation))))
    accuracy = measure_accuracy(network, judged, data, flip_averaging=True)
    return DartsSpace.describe(architecture)["normal"], parameters, accuracy, seconds


def hold_round(cells: Sequence[Cell], plan: Round, dataset: str, data_dir: Path) -> dict[Cell, float]:
    """Train each cell alone, one on every core, print a table, and return the accuracies, the best first."""
    size = f"{plan.epochs} epochs of {plan.images:,} images or all there are"
    print(f"{CELLS} cells of {WIDTH} channels, {size}; {len(cells)} networks, one thread each")
    print("| search | epoch | weight of the cost | normal cell | parameters | validation accuracy | seconds |")
    print("|---|---|---|---|---|---|---|", flush=True)
    accuracies = {}
    with ProcessPoolExecutor(torch.get_num_threads(), mp_context=get_context("spawn"), initializer=watch_parent) as pool:
        waiting = {cell: pool.submit(measure, cell, plan.images, plan.epochs, dataset, data_dir) for cell in cells}
        for (seed, epoch, weight), future in waiting.items():
            normal, parameters, accuracy, seconds = future.result()
            print(f"| {seed} | {epoch} | {weight:g} | {normal} | {parameters:,} | {accuracy:.2%} | {seconds:.0f} |", flush=True)
            accuracies[seed, epoch, weight] = accuracy
    return dict(sorted(accuracies.items(), key=lambda item: -item[1]))


def distinct(cells: Sequence[Cell]) -> list[Cell]:
    """Of cells that are the same the first."""
    first: dict[str, Cell] = {}
    for cell in cells:
        first.setdefault(json.dumps(derive(*cell), sort_keys=True), cell)
    return list(first.values())


def keep(cell: Cell, path: Path) -> None:
    """Write the ``best.json`` that a row of the lab's table trains."""
    seed, epoch, weight = cell
    architecture = derive(*cell)
    size = measure_complexity(build_network(DartsSpace, {"width": WIDTH, "num_cells": 8}, architecture), IMAGE)
    save_best(
        path,
        space_name="darts",
        space_arguments={"width": WIDTH, "num_cells": 8, "num_classes": 10},
        architecture=architecture,
        hyperparameters={},
        score=None,
        dataset={"name": "cifar10"},
        strategy={"name": "darts", "seed": seed, "epoch": epoch, "cost_weight": weight, "alphas": ALPHAS.name},
        seed=seed,
        versions=collect_versions(),
        parameters=size["parameters"],
        flops=size["flops"],
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="two cells, few images, less than 50 s")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--cells", type=read_cell, nargs="+", metavar="SEED/EPOCH/WEIGHT", help="the second round alone, of these cells")
    what.add_argument("--keep", type=read_cell, metavar="SEED/EPOCH/WEIGHT", help="write this cell to --to, and train nothing")
    parser.add_argument("--to", type=Path, default=KEPT, help="default: docs/found/light-NAS.json")
    parser.add_argument("--dataset", default="auto")
    parser.add_argument("--data-dir", type=Path, default=Path("data"))
    arguments = parser.parse_args()
    if arguments.keep:
        with refuse(FileNotFoundError):
            if not arguments.to.parent.is_dir():
                raise FileNotFoundError(f"--to {arguments.to}: there is no folder {arguments.to.parent}")
            keep(arguments.keep, arguments.to)
        return
    with refuse(EvaluatorError):
        data = load_dataset(arguments.dataset, data_dir=arguments.data_dir, warn=lambda line: print(line, file=sys.stderr))
    print(data.name)
    cells, rounds = (QUICK, [Round(512, 1, 1)]) if arguments.quick else (distinct(CELLS_READ_OFF), [*ROUNDS])
    if arguments.cells:
        cells, rounds = distinct(arguments.cells), rounds[-1:]
    best: dict[Cell, float] = {}
    for plan in rounds:
        best = hold_round(cells, plan, arguments.dataset, arguments.data_dir)
        cells = list(best)[: plan.kept]
    print(json.dumps({f"{seed}/{epoch}/{weight:g}": round(accuracy, 4) for (seed, epoch, weight), accuracy in best.items()}))


if __name__ == "__main__":
    main()
