"""A table of trained networks: what its columns mean, what it answers, what is wrong with one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from nasbench201_table import BEST, MIXED, REAL, make_rows, needs_the_real_one, small_table, write_table

from common.errors import EvaluatorError
from evaluators.table import load_table


@pytest.fixture(scope="module")
def made_up(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_table(tmp_path_factory.mktemp("table") / "made-up.csv.gz", make_rows())


@pytest.mark.slow
def test_a_known_table_needs_no_words(made_up: Path) -> None:
    table = load_table(made_up)
    assert (table.name, table.num_classes, len(table), table.fidelities) == ("cifar10", 10, 15_625, [12, 200])
    assert table.steps(MIXED, [12, 200]) == [pytest.approx((0.45, 30.0)), pytest.approx((0.48, 500.0))]
    assert table.facts(MIXED) == {"parameters": 900_000, "flops": 41_000_000}
    assert table.test_accuracy(MIXED) == pytest.approx(0.47)
    assert load_table(made_up, dataset="cifar100").num_classes == 100


def test_a_table_of_ones_own_has_a_column_for_each_label(tmp_path: Path) -> None:
    table = load_table(small_table(tmp_path, "a,4,0.5,10,0.7,30,1000", "a,8,0.6,20,0.8,60,2000"))
    assert table.fidelities == [3, 9]
    assert table.steps({"second": 8, "first": "a", "other": None}, [9]) == [(0.8, 60.0)]
    assert table.facts({"first": "a", "second": 4}) == {"parameters": 1000}
    table.check_labels(["second", "first"])
    with pytest.raises(EvaluatorError, match="no column for the choice 'third'; it has first, second"):
        table.check_labels(["first", "second", "third"])
    with pytest.raises(
        EvaluatorError, match=r"line 3: the sample a appears twice, first in line 2; to use the rows of one second, set `fixed\['second'\]`"
    ):
        table.narrowed(["first"], {})
    assert table.narrowed(["first"], {"second": 8}).steps({"first": "a"}, [3]) == [(0.6, 20.0)]
    with pytest.raises(EvaluatorError, match="no row has second=16"):
        table.narrowed(["first"], {"second": 16})


def test_labels_may_have_dots_and_must_have_names(tmp_path: Path) -> None:
    dotted = load_table(small_table(tmp_path, "a,4,0.5,10", header="block.1,block.2,score_3,seconds_3"))
    assert dotted.steps({"block.1": "a", "block.2": 4}, [3]) == [(0.5, 10.0)]
    with pytest.raises(EvaluatorError, match=r"small.csv: column 1 has no name; .* to_csv\(index=False\)"):
        load_table(small_table(tmp_path, "0,a,0.5,10", header=",first,score_3,seconds_3"))


def test_columns_can_be_described_in_a_file(tmp_path: Path) -> None:
    path = small_table(tmp_path, "a-b,91.5,60", header="who,accuracy,minutes")
    score, seconds = {"column": "accuracy", "scale": 0.01}, {"column": "minutes", "scale": 60}
    columns = {"format": "retiarius-table-columns", "version": 1, "key": "who", "pattern": "{x}-{y}"}
    columns["datasets"] = {"mine": {"fidelities": {"5": {"score": score, "seconds": seconds}}}}
    (tmp_path / "columns.json").write_text(json.dumps(columns))
    table = load_table(path, tmp_path / "columns.json")
    assert table.steps({"x": "a", "y": "b"}, [5]) == [pytest.approx((0.915, 3600.0))]
    with pytest.raises(EvaluatorError, match=r"`data='yours'` is not in .*, which has scores for mine"):
        load_table(path, tmp_path / "columns.json", "yours")


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([], "no rows"),
        (["a,4,0.5,10,0.7"], "line 2: 5 columns, expected 7; the file may be cut off"),
        (["a,4,0.5,10,0.7,30,1000", "a,4,0.6,10,0.7,30,1000"], "line 3: the sample a, 4 appears twice, first in line"),
        (["a,4,high,10,0.7,30,1000"], "line 2: score_3 is 'high', expected a number"),
        (["a,4,nan,10,0.7,30,1000"], "line 2: score_3 is 'nan', expected a number"),
        (["a,4,0.5,-10,0.7,30,1000"], "line 2: seconds of training are below 0"),
        (["a,4,0.5,10,0.7,30,1000", "a,4.0,0.6,10,0.7,30,1000"], "line 3: the sample a, 4 appears twice, first in line 2"),
    ],
)
def test_broken_rows(tmp_path: Path, rows: list[str], words: str) -> None:
    with pytest.raises(EvaluatorError, match=words):
        load_table(small_table(tmp_path, *rows))


def test_broken_files(tmp_path: Path, made_up: Path) -> None:
    with pytest.raises(EvaluatorError, match=r"nowhere\.csv: No such file"):
        load_table(tmp_path / "nowhere.csv")
    (tmp_path / "cut.csv.gz").write_bytes(made_up.read_bytes()[:5000])
    with pytest.raises(EvaluatorError, match=r"cut\.csv\.gz: broken or cut off"):
        load_table(tmp_path / "cut.csv.gz")
    (tmp_path / "noise.csv").write_bytes(b"\xff\xfe\x00\x81")
    with pytest.raises(EvaluatorError, match="byte 0 is not UTF-8 text"):
        load_table(tmp_path / "noise.csv")
    with pytest.raises(EvaluatorError, match="the column 'c10_val12' is missing"):
        load_table(small_table(tmp_path, "x,1", header="arch_str,score"))
    with pytest.raises(
        EvaluatorError,
        match=r"no column score, and no score_<epochs>; it has first, mse; to say which column is the score, set `table_columns`",
    ):
        load_table(small_table(tmp_path, "x,1", header="first,mse"))
    with pytest.raises(EvaluatorError, match="two columns are called 'first'"):
        load_table(small_table(tmp_path, "x,y,1", header="first,first,score"))
    (tmp_path / "columns.json").write_text('{"format": "retiarius-table-columns", "version": 1}')
    with pytest.raises(EvaluatorError, match=r"columns\.json: not a valid description of columns \(see evaluators/table_columns\.py\):"):
        load_table(made_up, tmp_path / "columns.json")
    column = {"column": "c10_val12", "scale": 1}
    columns = {"format": "retiarius-table-columns", "version": 1, "key": "arch_str", "pattern": "{edge_0_1}"}
    columns["datasets"] = {"cifar10": {"fidelities": {"12": {"score": column, "seconds": column}}}}
    for pattern, words in (
        ("{edge_0_1", "expected '}'"),
        ("{edge_0_1:d}", "a label in a pattern must stand alone in its braces"),
        ("{edge_0_1!r}", "a label in a pattern must stand alone in its braces"),
    ):
        (tmp_path / "columns.json").write_text(json.dumps({**columns, "pattern": pattern}))
        with pytest.raises(EvaluatorError, match=rf"columns\.json: not a valid description of columns .*{words}"):
            load_table(made_up, tmp_path / "columns.json")
    with pytest.raises(EvaluatorError, match="line 1: not CSV: field larger than field limit"):
        load_table(small_table(tmp_path, header="x" * 200_000))
    with pytest.raises(EvaluatorError, match="`time_budget` needs training times, which are 0 in this table: set `trials` instead"):
        load_table(small_table(tmp_path, "a,4,0.5,0,0.7,0,1000")).trials_within(100.0, 3)
    (tmp_path / "columns.json").write_text("[]")
    with pytest.raises(EvaluatorError, match="not a file of the format 'retiarius-table-columns'"):
        load_table(made_up, tmp_path / "columns.json")


def test_sizes_that_a_table_lacks(tmp_path: Path) -> None:
    with pytest.raises(EvaluatorError, match="has no column flops"):
        load_table(small_table(tmp_path, "a,4,0.5,10,0.7,30,1000")).check_sizes(["parameters", "flops"])


@needs_the_real_one
def test_the_real_table() -> None:
    table = load_table(REAL)
    assert len(table) == 15_625
    assert max(row.facts["test_accuracy"] for row in table.rows.values()) == pytest.approx(0.943733)
    assert table.test_accuracy(dict.fromkeys(BEST, "skip_connect")) == pytest.approx(0.5430, abs=1e-4)
