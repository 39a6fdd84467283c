"""The table of NAS-Bench-201, real where it is beside the checkout, and a made-up one of the same form."""

from __future__ import annotations

import csv
import gzip
import io
import itertools
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from evaluators import table
from evaluators.table import Table
from evaluators.table import load_table as _load_table

REAL = Path(__file__).parents[3] / "shared" / "nasbench201" / "nasbench201.csv.gz"
needs_the_real_one = pytest.mark.skipif(not REAL.is_file(), reason="NAS-Bench-201 is not beside the checkout (shared/nasbench201)")
OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
PARTS = ("val12", "val200", "test200", "time200_s", "params_M", "flops_M")
COLUMNS = ["arch_str", *(f"{data}_{part}" for data in ("c10", "c100") for part in PARTS)]
BEST = dict.fromkeys(("edge_0_1", "edge_0_2", "edge_1_2", "edge_0_3", "edge_1_3", "edge_2_3"), "nor_conv_3x3")
MIXED = {**BEST, "edge_0_1": "none", "edge_2_3": "skip_connect"}


def name_cell(operations: tuple[str, ...]) -> str:
    """The published name of the operations on the edges 0-1, 0-2, 1-2, 0-3, 1-3, 2-3."""
    a, b, c, d, e, f = operations
    return f"|{a}~0|+|{b}~0|{c}~1|+|{d}~0|{e}~1|{f}~2|"


def make_rows() -> list[list[str]]:
    """All cells; every 3x3 convolution is worth 10 points and costs 100 s, in 200 epochs of which 12 cost 0.06."""
    rows = [COLUMNS]
    for operations in itertools.product(OPERATIONS, repeat=6):
        convolutions = operations.count("nor_conv_3x3")
        one = [10 * convolutions + 5, 10 * convolutions + 8, 10 * convolutions + 7, 100 * convolutions + 100]
        values = [*one, 0.1 + 0.2 * convolutions, 10 * convolutions + 1]
        rows.append([name_cell(operations), *(str(value) for _ in range(2) for value in values)])
    return rows


@cache
def _made_up() -> bytes:
    return _as_file(make_rows(), is_compressed=True)


def write_made_up(path: Path) -> Path:
    """Write the table of all cells."""
    path.write_bytes(_made_up())
    return path


def write_table(path: Path, rows: list[list[str]]) -> Path:
    """Write a table; a name that ends in .gz is compressed."""
    path.write_bytes(_as_file(rows, is_compressed=path.suffix == ".gz"))
    return path


def _as_file(rows: list[list[str]], *, is_compressed: bool) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)
    data = text.getvalue().encode()
    return gzip.compress(data) if is_compressed else data


def remember_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the program read a table once for all runs of these tests: all cells take a quarter of a second, many times that of a search."""
    monkeypatch.setattr(table, "load_table", _load_once)


def _load_once(path: Path, columns: Path | None = None, dataset: str = "auto") -> Table:
    if columns is not None or not path.is_file():
        return _load_table(path, columns, dataset)
    return _load_content(path.name, path.read_bytes(), dataset)(path)


@cache
def _load_content(name: str, content: bytes, dataset: str) -> Callable[[Path], Table]:
    tables: list[Table] = []  # none where it cannot be loaded, which is told by the path

    def load(path: Path) -> Table:
        if not tables:
            tables.append(_load_table(path, None, dataset))
        return tables[0]

    return load


def small_table(folder: Path, *rows: str, header: str = "first,second,score_3,seconds_3,score_9,seconds_9,parameters") -> Path:
    """A table of two choices and two numbers of epochs, as anyone may write one."""
    path = folder / "small.csv"
    path.write_text("\n".join([header, *rows]) + "\n")
    return path
