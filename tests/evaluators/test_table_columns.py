"""Columns of anyone's table: by their names, by a file that describes them, several seeds, other test figures, no time."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from nasbench201_table import small_table

from common.errors import EvaluatorError
from evaluators.table import Table, load_table


def describe(folder: Path, datasets: dict[str, Any], **others: Any) -> Path:
    path = folder / "columns.json"
    path.write_text(json.dumps({"format": "retiarius-table-columns", "version": 1, "datasets": datasets, **others}))
    return path


def test_a_score_needs_neither_epochs_nor_seconds(tmp_path: Path) -> None:
    table = load_table(small_table(tmp_path, " 0.10, a,-3.5,ok", header="lr, act,score,note"))
    assert table.fidelities == [1] and not table.has_epochs and not table.has_seconds
    narrow = table.narrowed(["lr", "act"], {})
    assert narrow.steps({"act": "a", "lr": 1e-1}, [1]) == [(-3.5, 0.0)], "the column note is passed over"
    assert narrow.describe()["score"] == "score", "it is no accuracy"
    assert narrow.check_epochs(None) == 1
    with pytest.raises(EvaluatorError, match="`epochs` has no use, as the table has one score per row and no score_<epochs>: leave it out"):
        narrow.check_epochs(3)


def test_fractions_are_accuracies_unless_the_search_says_otherwise(tmp_path: Path) -> None:
    table = load_table(small_table(tmp_path, "1,0.5", "2,1", header="lr,score"))
    assert "score" not in table.describe()
    assert table.narrowed(["lr"], {}, names_score=True).describe()["score"] == "score"


def test_seeds_are_averaged_and_the_test_figure_may_be_others(tmp_path: Path) -> None:
    path = small_table(tmp_path, "1,80,90,70,60", header="lr,s0,s1,t0,t1")
    columns = describe(
        tmp_path,
        {
            "one": {"score": {"columns": ["s0", "s1"], "scale": 0.01}, "facts": {"test_score": {"columns": ["t0", "t1"]}}},
            "other": {"score": "t1"},
        },
    )
    table = load_table(path, columns)
    assert table.labels == ["lr"], "what any data set has is no label"
    assert table.find({"lr": 1}).fidelities == {1: (pytest.approx(0.85), 0.0)}
    assert table.test_score({"lr": 1}) == 65
    assert load_table(path, columns, "other").narrowed(["lr"], {}).describe()["score"] == "t1", "a single column gives the score its name"


def test_rows_of_one_value(tmp_path: Path) -> None:
    table = load_table(small_table(tmp_path, "1,0,3", "1,1,5", header="lr,seed,score"))
    assert table.narrowed(["lr"], {"seed": 1}).find({"lr": 1}).fidelities[1][0] == 5
    with pytest.raises(EvaluatorError, match=r"small\.csv, line 3: the sample 1 appears twice, .* set `fixed\['seed'\]`"):
        table.narrowed(["lr"], {})


def test_a_missing_row_is_told_by_the_choice_that_has_none(tmp_path: Path) -> None:
    table = load_table(small_table(tmp_path, "1,a,3", "2,b,5", header="lr,act,score"))
    with pytest.raises(EvaluatorError, match=r"no row for lr=1, act=c: no row has act=c$"):
        table.find({"lr": 1, "act": "c"})
    with pytest.raises(EvaluatorError, match=r"no row for lr=1, act=b$"):
        table.find({"lr": 1, "act": "b"})


@pytest.mark.parametrize(
    ("datasets", "words"),
    [
        ({"one": {"score": "loss"}}, "the column 'loss' is missing; it has lr, s0"),
        ({"one": {"score": {"columns": ["s0", "s9"]}}}, "the column 's9' is missing"),
        ({"one": {"score": "s0", "facts": {"test_score": "t"}}}, "the column 't' is missing"),
        ({"one": {"score": {"columns": []}}}, "not a valid description of columns"),
        ({"one": {"score": {"columns": "s0"}}}, "not a valid description of columns"),
        ({"one": {"score": 3}}, "not a valid description of columns"),
        ({"one": {"score": {"column": "s0", "scale": "much"}}}, "not a valid description of columns"),
        ({"one": {}}, "not a valid description of columns"),
        ({"one": 3}, "not a valid description of columns"),
        ([], "not a valid description of columns"),
    ],
)
def test_descriptions_that_are_wrong(datasets: Any, words: str, tmp_path: Path) -> None:
    with pytest.raises(EvaluatorError, match=words) as caught:
        load_table(small_table(tmp_path, "1,3", header="lr,s0"), describe(tmp_path, datasets))
    assert "\n" not in str(caught.value)


def test_text_for_a_number_is_told_by_file_line_and_column(tmp_path: Path) -> None:
    path = small_table(tmp_path, "1,3,4", "2,3,good", header="lr,s0,s1")
    with pytest.raises(EvaluatorError, match=r"small\.csv, line 3: s1 is 'good', expected a number"):
        load_table(path, describe(tmp_path, {"one": {"score": {"columns": ["s0", "s1"]}}}))


def test_a_table_as_it_is_has_all_its_columns_as_labels(tmp_path: Path) -> None:
    table: Table = load_table(small_table(tmp_path, "1,2,3", header="a,b,score"))
    assert (table.labels, table.values_of("b")) == (["a", "b"], ["2"])
