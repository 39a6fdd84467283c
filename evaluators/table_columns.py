"""What the columns of a table mean.

A table is a CSV file, as it is or compressed by gzip, with one row a sample. It needs no more than a header:

- a column for each label of the space, called like it. Values are compared as numbers where both are numbers (0.1, 0.10 and 1e-1 are the
  same), and as texts otherwise;
- ``score``, or ``score_<epochs>`` for each number of epochs after which there is one: any finite number, higher is better (lower with
  ``--optimize-mode minimize``);
- where it is known, ``seconds`` or ``seconds_<epochs>``: what the training took. Without them trials cost nothing, and ``--trials`` ends a
  search;
- where it is known, ``parameters``, ``flops`` (multiply-adds), and ``test_accuracy`` or ``test_score``: what is shown at the end.

Other columns are passed over; ``--set NAME=VALUE`` takes the rows with one value there. What has other names is described in a JSON file,
``--table-columns FILE`` (``evaluators/tables/`` holds those that are known; one is taken where its ``key`` is a column of the table)::

    {"format": "retiarius-table-columns", "version": 1,
     "datasets": {"wine": {                                           # one or more, for --dataset; the first is the default
         "score": COLUMN, "seconds": COLUMN,                          # or, where there are several numbers of epochs:
         "fidelities": {"12": {"score": COLUMN, "seconds": COLUMN}},
         "facts": {"test_score": COLUMN, "parameters": COLUMN},
         "num_classes": 3}},                                          # where networks are to be retrained
     "key": "arch_str", "pattern": "|{edge_0_1}~0|+..."}              # where one column names a row: how, by the labels of a sample

``COLUMN`` is ``"NAME"``, or ``{"column": "NAME", "scale": 0.01}``, or ``{"columns": ["seed0", "seed1", "seed2"], "scale": 0.01}``, whose
mean counts. ``seconds``, ``facts``, ``num_classes``, ``scale``, ``key`` and ``pattern`` may be left out.
"""

from __future__ import annotations

import json
import math
import string
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from common.errors import EvaluatorError
from common.text import show
from evaluators.table_values import NOTHING, key_of, number_in

KNOWN_COLUMNS = Path(__file__).parent / "tables"
FORMAT, VERSION = "retiarius-table-columns", 1
FACTS = ("parameters", "flops", "test_accuracy", "test_score")
SEPARATOR = "\x1f"  # between the values of a row that has a column for each label
ONLY = 1  # the number of epochs of a table that knows none
Places = tuple[tuple[int, ...], float]  # columns whose mean counts, and its factor


