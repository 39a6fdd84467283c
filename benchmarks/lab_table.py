"""The lab's table, filled in: ways of tuning a CIFAR-10 network, each searched on a validation split and scored once on the test set.

    python benchmarks/lab_table.py                       # every row that is not there yet; hours on two CPU cores
    python benchmarks/lab_table.py --rows "as given" small
    python benchmarks/lab_table.py --quick               # two rows in small, less than 50 s; nothing is written to docs/

Each row is a run of ``run_experiment.py`` in a folder under ``--runs``: interrupted, the same command goes on where it was. A row that is
done is kept in docs/lab_table.json, and the table of docs/results.md is written from there. Taken out of that file, and its folder taken
away, it is run again. What its search found is kept in docs/found/, as a ``best.json`` that can be trained anew, with the architecture
parameters of each epoch where a supernet was searched. Ends with one line of JSON.
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
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.lab_rows import ROWS, Row
from benchmarks.machine import processor
from benchmarks.results_section import write_section
from common.files import write_json_atomically
from records.lines import EpochLog

BEGIN, END = "<!-- the lab's table: written by benchmarks/lab_table.py -->", "<!-- end of the lab's table -->"
TABLE, FOUND = ROOT / "docs" / "lab_table.json", ROOT / "docs" / "found"
SEARCH = "--preset lab --dataset cifar10"
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
    """Search, unless that is done, with what is found in the folder ``found``; its seconds, without killed sittings."""
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
    """Search and train what ``row`` says; the row's figures."""
    folder = row_folder(name, runs)
    found, seconds = search_all(row, folder, data)
    return figures(row, train_all(row, found, folder, data), seconds)


def fill_and_keep(name: str, row: Row, runs: Path, data: list[str], machine: str) -> None:
    """As :func:`fill`, with the figures written to docs/ as they come.

    A search that is there already, in docs/found/, is not done again; its row may come from another machine.
    """
    folder, before, kept = row_folder(name, runs), rows_done().get(name, {}), kept_files(name, row)
    if row.search is not None and is_of(before, row) and all(best.exists() for best in kept):
        found, seconds = kept, [before["search_seconds"]]
        machine = machine if machine == before["machine"] else f"{machine}; the search: {before['machine']}"
    else:
        found, seconds = search_all(row, folder, data)
        if row.search is not None:
            keep_found(name, row, found)
            note_row(name, figures(row, [], seconds), machine)
    note_row(name, figures(row, train_all(row, found, folder, data), seconds), machine)


def note_row(name: str, row: dict[str, Any], machine: str) -> None:
    """Write a row to docs/lab_table.json and docs/results.md."""
    done = {**rows_done(), name: {**row, "machine": machine}}  # read anew: another process may have filled in another row meanwhile
    write_json_atomically(TABLE, done)
    write_section(ROOT / "docs" / "results.md", as_markdown(done), BEGIN, END)


def row_folder(name: str, runs: Path) -> Path:
    """Where the runs of a row lie."""
    folder = runs / file_name(name)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def file_name(row_name: str) -> str:
    return row_name.replace(" ", "-").replace("+", "and")


def mark(*commands: object) -> str:
    """For the name of a folder: what a row's changed command asks for goes into another, and is run anew."""
    return hashlib.sha256("\n".join(map(str, commands)).encode()).hexdigest()[:8]


def search_all(row: Row, folder: Path, data: list[str]) -> tuple[list[Path], list[float]]:
    """The ``best.json`` of each thing to be trained, none without a search, and how many seconds the search for each took."""
    if row.search is None:
        return [], []
    log, numbers = folder / "log.txt", range(row.searches)
    folders = [folder / f"search-{mark(row.search)}-{number}" for number in numbers]
    seconds = [search(row.search, number, folders[number], log, data) for number in numbers]
    if row.choice is not None:
        words: list[str] = []
        for word in shlex.split(row.choice):
            words += [word.replace("FOUND", str(found)) for found in folders] if word.startswith("FOUND") else [word]
        choice = folder / f"choice-{mark(row.search, row.searches, row.choice)}"
        seconds = [sum(seconds) + search(shlex.join(words), 0, choice, log, data)]
        folders = [choice]
    return [found / "best.json" for found in folders], seconds


def train_all(row: Row, found: list[Path], folder: Path, data: list[str]) -> list[dict[str, Any]]:
    """What ``retrained.json`` says of each training: of all in ``found``, or of the network that the row names, with every seed."""
    results = []
    for number, best in enumerate(found or [Path()]):
        words = [str(best) if word == "BEST" else word for word in shlex.split(row.retrain)]
        for seed in range(number * row.seeds, (number + 1) * row.seeds):
            out = folder / f"retrain-{mark(row.search, row.searches, row.choice, row.retrain)}-{seed}"
            if not (out / "retrained.json").exists():
                run(["--retrain", *words, "--seed", str(seed), *data], out, folder / "log.txt")
            results.append(json.loads((out / "retrained.json").read_text()))
    return results


def figures(row: Row, results: list[dict[str, Any]], search_seconds: list[float]) -> dict[str, Any]:
    """A row of docs/lab_table.json, from what its trainings gave; one that is searched and not trained yet has no accuracies."""
    return {
        "note": row.note,
        "test_accuracies": [result["test_accuracy"] for result in results],
        "seconds": round(statistics.mean(result["seconds"] for result in results)) if results else 0,
        "search_seconds": round(statistics.mean(search_seconds)) if search_seconds else 0,
        "parameters": sorted({result["parameters"] for result in results}),
        "flip_averaging": any(result.get("flip_averaging", False) for result in results),
        "precision": sorted({result["precision"] for result in results}),
        "search": row.search,
        "searches": row.searches,
        "choice": row.choice,
        "retrain": row.retrain,
    }


