"""Answers from a table of what trainings really gave, such as NAS-Bench-201: a sample in, its score and its seconds of training out."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from common.errors import EvaluatorError
from common.text import show
from evaluators.table_columns import SEPARATOR, Row, RowReader, find_columns, labels_of, listed, parts_of, read_columns
from evaluators.table_file import decode, read_bytes
from evaluators.table_values import key_of

SIZES = ("parameters", "flops")


class Table:
    """The table for one data set. Make one with ``load_table``.

    Parameters
    ----------
    name, num_classes
        Of the data set.
    path
        The file, for messages.
    reader
        What its columns mean.
    rows
        All rows, in the order of the file.
    origin
        Which table it is, as plain data.
    labels, fixed
        By which labels of a sample a row is found, and the values of columns that all rows must have; by default all columns, and none.
    names_score
        Whether the score is called as in the table, also where it may be an accuracy.

    Attributes
    ----------
    name, num_classes
        The data set whose scores these are; its number of classes, ``None`` where the table does not say.
    labels
        Those by which a row is found.
    rows
        By their values.
    score_name
        What the score is called, its column or ``score``; ``None`` where it is from 0 to 1 in all rows, as accuracies are.
    fidelities
        The numbers of epochs for which it has scores, in order.

    Raises
    ------
    EvaluatorError
        Two rows are of one sample, or none is left.
    """

    def __init__(
        self,
        name: str,
        num_classes: int | None,
        path: Path,
        reader: RowReader,
        rows: Iterable[Row],
        origin: Mapping[str, Any],
        labels: Sequence[str] | None = None,
        fixed: Mapping[str, Any] | None = None,
        names_score: bool = False,
    ) -> None:
        self.name, self.num_classes, self._path, self._reader = name, num_classes, path, reader
        self._all, self._origin, self._fixed = list(rows), dict(origin), dict(fixed or {})
        self.score_name = reader.score_name if names_score or not self._has_fractions() else None
        self._pattern = [] if reader.pattern is None else parts_of(reader.pattern)
        usual = reader.names if reader.pattern is None else labels_of(reader.pattern)
        self.labels = list(usual if labels is None else labels)
        self.rows = self._find_rows()
        self.fidelities = sorted(next(iter(self.rows.values())).fidelities)

    def __len__(self) -> int:
        return len(self.rows)

    def _find_rows(self) -> dict[str, Row]:
        """Return the rows of this table by what ``_key`` makes of a sample."""
        names = self._reader.names
        places = range(len(names)) if self._reader.pattern is not None else [names.index(label) for label in self.labels]
        wanted = [(names.index(label), key_of(value)) for label, value in self._fixed.items()]
        rows: dict[str, Row] = {}
        for row in self._all:
            if any(row.values[place] != value for place, value in wanted):
                continue
            other = rows.setdefault(SEPARATOR.join(row.values[place] for place in places), row)
            if other is not row:
                raise EvaluatorError(f"{self._path}, line {row.line}: {self._why_twice(row, other, places)}")
        if not rows:
            told = ", ".join(f"{label}={_text(value)}" for label, value in self._fixed.items())
            raise EvaluatorError(f"{self._path}: no row has {told[:300]}")
        return rows

    def _why_twice(self, row: Row, other: Row, places: Iterable[int]) -> str:
        sample = ", ".join(row.values[place] for place in places)
        twice = f"the sample {show(sample)[1:-1]} appears twice, first in line {other.line}"
        differ = [name for name, one, two in zip(self._reader.names, row.values, other.values, strict=True) if one != two]
        return f"{twice}; to use the rows of one {differ[0]}, set `fixed['{differ[0]}']`" if differ else twice

    def narrowed(self, labels: Sequence[str], fixed: Mapping[str, Any], *, names_score: bool = False) -> Table:
        """Return the table in which a row is found by ``labels`` alone, of the rows that have the values of ``fixed``, by column.

        ``names_score`` is as for ``Table``.

        Raises
        ------
        EvaluatorError
            There is no column for one of ``labels``, two rows are of one sample, or no row has the values.
        """
        self.check_labels(labels)
        of_columns = self._reader.pattern is None
        chosen: dict[str, Any] = {"labels": list(labels), "fixed": fixed} if of_columns else {}
        chosen["names_score"] = names_score
        return Table(self.name, self.num_classes, self._path, self._reader, self._all, self._origin, **chosen)

    def describe(self) -> dict[str, Any]:
        """Return which table it is, for the record."""
        named = {} if self.score_name is None else {"score": self.score_name}
        return {"name": self.name, **self._origin, "rows": len(self._all), **named}

    def _has_fractions(self) -> bool:
        """Return whether every score is from 0 to 1, as accuracies are."""
        return all(0 <= score <= 1 for row in self._all for score, _ in row.fidelities.values())

    @property
    def has_epochs(self) -> bool:
        """Whether it says after how many epochs its scores are."""
        return self._reader.has_epochs

    @property
    def has_seconds(self) -> bool:
        """Whether it says what trainings took."""
        return self._reader.has_seconds

    def check_epochs(self, epochs: int | None) -> int:
        """Return ``epochs``, if the table has scores for it, and the fewest for None.

        Raises
        ------
        EvaluatorError
            It has none; says which it has.
        """
        if epochs is None:
            return self.fidelities[0]
        if not self._reader.has_epochs:
            raise EvaluatorError("`epochs` has no use, as the table has one score per row and no score_<epochs>: leave it out")
        if epochs not in self.fidelities:
            known = ", ".join(map(str, self.fidelities))
            raise EvaluatorError(f"`epochs={epochs}` is not in the table, which has scores after {known} epochs")
        return epochs

    def check_labels(self, labels: Collection[str]) -> None:
        """Raise ``EvaluatorError`` unless rows can be found by these labels: each has a column, or all of them make up the key."""
        for label in labels:
            if label not in self.labels:
                raise EvaluatorError(f"the table has no column for the choice {show(label)}; it has {listed(self.labels)}")
        for label in self.labels if self._pattern else ():
            if label not in labels:
                raise EvaluatorError(f"the table has a choice {show(label)} that the space lacks; the space has {listed(list(labels))}")

    def values_of(self, label: str) -> list[str]:
        """Return what stands in the column ``label``, each once, in the order of the file, as ``key_of`` has it; none of a key."""
        if self._pattern:
            return []
        place = self._reader.names.index(label)
        return list(dict.fromkeys(row.values[place] for row in self._all))

    def numbers_of(self, label: str) -> list[float]:
        """Return the numbers in the column ``label`` of its rows; none of a key. Raise ``EvaluatorError`` where one is no number."""
        return [] if self._pattern else self._reader.numbers_in(label, self.rows.values())

    def find(self, sample: Mapping[str, Any]) -> Row:
        """Return the row of ``sample``; labels that the table lacks are passed over. Raise ``EvaluatorError`` where there is none."""
        row = self.rows.get(self._key(sample))
        if row is None:
            choices = ", ".join(f"{label}={_text(sample[label])}" for label in self.labels)
            of_name = "" if self.name == "table" else f" of {self.name}"
            raise EvaluatorError(f"the table{of_name} has no row for {choices[:1000]}{self._missing_value(sample)}")
        return row

    def has(self, sample: Mapping[str, Any]) -> bool:
        """Return whether there is a row of ``sample``."""
        return self._key(sample) in self.rows

    def _key(self, sample: Mapping[str, Any]) -> str:
        if not self._pattern:
            return SEPARATOR.join([key_of(sample[label]) for label in self.labels])
        # Not by format_map, which would take "block.1" for an attribute.
        return "".join(text + (_text(sample[label]) if label else "") for text, label in self._pattern)

    def _missing_value(self, sample: Mapping[str, Any]) -> str:
        """Return which choice of ``sample`` stands in no row at all, in words; nothing where the combination alone is missing."""
        missing = [label for label in self.labels if not self._pattern and key_of(sample[label]) not in self.values_of(label)]
        return f": no row has {missing[0]}={_text(sample[missing[0]])}" if missing else ""

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
            raise EvaluatorError(f"the table of {self.name} has no column {missing[0]}")

    def test_accuracy(self, sample: Mapping[str, Any]) -> float | None:
        """Return the test accuracy (a fraction) after the longest training, if the table has it: for the end of a search, not before."""
        return self.find(sample).facts.get("test_accuracy")

    def test_score(self, sample: Mapping[str, Any]) -> float | None:
        """Return the test figure, whatever it measures: ``test_score``, else ``test_accuracy``; None where the table has neither."""
        facts = self.find(sample).facts
        return facts.get("test_score", facts.get("test_accuracy"))

    def trials_within(self, seconds: float, epochs: int) -> int:
        """Return how many trainings for ``epochs`` that time is worth, at the mean over all rows, one at least.

        Raises
        ------
        EvaluatorError
            Trainings take no time at all.
        """
        total = sum(row.fidelities[epochs][1] for row in self.rows.values())
        if total < 1e-9 * len(self):
            raise EvaluatorError("`time_budget` needs training times, which are 0 in this table: set `trials` instead")
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
    data = read_bytes(path)
    lines = csv.reader(io.StringIO(decode(path, data), newline=""))
    try:
        header = next(lines, [])
    except csv.Error as error:
        raise EvaluatorError(f"{path}, line 1: not CSV: {error}") from None
    meaning = read_columns(columns) if columns is not None else find_columns(path, header)
    try:
        datasets = dict(meaning["datasets"])
        name = next(iter(datasets)) if dataset == "auto" else dataset
        if name not in datasets:
            raise EvaluatorError(f"`data='{show(dataset)[1:-1]}'` is not in {path}, which has scores for {listed(list(datasets))}")
        reader = RowReader(path, header, meaning, name)
        if reader.pattern is not None:
            parts_of(reader.pattern)
        classes = datasets[name].get("num_classes")
    except (KeyError, TypeError, AttributeError, ValueError, StopIteration) as error:
        if isinstance(error, EvaluatorError):
            raise
        raise EvaluatorError(
            f"{columns or path}: not a valid description of columns (see evaluators/table_columns.py): {show(error)}"
        ) from None
    try:
        rows = [row for fields in lines if (row := reader.read(fields, lines.line_num)) is not None]
    except csv.Error as error:
        raise EvaluatorError(f"{path}, line {lines.line_num}: not CSV: {error}") from None
    if not rows:
        raise EvaluatorError(f"{path}: no rows; expected a header and one row per sample")
    origin = {"table": path.name, "sha256": hashlib.sha256(data).hexdigest()}
    return Table(name, classes, path, reader, rows, origin)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
