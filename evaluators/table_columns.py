"""What the columns of a table mean.

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

import json
import math
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common.errors import EvaluatorError
from common.text import show

KNOWN_COLUMNS = Path(__file__).parent / "tables"
FORMAT, VERSION = "retiarius-table-columns", 1
FACTS = ("parameters", "flops", "test_accuracy")
SEPARATOR = "\x1f"  # between the choices of a row that has a column for each label


@dataclass(frozen=True)
class Row:
    """One sample in the table.

    Attributes
    ----------
    fidelities
        By epochs of training, its score (a fraction in [0, 1]) and its seconds.
    facts
        What else is known of it: some of ``FACTS``.
    """

    fidelities: dict[int, tuple[float, float]]
    facts: dict[str, float]


class RowReader:
    """What the columns of one file mean, and their places in a line.

    Parameters
    ----------
    path
        The table, for messages.
    header
        Its columns.
    entry
        Of a description of columns, what is said of the data set.
    key
        The column by which a row is named; ``None``: there is a column for each choice.
    pattern
        How a row is named by the choices of a sample.

    Raises
    ------
    EvaluatorError
        A column is missing.
    """

    def __init__(self, path: Path, header: Sequence[str], entry: Mapping[str, Any], key: str | None, pattern: str) -> None:
        self._path, self._header, self.pattern = path, list(header), pattern
        labels = labels_of(pattern)
        self._key = [self._place(name) for name in (labels if key is None else [key])]
        self._fidelities = {
            int(epochs): (self._column(pair["score"]), self._column(pair["seconds"])) for epochs, pair in entry["fidelities"].items()
        }
        if not self._fidelities:
            raise EvaluatorError(f"{path}: no columns score_<epochs> and seconds_<epochs>; it has {listed(header)}")
        self._facts = {name: self._column(column) for name, column in entry.get("facts", {}).items() if name in FACTS}

    def _place(self, name: str) -> int:
        if name not in self._header:
            raise EvaluatorError(f"{self._path}: the column {show(name)} is missing; it has {listed(self._header)}")
        return self._header.index(name)

    def _column(self, column: Mapping[str, Any]) -> tuple[int, float]:
        return self._place(column["column"]), float(column["scale"])

    def add(self, fields: Sequence[str], line: int, rows: dict[str, Row]) -> None:
        """Read a line of the file into ``rows``.

        Raises
        ------
        EvaluatorError
            It is cut off, stands there twice, or has a value that is no number or out of range.
        """
        if not fields:
            return
        if len(fields) != len(self._header):
            raise EvaluatorError(
                f"{self._path}, line {line}: {len(fields)} columns where {len(self._header)} belong; the file may be cut off"
            )
        key = SEPARATOR.join(fields[place] for place in self._key)
        if key in rows:
            raise EvaluatorError(
                f"{self._path}, line {line}: the sample {show(key.replace(SEPARATOR, ', '))[1:-1]} stands in the table twice"
            )
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
            raise EvaluatorError(f"{self._path}, line {line}: {listed([self._header[column[0]]])} is {value:g}, expected {right}")
        return value

    def _number(self, fields: Sequence[str], line: int, column: tuple[int, float]) -> float:
        place, scale = column
        try:
            value = float(fields[place]) * scale
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise EvaluatorError(f"{self._path}, line {line}: {listed([self._header[place]])} is {show(fields[place])}, expected a number")
        return value


def listed(names: Sequence[str]) -> str:
    """Return the first names for a message, each cut to a bearable length."""
    return ", ".join(show(name, 40)[1:-1] for name in names[:12]) or "none"


def labels_of(pattern: str) -> list[str]:
    """Return the labels of the choices by which ``pattern`` names a row. Raise as ``parts_of`` does."""
    return [label for _, label in parts_of(pattern) if label]


def parts_of(pattern: str) -> list[tuple[str, str | None]]:
    """Return each text in ``pattern`` and the label after it. Raise ``ValueError`` where a brace is left open or asks for more."""
    parts = list(string.Formatter().parse(pattern))
    if any(form or conversion for _, _, form, conversion in parts):
        raise ValueError("a label in a pattern stands alone in its braces")
    return [(text, label) for text, label, _, _ in parts]


def read_columns(path: Path) -> dict[str, Any]:
    """Return a description of columns from its file; raise ``EvaluatorError`` where it is none."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise EvaluatorError(f"--table-columns {path}: {error.strerror}; expected a JSON file") from None
    except ValueError as error:
        raise EvaluatorError(f"{path}: not JSON: {str(error)[:200]}") from None
    if not isinstance(document, dict) or document.get("format") != FORMAT or document.get("version") != VERSION:
        raise EvaluatorError(f"{path}: not a file of the format {FORMAT!r}, version {VERSION}")
    return document


def find_columns(path: Path, header: Sequence[str]) -> dict[str, Any]:
    """Return the known description that fits; else that of a table whose columns are called by label, score, seconds and fact."""
    for description in sorted(KNOWN_COLUMNS.glob("*.json")):
        known = read_columns(description)
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
    pattern = SEPARATOR.join(f"{{{name}}}" for name in others)
    return {"pattern": pattern, "datasets": {"table": {"fidelities": fidelities, "facts": facts}}}
