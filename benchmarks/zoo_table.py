"""The table of zoo trainings that the project ships: written from the lines of ``benchmarks/zoo_trainings.py``, and read back.

    python benchmarks/zoo_table.py FOLDER/trainings.jsonl      # writes benchmarks/tables/zoo.csv.gz and zoo_space.json

Of trainings with ``--rates`` it writes ``benchmarks/tables/zoo_rates.csv.gz``, in the same form.

A row is one configuration on one data set. ``score_25``, ``_50``, ``_75`` and ``_100`` are the validation accuracy when that percentage
of the seconds of a training was spent: after the last epoch that had ended by then. ``seconds_*`` are those until that epoch. All are of
one training, whose learning rate falls to zero at its end. Where no epoch had ended the accuracy is that of guessing, and the seconds are
all that were to be spent; a training that diverged guesses from there on. ``curve`` has seconds and accuracy of every epoch.

Searched from the command line, without training:

    python run_experiment.py --search-space benchmarks/tables/zoo_space.json --table benchmarks/tables/zoo.csv.gz \\
        --table-columns benchmarks/tables/zoo.json --set data=cifar10 --epochs 100 --time-budget 160

There a sample is a ``network`` (backbone, with its size or the word small where the stem is) and an optimizer; the other
hyperparameters are those of the row.
"""

# ruff: noqa: E402 (a script of the checkout, which need not be installed: the imports follow the path)
from __future__ import annotations

import argparse
import csv
import gzip
import io
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.arguments import refuse
from benchmarks.zoo_plan import ARCHITECTURE, HYPERPARAMETERS, RATES
from common.files import write_json_atomically
from spaces.zoo.vocabulary import SIZED

TABLES = ROOT / "benchmarks" / "tables"
TABLE, COLUMNS, SPACE = TABLES / "zoo.csv.gz", TABLES / "zoo.json", TABLES / "zoo_space.json"
RATES_TABLE = TABLES / "zoo_rates.csv.gz"
SHARES = (25, 50, 75, 100)  # percent of the seconds of a training
GUESSING = 0.1  # all three data sets have ten classes
NAMES = ("data", "number", "network", *ARCHITECTURE, *HYPERPARAMETERS)
MEASURED = tuple(f"{what}_{share}" for share in SHARES for what in ("score", "seconds"))
REST = ("state", "epochs", "epoch_seconds", "limit", "curve")
TYPES: dict[str, Any] = {"number": int, "width": int, "depth": int, "batch_size": int, "cutout": int, "epochs": int}
TYPES |= dict.fromkeys(("initial_lr", "label_smoothing", "epoch_seconds", "limit"), float)


@dataclass(frozen=True)
class Training:
    """One row.

    Attributes
    ----------
    data
        The data set.
    configuration
        ``NAMES`` but the data set, by name.
    state
        ``ended``, ``diverged`` or ``too slow``: no epoch fits into ``limit``.
    epochs, epoch_seconds
        Of the training; the seconds were measured by a few steps before it.
    limit
        The seconds that it was to have.
    curve
        (seconds so far, validation accuracy) of each epoch.
    """

    data: str
    configuration: Mapping[str, Any]
    state: str
    epochs: int
    epoch_seconds: float
    limit: float
    curve: Sequence[tuple[float, float]]

    def after(self, seconds: float) -> tuple[float, float]:
        """Return (validation accuracy, seconds spent) when ``seconds`` were there to be spent; an end late by rounding is the end."""
        is_whole = seconds >= self.limit
        reached = [point for point in self.curve if is_whole or point[0] <= seconds]
        if not reached:
            return GUESSING, seconds
        is_lost = self.state == "diverged" and (is_whole or len(reached) == len(self.curve))
        return GUESSING if is_lost else reached[-1][1], reached[-1][0]

    @property
    def end(self) -> tuple[float, float]:
        """(Validation accuracy, seconds) at its end."""
        return self.after(self.limit)


def network_of(line: Mapping[str, Any]) -> str:
    """Return a name for backbone, stem and size."""
    if line["backbone"] == SIZED:
        return f"{SIZED} {line['width']}x{line['depth']}"
    return f"{line['backbone']} small" if line["stem"] == "small" else str(line["backbone"])


def training_of(line: Mapping[str, Any], limit: float) -> Training:
    """Return the training of a line of ``trainings.jsonl``."""
    told = {**line, "network": network_of(line)}
    curve = [(seconds, accuracy) for seconds, accuracy, _ in line["curve"]]
    return Training(
        line["data"], {name: told[name] for name in NAMES[1:]}, line["state"], line["epochs"], line["epoch_seconds"], limit, curve
    )


def row_of(training: Training) -> list[Any]:
    """Return the fields of a training."""
    measured = [number for share in SHARES for number in training.after(training.limit * share / 100)]
    curve = " ".join(f"{seconds:g}:{accuracy:g}" for seconds, accuracy in training.curve)
    rest = [training.state, training.epochs, training.epoch_seconds, training.limit, curve]
    return [training.data, *training.configuration.values(), *measured, *rest]


def as_table(trainings: Iterable[Training]) -> bytes:
    """Return the table, compressed, the same bytes for the same trainings."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*NAMES, *MEASURED, *REST])
    writer.writerows(row_of(training) for training in sorted(trainings, key=lambda one: (one.data, one.configuration["number"])))
    return gzip.compress(text.getvalue().encode(), mtime=0)


def read_table(path: Path = TABLE) -> list[Training]:
    """Return the trainings of a table that ``as_table`` wrote."""
    found = []
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            told = {name: TYPES.get(name, str)(text) for name, text in row.items()}
            points = [point.split(":") for point in row["curve"].split()]
            curve = [(float(seconds), float(accuracy)) for seconds, accuracy in points]
            configuration = {name: told[name] for name in NAMES[1:]}
            found.append(Training(told["data"], configuration, told["state"], told["epochs"], told["epoch_seconds"], told["limit"], curve))
    return found


def search_space(trainings: Iterable[Training]) -> dict[str, Any]:
    """Return NNI's search_space.json: networks and optimizers."""
    networks = list(dict.fromkeys(one.configuration["network"] for one in sorted(trainings, key=lambda one: one.configuration["number"])))
    return {"network": {"_type": "choice", "_value": networks}, "optimizer": {"_type": "choice", "_value": list(RATES)}}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("trainings", type=Path, help="trainings.jsonl, beside machine.json")
    arguments = parser.parse_args()
    with refuse(OSError):
        about = json.loads(arguments.trainings.with_name("machine.json").read_text())
        lines = [json.loads(line) for line in arguments.trainings.read_text().splitlines()]
    trainings = [training_of(line, about["limit"]) for line in lines]
    path = RATES_TABLE if about.get("rates") else TABLE
    TABLES.mkdir(exist_ok=True)
    path.write_bytes(as_table(trainings))
    if path == TABLE:
        write_json_atomically(SPACE, search_space(trainings))
    print(json.dumps({"rows": len(trainings), "bytes": path.stat().st_size}))


if __name__ == "__main__":
    main()
