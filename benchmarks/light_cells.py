"""Lighter cells out of a search that is done: its architecture parameters less what an operation costs, and a short training of each.

    python benchmarks/light_cells.py --data-dir data            # the cells below, 20 of them one behind another, on validation images
    python benchmarks/light_cells.py --keep 0 2 0.6             # write docs/found/light-NAS.json: seed, epoch, weight of the cost
    python benchmarks/light_cells.py --quick                    # two cells, few images, less than 50 s; the last line is one JSON object

A one-shot search weighs the operations of an edge in a network of 8 cells, by what each adds there; that convolutions one behind another
train slowly in 20 cells it does not see. So the cells are read off as with ``--cost-weight``: from the alphas in
``docs/found/longer-NAS-alphas.json`` (two searches of 6 epochs, see docs/results.md), less the weight times what an operation costs. A
search has a cell for every weight, and a short training chooses among some. Nothing here sees the test images.
"""

# ruff: noqa: E402 (a script of the checkout, which need not be installed: the imports follow the path)
from __future__ import annotations

import argparse
import json
import sys
import time
import warnings
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
warnings.filterwarnings("ignore", message=".*is found to be not a nn.Module")

import torch

from evaluators.complexity import measure_complexity
from evaluators.data import Dataset, load_dataset
from evaluators.recipes import RECIPES
from evaluators.training import measure_accuracy, train
from records.best import save_best
from records.provenance import collect_versions
from spaces import build_network
from spaces.darts import DartsSpace
from strategies.supernet_search import choose_edges, less_costs

FOUND = ROOT / "docs" / "found"
ALPHAS, KEPT = FOUND / "longer-NAS-alphas.json", FOUND / "light-NAS.json"
WIDTH, CELLS, IMAGE = 8, 20, (3, 32, 32)
RECIPE = replace(RECIPES["fast"], batch_size=128, initial_lr=0.06)  # that of the row NAS of the lab's table
TRAINING_IMAGES, VALIDATION_IMAGES, EPOCHS = 9_000, 2_000, 2
Cell = tuple[int, int, float]
# seed of the search, epoch, weight of the cost; the first is the cell of the row early NAS
TRIED: list[Cell] = [(0, 2, 0.0), (0, 2, 0.4), (0, 2, 0.6), (0, 6, 0.6), (0, 6, 0.8), (1, 2, 0.4), (1, 2, 0.6)]
QUICK = TRIED[1:3]


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
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return build_network(DartsSpace, {"width": WIDTH, "num_cells": CELLS, "auxiliary": True}, architecture)


def score(network: Any, data: Dataset, images: int, epochs: int) -> tuple[float, float]:
    """Accuracy on the first validation images, image and mirror image averaged, and seconds of training."""
    start = time.perf_counter()
    few = data.train.take(torch.arange(min(images, len(data.train))))
    for _ in train(network, few, data, epochs=epochs, recipe=RECIPE):
        pass
    seconds = time.perf_counter() - start
    judged = data.validation.take(torch.arange(min(VALIDATION_IMAGES, len(data.validation))))
    return measure_accuracy(network, judged, data, flip_averaging=True), seconds


def keep(cell: Cell, architecture: Mapping[str, Any]) -> None:
    """Write the ``best.json`` that the row light NAS of the lab's table trains."""
    seed, epoch, weight = cell
    size = measure_complexity(build_network(DartsSpace, {"width": WIDTH, "num_cells": 8}, architecture), IMAGE)
    save_best(
        KEPT,
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
    parser.add_argument("--only", type=int, nargs="+", metavar="NUMBER", help="those of the cells, counted from 0")
    parser.add_argument("--keep", nargs=3, metavar=("SEED", "EPOCH", "WEIGHT"), help="write this cell to docs/found, and train nothing")
    parser.add_argument("--dataset", default="auto")
    parser.add_argument("--data-dir", type=Path, default=Path("data"))
    arguments = parser.parse_args()
    if arguments.keep:
        cell = (int(arguments.keep[0]), int(arguments.keep[1]), float(arguments.keep[2]))
        if not (0 <= cell[0] < 2 and 1 <= cell[1] <= 6):
            parser.error("--keep: the searches have the seeds 0 and 1 and the epochs 1 to 6")
        keep(cell, derive(*cell))
        return
    data = load_dataset(arguments.dataset, data_dir=arguments.data_dir, warn=lambda line: print(line, file=sys.stderr))
    cells = QUICK if arguments.quick else TRIED if arguments.only is None else [TRIED[number] for number in arguments.only]
    images, epochs = (512, 1) if arguments.quick else (TRAINING_IMAGES, EPOCHS)
    print(f"{data.name}, {CELLS} cells of {WIDTH} channels, {epochs} epochs of {images:,} images, {torch.get_num_threads()} threads")
    print(
        "| search | epoch | weight of the cost | normal cell | parameters | validation accuracy | seconds |\n|---|---|---|---|---|---|---|"
    )
    results = {}
    for seed, epoch, weight in cells:
        architecture = derive(seed, epoch, weight)
        network = build(architecture)
        parameters = measure_complexity(network, IMAGE)["parameters"]
        accuracy, seconds = score(network, data, images, epochs)
        words = [str(seed), str(epoch), f"{weight:g}", DartsSpace.describe(architecture)["normal"], f"{parameters:,}"]
        print(f"| {' | '.join([*words, f'{accuracy:.2%}', f'{seconds:.0f}'])} |", flush=True)
        results[f"{seed} {epoch} {weight:g}"] = round(accuracy, 4)
    print(json.dumps(results))


if __name__ == "__main__":
    main()
