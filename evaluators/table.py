"""Answers from a table of what trainings really gave, such as NAS-Bench-201: a sample in, its score and its seconds of training out."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
import sys
import zlib
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from common.errors import EvaluatorError
from common.text import show
from evaluators.table_columns import Row, RowReader, find_columns, labels_of, listed, parts_of, read_columns

SIZES = ("parameters", "flops")


class Table:
    """The table for one data set. Make one with ``load_table``.

    Attributes
    ----------
    name, num_classes
        The data set whose scores these are; its number of classes, ``None`` where the table does not say.
    labels
        Those of the choices that a row has.
    rows
        By name.
    fidelities
        The numbers of epochs for which it has scores, in order.
    """

    def __init__(self, name: str, num_classes: int | None, pattern: str, rows: Mapping[str, Row], origin: Mapping[str, Any]) -> None:
        self.name, self.num_classes, self.rows, self._origin = name, num_classes, rows, dict(origin)
        self._pattern = parts_of(pattern)
        self.labels = labels_of(pattern)
        self.fidelities = sorted(next(iter(rows.values())).fidelities)

    def __len__(self) -> int:
        return len(self.rows)

    def describe(self) -> dict[str, Any]:
        """Return which table it is, for the record."""
        return {"name": self.name, **self._origin, "rows": len(self)}

    def check_epochs(self, epochs: int) -> int:
        """Return ``epochs``, if the table has scores for it; raise ``EvaluatorError`` that names those that it has."""
        if epochs not in self.fidelities:
            known = ", ".join(map(str, self.fidelities))
            raise EvaluatorError(f"--epochs {epochs}: the table has scores after {known} epochs of training")
        return epochs

    def check_labels(self, labels: Collection[str]) -> None:
        """Raise ``EvaluatorError`` unless the table is one of samples with these labels."""
        for label in labels:
            if label not in self.labels:
                raise EvaluatorError(f"the table has no column for the choice {show(label)}; it has {listed(self.labels)}")
        for label in self.labels:
            if label not in labels:
                raise EvaluatorError(f"the table is of a choice {show(label)} that the space does not have; it has {listed(list(labels))}")

    def find(self, sample: Mapping[str, Any]) -> Row:
        """Return the row of ``sample``; labels that the table lacks are passed over. Raise ``EvaluatorError`` where there is none."""
        # Not by format_map, which would take "block.1" for an attribute.
        row = self.rows.get("".join(text + (_text(sample[label]) if label else "") for text, label in self._pattern))
        if row is None:
            choices = ", ".join(f"{label}={_text(sample[label])}" for label in self.labels)
            raise EvaluatorError(f"the table of {self.name} has no row for {choices[:1000]}")
        return row

    def steps(self, sample: Mapping[str, Any], fidelities: Sequence[int]) -> list[tuple[float, float]]:
        """Return (score, seconds) of a training of ``sample`` from the start for each number of epochs in ``fidelities``."""
        row = self.find(sample)
        return [row.fidelities[epochs] for epochs in fidelities]

    def facts(self, sample: Mapping[str, Any]) -> dict[str, int]:
        """Return ``parameters`` and ``flops`` (multiply-adds) of ``sample``: those of them that the table has."""
        known = self.find(sample).facts
        return {name: round(known[name]) for name in SIZES if name in known}

    def size(self, name: str, sample: Mapping[str, Any]) -> int:
        """Return ``parameters`` or ``flops`` of a sample, of a table that has them (``check_sizes``)."""
        return self.facts(sample)[name]

    def check_sizes(self, names: Collection[str]) -> None:
        """Raise ``EvaluatorError`` unless the table has these sizes."""
        missing = [name for name in names if name not in next(iter(self.rows.values())).facts]
        if missing:
            raise EvaluatorError(f"the table of {self.name} has no {missing[0]} of its samples")

    def test_accuracy(self, sample: Mapping[str, Any]) -> float | None:
        """Return the test accuracy (a fraction) after the longest training, if the table has it: for the end of a search, not before."""
        return self.find(sample).facts.get("test_accuracy")

    def trials_within(self, seconds: float, epochs: int) -> int:
        """Return how many trainings for ``epochs`` that time is worth, at the mean over all rows, one at least.

        Raises
        ------
        EvaluatorError
            Trainings take no time at all.
        """
        total = sum(row.fidelities[epochs][1] for row in self.rows.values())
        if total < 1e-9 * len(self):
            raise EvaluatorError("--time-budget: the trainings of this table take no time; give --trials N")
        return max(1, int(min(seconds * len(self) / total, sys.maxsize)))


def load_table(path: Path, columns: Path | None = None, dataset: str = "auto") -> Table:
    """Read a table.

    Parameters
    ----------
    path
        A CSV file, as it is or compressed by gzip.
    columns
        The JSON file that says what its columns mean (``evaluators.table_columns``); by default one of those that are known.
    dataset
        Whose scores are wanted; ``auto``: those of the first one.

    Raises
    ------
    EvaluatorError
        A file is missing, broken or cut off, a column is missing, a value is no number, a row stands twice, or the table has no scores
        for ``dataset``.
    """
    data = _read(path)
    lines = csv.reader(io.StringIO(_decode(path, data), newline=""))
    try:
        header = next(lines, [])
    except csv.Error as error:
        raise EvaluatorError(f"{path}, line 1: not CSV: {error}") from None
    meaning = read_columns(columns) if columns is not None else find_columns(path, header)
    try:
        datasets = dict(meaning["datasets"])
        name = next(iter(datasets)) if dataset == "auto" else dataset
        if name not in datasets:
            raise EvaluatorError(f"--dataset {show(dataset)[1:-1]}: {path} has scores for {listed(list(datasets))}")
        entry, key = datasets[name], meaning.get("key")
        reader = RowReader(path, header, entry, None if key is None else str(key), str(meaning["pattern"]))
        classes = entry.get("num_classes")
    except (KeyError, TypeError, AttributeError, ValueError, StopIteration) as error:
        if isinstance(error, EvaluatorError):
            raise
        raise EvaluatorError(
            f"{columns or path}: not a description of columns as evaluators/table_columns.py has it: {show(error)}"
        ) from None
    rows: dict[str, Row] = {}
    try:
        for fields in lines:
            reader.add(fields, lines.line_num, rows)
    except csv.Error as error:
        raise EvaluatorError(f"{path}, line {lines.line_num}: not CSV: {error}") from None
    if not rows:
        raise EvaluatorError(f"{path}: no rows; expected a header and one row a sample")
    origin = {"table": path.name, "sha256": hashlib.sha256(data).hexdigest()}
    return Table(name, classes, reader.pattern, rows, origin)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise EvaluatorError(f"--table {path}: {error.strerror}; expected a CSV file, as it is or compressed by gzip") from None


def _decode(path: Path, data: bytes) -> str:
    try:
        return (gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data).decode("utf-8-sig")
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise EvaluatorError(f"{path}: broken or cut off: {error}") from None
    except UnicodeDecodeError as error:
        raise EvaluatorError(f"{path}: byte {error.start} is not UTF-8 text; expected a CSV file, as it is or compressed by gzip") from None
