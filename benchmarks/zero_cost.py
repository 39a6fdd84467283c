"""How well scores of untrained networks rank the cells of NAS-Bench-201, and how long they take.

    python benchmarks/zero_cost.py --table FILE            # 500 cells; a quarter of an hour on two cores
    python benchmarks/zero_cost.py --table FILE --quick    # 16 cells, less than 50 s

Spearman's rank correlation with the table's test accuracy after 200 epochs on CIFAR-10, over all cells and over the better half of them; on
CIFAR-100 with its validation accuracy, by which the ensemble was chosen (on cells drawn with another seed). The cells are drawn at random,
the images are CIFAR-10's. Times are of the processor, on as many threads as torch takes. Ends with one line of JSON.
"""

# ruff: noqa: E402 (a script of the checkout, which need not be installed: the imports follow the path)
from __future__ import annotations

import argparse
import itertools
import json
import random
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from common.libraries import quiet_libraries

quiet_libraries()

import numpy as np
import torch
from scipy.stats import spearmanr

from benchmarks.arguments import count
from evaluators.data.dataset import load_dataset
from evaluators.table import load_table
from evaluators.zero_cost import SCORES
from evaluators.zero_cost.scores import ENSEMBLE, rank_together, score_untrained
from spaces.building import build_network
from spaces.nasbench201.space import NasBench201Space
from spaces.nasbench201.vocabulary import EDGES, OPERATION_NAMES, edge_label

CELLS, QUICK_CELLS = 500, 16
EPOCHS = 200  # of the table's longest trainings


def draw_cells(number: int, seed: int) -> list[dict[str, str]]:
    """Different cells, drawn at random."""
    labels = [edge_label(source, node) for source, node in EDGES]
    cells = itertools.product(OPERATION_NAMES, repeat=len(labels))
    return [dict(zip(labels, cell, strict=True)) for cell in random.Random(seed).sample(list(cells), number)]


def correlate(values: list[float], accuracies: list[float]) -> dict[str, float]:
    """Spearman's correlation over all, and over the half with the better accuracies."""
    better = np.asarray(accuracies) >= np.median(accuracies)
    told = [spearmanr(np.asarray(values)[part], np.asarray(accuracies)[part])[0] for part in (slice(None), better)]
    return {name: round(float(value), 3) for name, value in zip(("all", "better half"), told, strict=True)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", type=Path, required=True, help="NAS-Bench-201's table")
    parser.add_argument("--cells", type=count, metavar="N", help=f"default: {CELLS}; {QUICK_CELLS} with --quick")
    parser.add_argument("--seed", type=int, default=0, help="of the cells that are drawn (default: 0)")
    parser.add_argument("--quick", action="store_true", help="few cells")
    parser.add_argument("--out", type=Path, help="a file for all scores, as JSON")
    arguments = parser.parse_args()
    cells = draw_cells(arguments.cells or (QUICK_CELLS if arguments.quick else CELLS), arguments.seed)
    tables = {name: load_table(arguments.table, dataset=name) for name in ("cifar10", "cifar100")}
    accuracies = {
        "cifar10": [tables["cifar10"].find(cell).facts["test_accuracy"] for cell in cells],
        "cifar100": [tables["cifar100"].find(cell).fidelities[EPOCHS][0] for cell in cells],
    }
    data = load_dataset("cifar10")
    scores: list[dict[str, float]] = []
    seconds = dict.fromkeys(SCORES, 0.0)
    for number, cell in enumerate(cells, 1):
        network = build_network(NasBench201Space, {"num_classes": 10}, cell)
        told = {}
        for name in SCORES:
            start = time.process_time()
            told |= score_untrained(network, data, [name])
            seconds[name] += time.process_time() - start
        scores.append(told)
        if number % 25 == 0:
            print(f"{number}/{len(cells)} cells", file=sys.stderr, flush=True)
    if arguments.out is not None:
        arguments.out.write_text(json.dumps([{"cell": cell, **told} for cell, told in zip(cells, scores, strict=True)]))
    values = {name: [told[name] for told in scores] for name in SCORES} | {"+".join(ENSEMBLE): rank_together(scores)}
    result: dict[str, Any] = {"cells": len(cells), "threads": torch.get_num_threads()}
    for name, column in values.items():
        result[name] = {data_set: correlate(column, known) for data_set, known in accuracies.items()}
        if name in seconds:
            result[name]["ms"] = round(1_000 * seconds[name] / len(cells))
    print(json.dumps(result))


if __name__ == "__main__":
    main()
