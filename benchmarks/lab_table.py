"""The lab's table, filled in: ways of tuning a CIFAR-10 network, each searched on a validation split and scored once on the test set.

    python benchmarks/lab_table.py                       # every row that is not there yet; hours on two CPU cores
    python benchmarks/lab_table.py --rows "as given" small
    python benchmarks/lab_table.py --quick               # two rows in small, less than 50 s; nothing is written to docs/

Each row is a run of ``run_experiment.py`` in a folder under ``--runs``: interrupted, the same command goes on where it was. A row that is
done is kept in docs/lab_table.json, and the table of docs/results.md is written from there. Ends with one line of JSON.
"""

# ruff: noqa: E402 (a script of the checkout, which need not be installed: the imports follow the path)
from __future__ import annotations

import argparse
import hashlib
import json
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.results_section import write_section
from records.files import write_json_atomically

BEGIN, END = "<!-- the lab's table: written by benchmarks/lab_table.py -->", "<!-- end of the lab's table -->"
SEARCH = "--preset lab --dataset cifar10"


@dataclass(frozen=True)
class Row:
    """One way of tuning: what is said of it, the search if there is one, what is retrained and how.

    There are as many runs as ``searches`` times ``seeds``: of each search, which is seeded by its number, so many trainings. Where there
    is a ``choice``, it is a second search, after the first, which begins with what that found (its folder in place of ``FOUND``).
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
    ),
    "small": Row("convnet32, width 32, recipe fast, 4 epochs", None, "convnet32 --set width=32 --epochs 4", seeds=3),
    "a quarter of an hour": Row(
        "convnet32, width 64, depth 3, recipe fast, 16 epochs", None, "convnet32 --set width=64 --set depth=3 --epochs 16", seeds=3
    ),
    "an hour": Row(
        "convnet32, width 96, depth 3, recipe fast with crops of 4 pixels and cutout 12, 28 epochs",
        None,
        "convnet32 --set width=96 --set depth=3 --set crop_padding=4 --set cutout=12 --epochs 28",
    ),
}
QUICK = {"as given": "resnet18 --recipe lab --epochs 1", "small": "convnet32 --set width=16 --epochs 1"}


def run(arguments: list[str], out: Path, log: Path) -> None:
    """One run of the program, gone on with where it was left; its output goes to ``log``."""
    resume = ["--resume"] if (out / "config.json").exists() else []
    command = [sys.executable, str(ROOT / "run_experiment.py"), *arguments, "--out", str(out), *resume]
    with log.open("a", encoding="utf-8") as file:
        file.write(f"$ {shlex.join(command)}\n")
        file.flush()
        status = subprocess.run(command, stdout=file, stderr=subprocess.STDOUT, cwd=ROOT, check=False).returncode
    if status != 0:
        raise SystemExit(f"{out}: exit status {status}; see {log}")


def search(command: str, seed: int, found: Path, log: Path, data: list[str]) -> float:
    """Search, unless that is done, with what is found in the folder ``found``; how many seconds it took, killed sittings left out."""
    sittings = found.with_name(f"{found.name}-sittings.txt")
    if not (found / "done").exists():
        start = time.perf_counter()
        try:
            run([*shlex.split(command), "--seed", str(seed), *data], found, log)
        finally:
            with sittings.open("a", encoding="utf-8") as file:
                file.write(f"{time.perf_counter() - start:.0f}\n")
        (found / "done").touch()
    return sum(map(float, sittings.read_text().split()))


def fill(name: str, row: Row, runs: Path, data: list[str]) -> dict[str, Any]:
    """Search and retrain what ``row`` says; the row's figures."""
    commands = (row.search, row.retrain, *([] if row.choice is None else [row.choice]))
    digest = hashlib.sha256("\n".join(map(str, commands)).encode()).hexdigest()[:8]  # a row that was changed is run anew
    folder = runs / f"{name.replace(' ', '-').replace('+', 'and')}-{digest}"
    folder.mkdir(parents=True, exist_ok=True)
    results, searched = [], []
    for number in range(row.searches):
        found = folder / ("search" if number == 0 else f"search-{number}")  # most rows have one
        if row.search is not None:
            searched.append(search(row.search, number, found, folder / "log.txt", data))
        if row.choice is not None:
            command, found = row.choice.replace("FOUND", shlex.quote(str(found))), found.with_name(f"{found.name}-choice")
            searched[-1] += search(command, number, found, folder / "log.txt", data)
        for seed in range(row.seeds):
            run_number = number * row.seeds + seed
            out = folder / f"retrain-{run_number}"
            if not (out / "retrained.json").exists():
                words = [str(found / "best.json") if word == "BEST" else word for word in shlex.split(row.retrain)]
                run(["--retrain", *words, "--seed", str(run_number), *data], out, folder / "log.txt")
            results.append(json.loads((out / "retrained.json").read_text()))
    return {
        "note": row.note,
        "test_accuracies": [result["test_accuracy"] for result in results],
        "seconds": round(statistics.mean(result["seconds"] for result in results)),
        "search_seconds": round(statistics.mean(searched)) if searched else 0,
        "parameters": sorted({result["parameters"] for result in results}),
        "flip_averaging": results[0].get("flip_averaging", False),
        "search": row.search,
        "choice": row.choice,
        "retrain": row.retrain,
    }