@dataclass(frozen=True)
class Row:
    """One sample in the table.

    Attributes
    ----------
    values
        By what it is known: its fields in the columns of the reader's ``names``, each as ``key_of`` has it; of a key the text itself.
    line
        Of the file.
    fidelities
        By epochs of training, its score (any finite number) and its seconds.
    facts
        What else is known of it: some of ``FACTS``.
    """

    values: tuple[str, ...]
    line: int
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
    meaning
        A description of columns.
    dataset
        Which of its data sets is wanted.

    Attributes
    ----------
    names
        The columns by which a row is known: the key, or all that are neither score nor seconds nor fact.
    pattern
        How a key is made of the choices of a sample; ``None``: there is a column for each.
    has_epochs, has_seconds
        Whether numbers of epochs are told, and whether any training has a column for its time.
    score_name
        What the score is called: its column, or ``score``.

    Raises
    ------
    EvaluatorError
        A column is missing.
    """

    def __init__(self, path: Path, header: Sequence[str], meaning: Mapping[str, Any], dataset: str) -> None:
        self._path, self._header = path, [name.strip() for name in header]
        entry, key, pattern = meaning["datasets"][dataset], meaning.get("key"), meaning.get("pattern")
        self.pattern = None if key is None else str(meaning["pattern"])
        trainings = entry.get("fidelities")
        self.has_epochs = trainings is not None
        if trainings is None:
            trainings = {ONLY: entry}
        if not trainings:
            told = "no column score, and no score_<epochs>"
            raise EvaluatorError(f"{path}: {told}; it has {listed(header)}; to say which column is the score, set `table_columns`")
        self._fidelities = {int(epochs): (self._column(told["score"]), self._cost(told)) for epochs, told in trainings.items()}
        self._facts = {name: self._column(column) for name, column in entry.get("facts", {}).items() if name in FACTS}
        self.has_seconds = any(seconds is not None for _, seconds in self._fidelities.values())
        self.score_name = self._name_score(trainings)
        if key is not None or pattern is not None:
            self.names = [str(key)] if key is not None else labels_of(str(pattern))
        else:
            taken = {name for other in meaning["datasets"].values() for name in _columns_in(other)}
            self.names = [name for name in self._header if name not in taken]
        self._names = [self._place(name) for name in self.names]

    def _cost(self, told: Mapping[str, Any]) -> Places | None:
        return self._column(told["seconds"]) if "seconds" in told else None

    def _name_score(self, trainings: Mapping[Any, Any]) -> str:
        names = _names_of(next(iter(trainings.values()))["score"])
        return "score" if len(names) > 1 or names[0].startswith("score_") else names[0]

    def _place(self, name: str) -> int:
        if name not in self._header:
            raise EvaluatorError(f"{self._path}: the column {show(name)} is missing; it has {listed(self._header)}")
        if self._header.count(name) > 1:
            raise EvaluatorError(f"{self._path}: two columns are called {show(name)}")
        return self._header.index(name)

    def _column(self, column: Any) -> Places:
        scale = 1.0 if isinstance(column, str) else float(column.get("scale", 1))
        return tuple(self._place(name) for name in _names_of(column)), scale

    def read(self, fields: Sequence[str], line: int) -> Row | None:
        """Return the row of a line of the file; ``None`` of an empty one.

        Raises
        ------
        EvaluatorError
            It is cut off, or has a value that is no number or out of range.
        """
        if not fields:
            return None
        if len(fields) != len(self._header):
            raise EvaluatorError(f"{self._path}, line {line}: {len(fields)} columns, expected {len(self._header)}; the file may be cut off")
        fidelities = {
            epochs: (self._number(fields, line, score), 0.0 if seconds is None else self._number(fields, line, seconds))
            for epochs, (score, seconds) in self._fidelities.items()
        }
        if any(seconds < 0 for _, seconds in fidelities.values()):
            raise EvaluatorError(f"{self._path}, line {line}: seconds of training are below 0")
        facts = {name: self._number(fields, line, column) for name, column in self._facts.items()}
        values = (fields[place] if self.pattern is not None else key_of(fields[place]) for place in self._names)
        return Row(tuple(values), line, fidelities, facts)

    def numbers_in(self, name: str, rows: Iterable[Row]) -> list[float]:
        """Return the numbers that ``rows`` have in the column ``name``, each once; an empty field is passed over.

        Raises
        ------
        EvaluatorError
            Something else stands there; says where.
        """
        place, numbers = self.names.index(name), {}
        for row in rows:
            text = row.values[place]
            number = number_in(text)
            if number is not None:
                numbers[number] = row
            elif text != NOTHING:
                wrong = f"{listed([name])} is {show(text)}; expected a number or nothing, as a range of numbers is searched"
                raise EvaluatorError(f"{self._path}, line {row.line}: {wrong}")
        return list(numbers)

    def _number(self, fields: Sequence[str], line: int, column: Places) -> float:
        places, scale = column
        values = []
        for place in places:
            try:
                values.append(float(fields[place]) * scale)
            except ValueError:
                values.append(math.nan)
            if not math.isfinite(values[-1]):
                wrong = f"{listed([self._header[place]])} is {show(fields[place])}, expected a number"
                raise EvaluatorError(f"{self._path}, line {line}: {wrong}")
        return values[0] if len(values) == 1 else fmean(values)


def _names_of(column: Any) -> list[str]:
    """Return the columns of a description's ``COLUMN``; raise ``ValueError`` where it is none."""
    names = [column] if isinstance(column, str) else column["columns"] if "columns" in column else [column["column"]]
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        raise ValueError('columns must be a list of names, such as {"columns": ["seed0", "seed1"]}')
    return names


def _columns_in(entry: Mapping[str, Any]) -> list[str]:
    """Return all columns that a description has for one data set."""
    told = [entry, *entry.get("fidelities", {}).values()]
    columns = [one[kind] for one in told for kind in ("score", "seconds") if kind in one]
    return [name for column in [*columns, *entry.get("facts", {}).values()] for name in _names_of(column)]


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
        raise ValueError("a label in a pattern must stand alone in its braces")
    return [(text, label) for text, label, _, _ in parts]


def read_columns(path: Path) -> dict[str, Any]:
    """Return a description of columns from its file; raise ``EvaluatorError`` where it is none."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise EvaluatorError(f"{path}: {error.strerror}; expected a JSON file") from None
    except (ValueError, RecursionError) as error:
        raise EvaluatorError(f"{path}: not JSON: {str(error)[:200]}") from None
    if not isinstance(document, dict) or document.get("format") != FORMAT or document.get("version") != VERSION:
        raise EvaluatorError(f"{path}: not a file of the format {FORMAT!r}, version {VERSION}")
    return document


def find_columns(path: Path, header: Sequence[str]) -> dict[str, Any]:
    """Return the known description that fits; else that of a table whose columns are called by label, score, seconds and fact."""
    for description in sorted(KNOWN_COLUMNS.glob("*.json")):
        known = read_columns(description)
        if known.get("key") in header:
            return known
    names = [name.strip() for name in header]
    if "" in names:
        raise EvaluatorError(f"{path}: column {names.index('') + 1} has no name; from pandas, write the file with to_csv(index=False)")
    lengths = [name.removeprefix("score_") for name in names if name.startswith("score_") and name[6:].isdecimal()]
    entry: dict[str, Any] = {"facts": {name: name for name in names if name in FACTS}}
    if lengths or "score" not in names:
        entry["fidelities"] = {epochs: _training(names, f"score_{epochs}", f"seconds_{epochs}") for epochs in lengths}
    else:
        entry |= _training(names, "score", "seconds")
    return {"datasets": {"table": entry}}


def _training(names: Sequence[str], score: str, seconds: str) -> dict[str, str]:
    return {"score": score, **({"seconds": seconds} if seconds in names else {})}
