"""The rows of the lab's table: what is searched, and how what was found is trained. See ``lab_table.py``, which runs them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """One way of tuning: what is said of it, the search if there is one, what is retrained and how.

    There are as many runs as ``searches`` times ``seeds``: of each search, which is seeded by its number, so many trainings. Where there
    is a ``choice``, it is one more search, which begins with what those found (the folder of each in place of ``FOUND``), and what it
    finds is trained in their place.
    """

    note: str
    search: str | None
    retrain: str
    seeds: int = 1
    searches: int = 1
    choice: str | None = None


FAST = "--recipe fast --set batch_size=128 --set initial_lr=0.06"  # for cells
DARTS = "--space darts --strategy darts --epochs 2"
CELLS = f"BEST {FAST}"
CONVNET32 = "convnet32 --set width=64 --set depth=3 --epochs 16"
ROWS: dict[str, Row] = {
    "as given": Row("lab recipe, its slip included, resnet18, 30 epochs", None, "resnet18 --recipe lab --epochs 30"),
    "by hand": Row(
        "the same, with the schedule mended (half a cosine over all steps), Nesterov, label smoothing 0.1, cutout 8",
        None,
        "resnet18 --recipe lab --epochs 30 --set schedule=cosine --set nesterov=true --set label_smoothing=0.1 --set cutout=8",
    ),
    "HPO": Row(
        "a student's own search_space.json and config.yml (resnet18, TPE, Medianstop, 20 trials of 8 epochs, two at a time);"
        " the rest by recipe fast; the winner 30 epochs",
        "--config benchmarks/lab8/config.yml --space zoo",
        "BEST --epochs 30",
    ),
    "NAS": Row(
        "first-order DARTS, 8 channels, 8 cells, 2 epochs (the lab: 30); the cell in 20 cells by recipe fast with batches of 128 and a"
        " learning rate of 0.06, 30 epochs",
        DARTS,
        f"{CELLS} --epochs 30",
    ),
    "short NAS": Row("as NAS, with 12 epochs", DARTS, f"{CELLS} --epochs 12"),
    "longer NAS": Row(
        "two searches as that of NAS, of 6 epochs, with ten times the learning rate for the architecture parameters; the cells of the last"
        " two epochs compared by one epoch in 20 cells; the best of those as that of NAS, 30 epochs",
        "--space darts --strategy darts --epochs 6 --set alpha_lr=0.003",
        f"{CELLS} --epochs 30",
        searches=2,
        choice=f"--space darts --strategy random --trials 4 --epochs 1 --workers 2 {FAST} --set num_cells=20 --start-with FOUND:2",
    ),
    "early NAS": Row(
        "the cell that the first search of longer NAS had after its second epoch (docs/found); trained as that of NAS, 30 epochs",
        None,
        f"docs/found/early-NAS.json {FAST} --epochs 30",
    ),
    "light NAS": Row(
        "the alphas of the second search of longer NAS after its sixth epoch, 0.8 times what each operation costs taken off"
        " (benchmarks/light_cells.py: among 22 such cells of both searches the best in short trainings); trained as that of NAS, 20 epochs",
        None,
        f"docs/found/light-NAS.json {FAST} --epochs 20",
    ),
    "light NAS, 30 epochs": Row(
        "as light NAS, trained for 30 epochs",
        None,
        f"docs/found/light-NAS.json {FAST} --epochs 30",
    ),
    "light NAS, batches of 64": Row(
        "as light NAS, trained by what --retrain does unasked with cells (recipe cells: batches of 64), 30 epochs",
        None,
        "docs/found/light-NAS.json --epochs 30",
    ),
    "finer light NAS": Row(
        "as light NAS, with finer weights of the cost: the second search after its fifth epoch, 0.7 times what each operation costs taken"
        " off; trained as that of NAS, 30 epochs",
        None,
        f"docs/found/finer-light-NAS.json {FAST} --epochs 30",
    ),
    "random cells": Row(
        "three cells drawn at random from the space of NAS, each trained as that of short NAS",
        "--space darts --strategy random --trials 1 --epochs 1",
        f"{CELLS} --epochs 12",
        searches=3,
    ),
    "NAS by trials": Row(
        "TPE over the cells of NAS, 40 trials of one epoch in 8 cells, the best four of them again in 20 cells, the best of those"
        " as that of NAS, 30 epochs",
        f"--space darts --strategy tpe --trials 40 --epochs 1 --workers 2 {FAST}",
        f"{CELLS} --epochs 30",
        choice=f"--space darts --strategy random --trials 4 --epochs 1 --workers 2 {FAST} --set num_cells=20 --start-with FOUND:4",
    ),
    "zoo + TPE": Row(
        "TPE over backbone and hyperparameters, at most 120 M multiply-adds, 12 trials of at most 2 epochs; the winner 12 epochs",
        "--space zoo --strategy tpe --recipe fast --trials 12 --epochs 2 --pruner median --max-flops 120M",
        "BEST --epochs 12",
        seeds=3,
    ),
    "small": Row("convnet32, width 32, recipe fast, 4 epochs", None, "convnet32 --set width=32 --epochs 4", seeds=3),
    "a quarter of an hour": Row("convnet32, width 64, depth 3, recipe fast, 16 epochs", None, CONVNET32, seeds=3),
    "an hour, AVX2 alone": Row(
        "as a quarter of an hour, on a processor without bfloat16: what an hour gives there",
        None,
        CONVNET32,
    ),
    "an hour": Row(
        "convnet32, width 96, depth 3, recipe fast with crops of 4 pixels and cutout 12, 28 epochs",
        None,
        "convnet32 --set width=96 --set depth=3 --set crop_padding=4 --set cutout=12 --epochs 28",
        seeds=3,
    ),
}
