"""How well scores of untrained networks rank the cells of NAS-Bench-201 and of DARTS, and how long they take.

    python benchmarks/zero_cost.py --table FILE            # 500 cells; a quarter of an hour on two cores
    python benchmarks/zero_cost.py --darts RUN             # 60 cells of DARTS, trained first; an hour on one core
    python benchmarks/zero_cost.py --table FILE --quick    # 16 cells, less than 50 s
    python benchmarks/zero_cost.py --different synflow --out FILE    # one cell of all that are the same function; ten minutes

Spearman's rank correlation with the table's test accuracy after 200 epochs on CIFAR-10, over all cells and over the better half of them; on
CIFAR-100 with its validation accuracy, by which the ensemble was chosen (on cells drawn with another seed). The cells are drawn at random,
the images are CIFAR-10's. Times are of the processor, on as many threads as torch takes. Ends with one line of JSON.

``--darts`` draws cells of the space ``darts`` and trains each for a few epochs on part of CIFAR-10, in networks of 8 cells of width 8 as
``--preset lab`` searches them; the run is kept in the folder RUN and resumed from there. Accuracies are those of validation images, n = 1.

``--different`` scores by the scores that it names alone, and correlates nothing: FILE gets a line of JSON a cell, in random order, which
``search_quality.py --scores FILE`` reads. Begun again, it resumes.
"""

# ruff: noqa: E402 (a script of the checkout, which need not be installed: the imports follow the path)
from __future__ import annotations

import argparse
import itertools
import json
import random
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from common.libraries import quiet_libraries

quiet_libraries()

import numpy as np
import torch
from scipy.stats import spearmanr

import retiarius as rt
from benchmarks.arguments import count
from common.scores import from_stored, to_stored
from evaluators.data.dataset import load_dataset
from evaluators.table import load_table
from evaluators.zero_cost import SCORES
from evaluators.zero_cost.scores import ENSEMBLE, rank_together, score_untrained
from records.lines import append_document, read_lines
from spaces.building import build_network
from spaces.darts.space import DartsSpace
from spaces.darts.vocabulary import SIZES
from spaces.nasbench201.space import NasBench201Space
from spaces.nasbench201.vocabulary import EDGES, NUM_NODES, OPERATION_NAMES, edge_label

CELLS, QUICK_CELLS = 500, 16
DARTS_CELLS, DARTS_EPOCHS, DARTS_IMAGES, DARTS_VALIDATION = 60, 3, 8_000, 0.25
EPOCHS = 200  # of the table's longest trainings
Scores = Mapping[str, Mapping[str, float]]  # by ``form_of``: the scores by name, and ``seconds``


def draw_cells(number: int, seed: int) -> list[dict[str, str]]:
    """Different cells, drawn at random."""
    labels = [edge_label(source, node) for source, node in EDGES]
    cells = itertools.product(OPERATION_NAMES, repeat=len(labels))
    return [dict(zip(labels, cell, strict=True)) for cell in random.Random(seed).sample(list(cells), number)]


def form_of(cell: Mapping[str, str]) -> str:
    """What the cell computes: the same for cells that are the same function by leaving out zeros and skip connections."""
    terms = ["x"]
    for node in range(1, NUM_NODES):
        parts = []
        for source in range(node):
            operation = cell[edge_label(source, node)]
            if operation != "none" and terms[source]:
                parts.append(terms[source] if operation == "skip_connect" else f"{operation}({terms[source]})")
        terms.append("+".join(sorted(f"[{part}]" for part in parts)) if len(parts) > 1 else "".join(parts))
    return terms[-1]


def read_scores(path: Path) -> Scores:
    """What ``--different`` has written, by ``form_of``; a last line that was cut off is passed over."""
    found = {}
    for line in read_lines(path):
        form = form_of(line.pop("cell"))
        found[form] = from_stored(line)
    return found


def score(
    cell: Mapping[str, Any], data: Any, names: Sequence[str], space: Any = NasBench201Space, **sizes: Any
) -> tuple[dict[str, float], dict[str, float]]:
    """The scores of a cell's network, and the seconds of the processor that each took."""
    network = build_network(space, {"num_classes": 10, **sizes}, cell)
    told: dict[str, float] = {}
    seconds: dict[str, float] = {}
    for name in names:
        start = time.process_time()
        told |= score_untrained(network, data, [name])
        seconds[name] = time.process_time() - start
    return told, seconds


def score_different(path: Path, names: Sequence[str], seed: int) -> None:
    """Score a random cell of each form that ``path`` does not have yet; its seconds are those of building the network, too."""
    known, data = set(read_scores(path)), load_dataset("cifar10")
    for cell in draw_cells(len(OPERATION_NAMES) ** len(EDGES), seed):
        if form_of(cell) not in known:
            known.add(form_of(cell))
            start = time.process_time()
            told, _ = score(cell, data, names)
            append_document(path, {"cell": cell, **to_stored(told), "seconds": round(time.process_time() - start, 4)})