def as_markdown(done: dict[str, Any]) -> str:
    """The table; rows that are not done yet say so."""
    heads = ("way of tuning", "settings", "test accuracy", "n", "training", "search", "parameters", "machine")
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for name, row in ROWS.items():
        if name not in done:
            lines.append(f"| {name} | {row.note} | not run yet | | | | | |")
            continue
        result = done[name]
        accuracies = [100 * accuracy for accuracy in result["test_accuracies"]]
        spread = f" ± {statistics.stdev(accuracies):.2f}" if len(accuracies) > 1 else ""
        flips = " (image and mirror image averaged)" if result["flip_averaging"] else ""
        sizes = sorted({min(result["parameters"]), max(result["parameters"])})
        search = f"{result['search_seconds'] / 60:.0f} min" if result["search"] else "-"
        cells = [name, result["note"], f"{statistics.mean(accuracies):.2f}%{spread}{flips}", str(len(accuracies))]
        cells += [f"{result['seconds'] / 60:.1f} min", search, " to ".join(f"{size:,}" for size in sizes), result["machine"]]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def rows_done(kept: Path) -> dict[str, Any]:
    return json.loads(kept.read_text()) if kept.exists() else {}


def is_done(result: dict[str, Any] | None, row: Row) -> bool:
    """Whether ``result`` is of this row as it now reads, with all its searches and seeds."""
    if result is None or (result["search"], result["retrain"], result.get("choice")) != (row.search, row.retrain, row.choice):
        return False
    return len(result["test_accuracies"]) >= row.seeds * row.searches


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="two rows in small, less than 50 s")
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS))
    parser.add_argument("--runs", type=Path, default=ROOT / "runs" / "lab-table", help="where the runs are kept (default: runs/lab-table)")
    parser.add_argument("--data-dir", type=Path, default=Path("data"), help="where CIFAR-10 lies (default: data)")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--machine", default="", help="what to say of the machine in the table")
    arguments = parser.parse_args()
    data = ["--data-dir", str(arguments.data_dir.absolute()), "--precision", arguments.precision]
    if arguments.quick:
        with tempfile.TemporaryDirectory() as folder:
            rows = {name: Row(ROWS[name].note, None, retrain) for name, retrain in QUICK.items()}
            done = {name: fill(name, row, Path(folder), [*data, "--preset", "quick"]) for name, row in rows.items()}
        print(json.dumps({name: {"test_accuracy": row["test_accuracies"][0], "seconds": row["seconds"]} for name, row in done.items()}))
        return
    kept = ROOT / "docs" / "lab_table.json"
    for name in arguments.rows:
        if not is_done(rows_done(kept).get(name), ROWS[name]):
            print(f"{name}: {ROWS[name].note}", flush=True)
            row = {**fill(name, ROWS[name], arguments.runs.absolute(), [*SEARCH.split(), *data]), "machine": arguments.machine}
            done = {**rows_done(kept), name: row}  # read anew: another process may have filled in another row meanwhile
            write_json_atomically(kept, done)
            write_section(ROOT / "docs" / "results.md", as_markdown(done), BEGIN, END)
    done = rows_done(kept)
    print(as_markdown(done))
    print(json.dumps({name: round(statistics.mean(row["test_accuracies"]), 4) for name, row in done.items()}))


if __name__ == "__main__":
    main()
