"""The lab's table, filled in: ways of tuning a CIFAR-10 network, each searched on a validation split and scored once on the test set.

    python benchmarks/lab_table.py                       # every row that is not there yet; hours on two CPU cores
    python benchmarks/lab_table.py --rows "as given" small
    python benchmarks/lab_table.py --quick               # two rows in small, less than 50 s; nothing is kept

Each row is a run of ``run_experiment.py`` in a folder under ``--runs``: interrupted, the same command goes on where it was. A row that is
done is kept in benchmarks/records/lab-table.json, from which docs/results.md is written. Taken out of that file, and its folder taken
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

from benchmarks.arguments import resume_flags
from benchmarks.lab_rows import ROWS, Row
from benchmarks.record import RECORDS, make_run, read_record, write_record
from common.files import write_json_atomically
from records.lines import EpochLog

RECORD, FOUND = "lab-table", ROOT / "docs" / "found"
SEARCH = "--preset lab --dataset cifar10"
QUICK = {"as given": "resnet18 --recipe lab --epochs 1", "small": "convnet32 --set width=16 --epochs 1"}


def run(arguments: list[str], out: Path, log: Path) -> None:
    """One run of the program, gone on with where it was left; its output goes to ``log``."""
    command = [sys.executable, str(ROOT / "run_experiment.py"), *arguments, "--out", str(out), *resume_flags(out)]
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
    return figures(train_all(row, found, folder, data), seconds)


def fill_and_keep(name: str, row: Row, runs: Path, data: list[str], note: str) -> None:
    """As :func:`fill`, with the figures written to the record as they come.

    A search that is there already, in docs/found/, is not done again; its row may come from another machine.
    """
    folder, before, kept = row_folder(name, runs), rows_done().get(name, {}), kept_files(name, row)
    if row.search is not None and is_of(before, row) and all(best.exists() for best in kept):
        found, seconds = kept, [before["values"]["search_seconds"]]
        note = "; ".join([*([note] if note else []), f"the search: {before['machine']['processor']}, {before.get('note', '')}"])
    else:
        found, seconds = search_all(row, folder, data)
        if row.search is not None:
            keep_found(name, row, found)
            note_row(name, row, figures([], seconds), note)
    note_row(name, row, figures(train_all(row, found, folder, data), seconds), note)


def note_row(name: str, row: Row, values: dict[str, Any], note: str) -> None:
    """Put a row into the record, in the place of its run of before."""
    record = read_record(RECORD)  # read anew: another process may have filled in another row meanwhile
    seeds = range(len(values.get("seconds", [])))
    run = {"row": name, **asked_for(row), **make_run(f"python benchmarks/lab_table.py --rows {shlex.quote(name)}", values, seeds, note)}
    record["runs"] = [one for one in record["runs"] if one["row"] != name] + [run]
    write_record(RECORDS / f"{RECORD}.json", record)


def asked_for(row: Row) -> dict[str, Any]:
    """What tells a row's run from that of a row that has been changed since."""
    return {"search": row.search, "searches": row.searches, "choice": row.choice, "retrain": row.retrain}


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


def figures(results: list[dict[str, Any]], search_seconds: list[float]) -> dict[str, Any]:
    """The values of a row's run, from what its trainings gave; one that is searched and not trained yet has no accuracies."""
    told: dict[str, Any] = {"search_seconds": round(statistics.mean(search_seconds)) if search_seconds else 0}
    if results:
        told["test_accuracy"] = [result["plain_test_accuracy"] for result in results]
        told["test_accuracy_mirrored"] = [result["mirrored_test_accuracy"] for result in results]
        told["seconds"] = [round(result["seconds"], 1) for result in results]
        told["parameters"] = sorted({result["parameters"] for result in results})
        told["precision"] = sorted({result["precision"] for result in results})
    return told


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


def summary(values: dict[str, Any]) -> dict[str, float]:
    """What the line of JSON says of a row that is trained: means."""
    told = {name: values[name] for name in ("test_accuracy", "test_accuracy_mirrored", "seconds") if name in values}
    return {name: round(statistics.mean(one), 4) for name, one in told.items()}


def rows_done() -> dict[str, Any]:
    """The run of each row that is in the record."""
    return {run["row"]: run for run in read_record(RECORD)["runs"]}


def is_of(run: dict[str, Any], row: Row) -> bool:
    """Whether ``run``, empty where there is none, is of this row as it now reads."""
    return asked_for(row).items() <= run.items()


def is_done(run: dict[str, Any], row: Row) -> bool:
    """Whether ``run`` is of this row as it now reads, with all its searches and seeds."""
    trainings = row.seeds * (row.searches if row.choice is None else 1)
    return is_of(run, row) and len(run["seeds"]) >= trainings


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="two rows in small, less than 50 s")
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS))
    parser.add_argument("--runs", type=Path, default=ROOT / "runs" / "lab-table", help="where the runs are kept (default: runs/lab-table)")
    parser.add_argument("--data-dir", type=Path, default=Path("data"), help="where CIFAR-10 lies (default: data)")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--note", default="", help="what else has to be known of the runs, such as other work beside them")
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
            fill_and_keep(name, ROWS[name], arguments.runs.absolute(), [*SEARCH.split(), *data], arguments.note)
    print(json.dumps({name: summary(run["values"]) for name, run in rows_done().items() if run["seeds"]}))


if __name__ == "__main__":
    main()