def kept_files(name: str, row: Row) -> list[Path]:
    """Where docs/found/ has what the searches of a row found."""
    count = row.searches if row.choice is None else 1
    return [FOUND / f"{file_name(name)}{f'-{number}' if number else ''}.json" for number in range(count)]


def keep_found(name: str, row: Row, found: list[Path]) -> None:
    """Copy the files ``found`` to docs/found/, with the history of the supernets that lie beside them."""
    FOUND.mkdir(exist_ok=True)
    for best, kept in zip(found, kept_files(name, row), strict=True):
        write_json_atomically(kept, json.loads(best.read_text()))
    supernets = sorted(found[0].parents[1].glob(f"search-{mark(row.search)}-*/epochs.jsonl"))
    if supernets:
        write_json_atomically(FOUND / f"{file_name(name)}-alphas.json", [alphas_by_epoch(path) for path in supernets])


def alphas_by_epoch(epochs: Path) -> list[dict[str, Any]]:
    """Of each epoch in the ``epochs.jsonl`` of a one-shot search its accuracies and entropy, and the architecture parameters by edge."""
    history = []
    for epoch in EpochLog(epochs).read():
        said = {name: round(epoch[name], 4) for name in ("train_accuracy", "validation_accuracy", "entropy")}
        # One line an edge, its operations in their order.
        alphas = {edge: " ".join(f"{name} {value:.3f}" for name, value in of_edge.items()) for edge, of_edge in epoch["alphas"].items()}
        history.append({"epoch": epoch["number"], **said, "alphas": alphas})
    return history


def as_markdown(done: dict[str, Any]) -> str:
    """The table; rows that are not done yet say so."""
    heads = ("way of tuning", "settings", "test accuracy", "n", "training", "search", "parameters", "machine")
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for name, row in ROWS.items():
        if name not in done:
            lines.append(f"| {name} | {row.note} | not run yet | | | | | |")
            continue
        result = done[name]
        if not result["test_accuracies"]:
            search = f"{result['search_seconds'] / 60:.0f} min"
            lines.append(f"| {name} | {result['note']} | searched, not trained yet | | | {search} | | {result['machine']} |")
            continue
        accuracies = [100 * accuracy for accuracy in result["test_accuracies"]]
        spread = f" ± {statistics.stdev(accuracies):.2f}" if len(accuracies) > 1 else ""
        flips = " (image and mirror image averaged)" if result["flip_averaging"] else ""
        sizes = sorted({min(result["parameters"]), max(result["parameters"])})
        search = f"{result['search_seconds'] / 60:.0f} min" if result["search"] else row.searched or "-"
        cells = [name, result["note"], f"{statistics.mean(accuracies):.2f}%{spread}{flips}", str(len(accuracies))]
        precision = "".join(f", {used}" for used in result.get("precision", []))
        cells += [f"{result['seconds'] / 60:.1f} min", search, " to ".join(f"{size:,}" for size in sizes), result["machine"] + precision]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def summary(row: dict[str, Any]) -> dict[str, Any]:
    """What the line of JSON says of a row that is trained."""
    mean = round(statistics.mean(row["test_accuracies"]), 4)
    return {"test_accuracy": mean, "flip_averaging": row["flip_averaging"], "seconds": row["seconds"]}


def rows_done() -> dict[str, Any]:
    return json.loads(TABLE.read_text()) if TABLE.exists() else {}


def is_of(result: dict[str, Any], row: Row) -> bool:
    """Whether ``result``, empty where there is none, is of this row as it now reads."""
    asked = {"search": row.search, "searches": row.searches, "choice": row.choice, "retrain": row.retrain}
    return asked.items() <= result.items()


def is_done(result: dict[str, Any], row: Row) -> bool:
    """Whether ``result`` is of this row as it now reads, with all its searches and seeds."""
    runs = row.seeds * (row.searches if row.choice is None else 1)
    return is_of(result, row) and len(result["test_accuracies"]) >= runs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="two rows in small, less than 50 s")
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS))
    parser.add_argument("--runs", type=Path, default=ROOT / "runs" / "lab-table", help="where the runs are kept (default: runs/lab-table)")
    parser.add_argument("--data-dir", type=Path, default=Path("data"), help="where CIFAR-10 lies (default: data)")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--machine", default=processor(), help="what to say of the machine in the table (default: the processor)")
    arguments = parser.parse_args()
    data = ["--data-dir", str(arguments.data_dir.absolute()), "--precision", arguments.precision]
    if arguments.quick:
        with tempfile.TemporaryDirectory() as folder:
            rows = {name: Row(ROWS[name].note, None, retrain) for name, retrain in QUICK.items()}
            done = {name: fill(name, row, Path(folder), [*data, "--preset", "quick"]) for name, row in rows.items()}
        print(json.dumps({name: summary(row) for name, row in done.items()}))
        return
    for name in arguments.rows:
        if not is_done(rows_done().get(name, {}), ROWS[name]):
            print(f"{name}: {ROWS[name].note}", flush=True)
            fill_and_keep(name, ROWS[name], arguments.runs.absolute(), [*SEARCH.split(), *data], arguments.machine)
    done = rows_done()
    print(as_markdown(done))
    print(json.dumps({name: summary(row) for name, row in done.items() if row["test_accuracies"]}))


if __name__ == "__main__":
    main()