def correlate(values: list[float], accuracies: list[float]) -> dict[str, float]:
    """Spearman's correlation over all, and over the half with the better accuracies."""
    better = np.asarray(accuracies) >= np.median(accuracies)
    told = [spearmanr(np.asarray(values)[part], np.asarray(accuracies)[part])[0] for part in (slice(None), better)]
    return {name: round(float(value), 3) for name, value in zip(("all", "better half"), told, strict=True)}


def train_darts(folder: Path, number: int, seed: int) -> Sequence[rt.Trial]:
    """Random cells of DARTS, trained; those of an interrupted run are not trained again."""
    found = rt.search(
        "darts",
        rt.Random(),
        data=rt.load_data("cifar10", limit=DARTS_IMAGES, validation_fraction=DARTS_VALIDATION),
        trials=number,
        epochs=DARTS_EPOCHS,
        preset="lab",
        seed=seed,
        out=folder,
        resume=(folder / "config.json").exists(),
        reporter=rt.Screen(sys.stderr, sys.stderr),
    )
    return [trial for trial in found.trials if trial.score is not None]


def score_all(cells: Sequence[Mapping[str, Any]], *space: Any, **sizes: Any) -> tuple[list[dict[str, float]], dict[str, float]]:
    """The scores of each cell, and by score the seconds of all."""
    data = load_dataset("cifar10")
    scores: list[dict[str, float]] = []
    seconds = dict.fromkeys(SCORES, 0.0)
    for number, cell in enumerate(cells, 1):
        told, took = score(cell, data, SCORES, *space, **sizes)
        seconds = {name: seconds[name] + took[name] for name in SCORES}
        scores.append(told)
        if number % 25 == 0:
            print(f"{number}/{len(cells)} cells", file=sys.stderr, flush=True)
    return scores, seconds


def tell(scores: Sequence[Mapping[str, float]], seconds: Mapping[str, float], accuracies: Mapping[str, list[float]]) -> dict[str, Any]:
    """By score its correlations with the accuracies on each data set, and milliseconds a network."""
    values = {name: [told[name] for told in scores] for name in SCORES} | {"+".join(ENSEMBLE): rank_together(scores)}
    result: dict[str, Any] = {"cells": len(scores), "threads": torch.get_num_threads()}
    for name, column in values.items():
        result[name] = {data_set: correlate(column, known) for data_set, known in accuracies.items()}
        if name in seconds:
            result[name]["ms"] = round(1_000 * seconds[name] / len(scores))
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", type=Path, help="NAS-Bench-201's table")
    parser.add_argument("--darts", type=Path, metavar="RUN", help="rank trained cells of DARTS instead, of the run in this folder")
    parser.add_argument(
        "--cells", type=count, metavar="N", help=f"default: {CELLS}; {QUICK_CELLS} with --quick; {DARTS_CELLS} with --darts"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the cells that are drawn (default: 0)")
    parser.add_argument("--quick", action="store_true", help="few cells")
    parser.add_argument("--out", type=Path, help="a file for all scores, as JSON")
    parser.add_argument("--different", nargs="+", choices=SCORES, metavar="NAME", help="score all different cells by these, to --out")
    arguments = parser.parse_args()
    if arguments.different and arguments.out:
        score_different(arguments.out, arguments.different, arguments.seed)
        return
    if arguments.darts:
        trials = train_darts(arguments.darts, arguments.cells or DARTS_CELLS, arguments.seed)
        scores, seconds = score_all([trial.architecture for trial in trials], DartsSpace, **SIZES["lab"]["search"])
        print(json.dumps(tell(scores, seconds, {"cifar10": [trial.score for trial in trials if trial.score is not None]})))
        return
    if arguments.different or arguments.table is None:
        parser.error("--different needs --out" if arguments.different else "--table FILE is needed")
    cells = draw_cells(arguments.cells or (QUICK_CELLS if arguments.quick else CELLS), arguments.seed)
    tables = {name: load_table(arguments.table, dataset=name) for name in ("cifar10", "cifar100")}
    accuracies = {
        "cifar10": [tables["cifar10"].find(cell).facts["test_accuracy"] for cell in cells],
        "cifar100": [tables["cifar100"].find(cell).fidelities[EPOCHS][0] for cell in cells],
    }
    scores, seconds = score_all(cells)
    if arguments.out is not None:
        arguments.out.write_text(json.dumps([{"cell": cell, **told} for cell, told in zip(cells, scores, strict=True)]))
    print(json.dumps(tell(scores, seconds, accuracies)))


if __name__ == "__main__":
    main()
