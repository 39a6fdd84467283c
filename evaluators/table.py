"""Answers from a table of what trainings really gave, such as NAS-Bench-201: a sample in, its score and its seconds of training out.

A table is a CSV file, as it is or compressed by gzip, with one row a sample. What its columns mean is data: a JSON file of this form
(``evaluators/tables/`` holds those that are known; one is taken where its ``key`` is a column of the table)::

    {"format": "retiarius-table-columns", "version": 1,
     "key": "arch_str", "pattern": "|{edge_0_1}~0|+...",            # how a row is named by the choices of a sample, by label
     "datasets": {"cifar10": {                                      # one or more; the first is the default
         "num_classes": 10,
         "fidelities": {"12": {"score": COLUMN, "seconds": COLUMN}},  # by epochs of training: a fraction, higher is better; its cost
         "facts": {"parameters": COLUMN, ...}}}}                    # also known: flops (multiply-adds), test_accuracy

with ``COLUMN`` = ``{"column": NAME, "scale": FACTOR}``. A table without such a file has a column for each label of the space and, for
each number of epochs, ``score_<epochs>`` and ``seconds_<epochs>``; columns called like facts are facts.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
import math
import string
import sys
import zlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common.errors import EvaluatorError

KNOWN_COLUMNS = Path(__file__).parent / "tables"
FORMAT, VERSION = "retiarius-table-columns", 1
FACTS = ("parameters", "flops", "test_accuracy")
SIZES = ("parameters", "flops")
_SEPARATOR = "\x1f"  # between the choices of a row that has a column for each label


@dataclass(frozen=True)
class Row:
    """One sample in the table: by epochs of training its score (a fraction) and its seconds, and what else is known of it."""

    fidelities: dict[int, tuple[float, float]]
    facts: dict[str, float]


class Table:
    """The table for one data set. Make one with ``load_table``.

    Attributes
    ----------
    name, num_classes
        The data set whose scores these are; its number of classes, ``None`` where the table does not say.
    fidelities
        The numbers of epochs for which it has scores, in order.
    """

    def __init__(self, name: str, num_classes: int | None, pattern: str, rows: Mapping[str, Row], origin: Mapping[str, Any]) -> None:
        self.name, self.num_classes, self.rows, self._origin = name, num_classes, rows, dict(origin)
        self._pattern = _parts_of(pattern)
        self.labels = _labels_of(pattern)
        self.fidelities = sorted(next(iter(rows.values())).fidelities)

    def __len__(self) -> int:
        return len(self.rows)

    def describe(self) -> dict[str, Any]:
        """Which table it is, for the record."""
        return {"name": self.name, **self._origin, "rows": len(self)}

    def check_epochs(self, epochs: int) -> int:
        """``epochs``, if the table has scores for it; raises ``EvaluatorError`` that names those that it has."""
        if epochs not in self.fidelities:
            known = ", ".join(map(str, self.fidelities))
            raise EvaluatorError(f"--epochs {epochs}: the table has scores after {known} epochs of training")
        return epochs

    def check_labels(self, labels: Collection[str]) -> None:
        """Raise ``EvaluatorError`` unless the table is one of samples with these labels."""
        for label in labels:
            if label not in self.labels:
                raise EvaluatorError(f"the table has no column for the choice {label!r}; it has {', '.join(self.labels)}")
        for label in self.labels:
            if label not in labels:
                raise EvaluatorError(f"the table is of a choice {label!r} that the space does not have; it has {', '.join(labels)}")

    def find(self, sample: Mapping[str, Any]) -> Row:
        """The row of ``sample``; labels that the table does not know are passed over. Raises ``EvaluatorError`` where there is none."""
        # Not by format_map, which would take "block.1" for an attribute.
        row = self.rows.get("".join(text + (_text(sample[label]) if label else "") for text, label in self._pattern))
        if row is None:
            choices = ", ".join(f"{label}={_text(sample[label])}" for label in self.labels)
            raise EvaluatorError(f"the table of {self.name} has no row for {choices}")
        return row

    def steps(self, sample: Mapping[str, Any], fidelities: Sequence[int]) -> list[tuple[float, float]]:
        """(score, seconds) of a training of ``sample`` anew for each number of epochs in ``fidelities``."""
        row = self.find(sample)
        return [row.fidelities[epochs] for epochs in fidelities]

    def facts(self, sample: Mapping[str, Any]) -> dict[str, int]:
        """``parameters`` and ``flops`` (multiply-adds): those of them that the table has."""
        known = self.find(sample).facts
        return {name: round(known[name]) for name in SIZES if name in known}

    def size(self, name: str, sample: Mapping[str, Any]) -> int:
        """``parameters`` or ``flops`` of a sample, of a table that has them (``check_sizes``)."""
        return self.facts(sample)[name]

    def check_sizes(self, names: Collection[str]) -> None:
        """Raise ``EvaluatorError`` unless the table has these sizes."""
        missing = [name for name in names if name not in next(iter(self.rows.values())).facts]
        if missing:
            raise EvaluatorError(f"the table of {self.name} has no {missing[0]} of its samples")

    def test_accuracy(self, sample: Mapping[str, Any]) -> float | None:
        """The test accuracy (a fraction) after the longest training, where the table has it: for the end of a search, not for the way."""
        return self.find(sample).facts.get("test_accuracy")

    def trials_within(self, seconds: float, epochs: int) -> int:
        """How many trainings for ``epochs`` that time is worth, at the mean over all rows, one at least.

        Raises ``EvaluatorError`` where trainings take no time at all.
        """
        total = sum(row.fidelities[epochs][1] for row in self.rows.values())
        if total < 1e-9 * len(self):
            raise EvaluatorError("--time-budget: the trainings of this table take no time; give --trials N")
        return max(1, int(min(seconds * len(self) / total, sys.maxsize)))


def load_table(path: Path, columns: Path | None = None, dataset: str = "auto") -> Table:
    """Read a table; ``columns`` is the JSON file that says what its columns mean, by default one of those that are known.

    Raises
    ------
    EvaluatorError
        One line, where a file is missing, broken or cut off, a column is missing, a value is no number, a row stands twice, or the table
        has no scores for ``dataset`` (``auto``: its first).
    """
    data = _read(path)
    lines = csv.reader(io.StringIO(_decode(path, data), newline=""))
    try:
        header = next(lines, [])
    except csv.Error as error:
        raise EvaluatorError(f"{path}, line 1: not CSV: {error}") from None
    meaning = _read_columns(columns) if columns is not None else _find_columns(path, header)
    try:
        datasets = dict(meaning["datasets"])
        name = next(iter(datasets)) if dataset == "auto" else dataset
        if name not in datasets:
            raise EvaluatorError(f"--dataset {dataset}: {path} has scores for {', '.join(datasets)}")
        entry, key = datasets[name], meaning.get("key")
        reader = _RowReader(path, header, entry, None if key is None else str(key), str(meaning["pattern"]))
        classes = entry.get("num_classes")
    except (KeyError, TypeError, AttributeError, ValueError, StopIteration) as error:
        if isinstance(error, EvaluatorError):
            raise
        raise EvaluatorError(f"{columns or path}: not a description of columns as evaluators/table.py has it: {error!r}") from None
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


class _RowReader:
    """What the columns of one file mean, and their places in a line."""

    def __init__(self, path: Path, header: Sequence[str], entry: Mapping[str, Any], key: str | None, pattern: str) -> None:
        self._path, self._header, self.pattern = path, list(header), pattern
        labels = _labels_of(pattern)
        self._key = [self._place(name) for name in (labels if key is None else [key])]
        self._fidelities = {
            int(epochs): (self._column(pair["score"]), self._column(pair["seconds"])) for epochs, pair in entry["fidelities"].items()
        }
        if not self._fidelities:
            raise EvaluatorError(f"{path}: no columns score_<epochs> and seconds_<epochs>; it has {', '.join(header[:12])}")
        self._facts = {name: self._column(column) for name, column in entry.get("facts", {}).items() if name in FACTS}

    def _place(self, name: str) -> int:
        if name not in self._header:
            raise EvaluatorError(f"{self._path}: the column {name!r} is missing; it has {', '.join(self._header[:12]) or 'none'}")
        return self._header.index(name)

    def _column(self, column: Mapping[str, Any]) -> tuple[int, float]:
        return self._place(column["column"]), float(column["scale"])

    def add(self, fields: Sequence[str], line: int, rows: dict[str, Row]) -> None:
        if not fields:
            return
        if len(fields) != len(self._header):
            raise EvaluatorError(
                f"{self._path}, line {line}: {len(fields)} columns where {len(self._header)} belong; the file may be cut off"
            )
        key = _SEPARATOR.join(fields[place] for place in self._key)
        if key in rows:
            raise EvaluatorError(f"{self._path}, line {line}: the sample {key.replace(_SEPARATOR, ', ')} stands in the table twice")
        fidelities = {
            epochs: (self._accuracy(fields, line, score), self._number(fields, line, seconds))
            for epochs, (score, seconds) in self._fidelities.items()
        }
        if any(seconds < 0 for _, seconds in fidelities.values()):
            raise EvaluatorError(f"{self._path}, line {line}: seconds of training below 0")
        rows[key] = Row(fidelities, {name: self._fact(name, fields, line, column) for name, column in self._facts.items()})

    def _fact(self, name: str, fields: Sequence[str], line: int, column: tuple[int, float]) -> float:
        return self._accuracy(fields, line, column) if name == "test_accuracy" else self._number(fields, line, column)

    def _accuracy(self, fields: Sequence[str], line: int, column: tuple[int, float]) -> float:
        value = self._number(fields, line, column)
        if not 0 <= value <= 1:
            right = "a fraction from 0 to 1 (divide percent by 100, or give the scale 0.01 in --table-columns FILE)"
            raise EvaluatorError(f"{self._path}, line {line}: {self._header[column[0]]} is {value:g}, expected {right}")
        return value

    def _number(self, fields: Sequence[str], line: int, column: tuple[int, float]) -> float:
        place, scale = column
        try:
            value = float(fields[place]) * scale
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise EvaluatorError(f"{self._path}, line {line}: {self._header[place]} is {fields[place]!r}, expected a number")
        return value


def _labels_of(pattern: str) -> list[str]:
    """The labels of the choices by which ``pattern`` names a row. Raises as ``_parts_of`` does."""
    return [label for _, label in _parts_of(pattern) if label]


def _parts_of(pattern: str) -> list[tuple[str, str | None]]:
    """Each text in ``pattern`` and the label after it. Raises ``ValueError`` where a brace is left open or asks for more."""
    parts = list(string.Formatter().parse(pattern))
    if any(form or conversion for _, _, form, conversion in parts):
        raise ValueError("a label in a pattern stands alone in its braces")
    return [(text, label) for text, label, _, _ in parts]


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


def _read_columns(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise EvaluatorError(f"--table-columns {path}: {error.strerror}; expected a JSON file") from None
    except ValueError as error:
        raise EvaluatorError(f"{path}: not JSON: {error}") from None
    if not isinstance(document, dict) or document.get("format") != FORMAT or document.get("version") != VERSION:
        raise EvaluatorError(f"{path}: not a file of the format {FORMAT!r}, version {VERSION}")
    return document


def _find_columns(path: Path, header: Sequence[str]) -> dict[str, Any]:
    """The known description that fits; else that of a table whose columns are called by label, score, seconds and fact."""
    for description in sorted(KNOWN_COLUMNS.glob("*.json")):
        known = _read_columns(description)
        if known["key"] in header:
            return known
    if "" in header:
        raise EvaluatorError(f"{path}: column {header.index('') + 1} has no name; by pandas it is written with to_csv(index=False)")
    fidelities, others = {}, []
    for name in header:
        kind, _, epochs = name.partition("_")
        if kind in ("score", "seconds") and epochs.isdigit():
            fidelities[epochs] = {kind: {"column": f"{kind}_{epochs}", "scale": 1} for kind in ("score", "seconds")}
        elif name not in FACTS:
            others.append(name)
    facts = {name: {"column": name, "scale": 1} for name in header if name in FACTS}
    pattern = _SEPARATOR.join(f"{{{name}}}" for name in others)
    return {"pattern": pattern, "datasets": {"table": {"fidelities": fidelities, "facts": facts}}}
