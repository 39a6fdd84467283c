"""Cells that are the same function, and the scores that are kept of them."""

from __future__ import annotations

import json
import math
from pathlib import Path

from benchmarks.zero_cost import form_of, read_scores
from common.scores import from_stored, to_stored
from records.lines import append_document, read_lines
from spaces.nasbench201.vocabulary import EDGES, edge_label


def cell(*operations: str) -> dict[str, str]:
    """Edges 0-1, 0-2, 1-2, 0-3, 1-3, 2-3."""
    return dict(zip([edge_label(*edge) for edge in EDGES], operations, strict=True))


def test_cells_that_are_the_same_function_have_one_form() -> None:
    one = cell("nor_conv_3x3", "none", "skip_connect", "none", "none", "nor_conv_1x1")
    other = cell("none", "nor_conv_3x3", "none", "none", "none", "nor_conv_1x1")
    assert form_of(one) == form_of(other) == "nor_conv_1x1(nor_conv_3x3(x))"
    dead = cell("none", "none", "none", "nor_conv_3x3", "nor_conv_3x3", "avg_pool_3x3")
    assert form_of(dead) == "nor_conv_3x3(x)"
    twice = cell("nor_conv_3x3", "none", "none", "nor_conv_3x3", "skip_connect", "none")
    assert form_of(twice) == "[nor_conv_3x3(x)]+[nor_conv_3x3(x)]" != form_of(dead)


def test_scores_are_read_by_form_and_a_line_that_was_cut_off_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "scores.jsonl"
    assert read_scores(path) == {}
    chosen = cell("none", "none", "none", "skip_connect", "none", "none")
    path.write_text(json.dumps({"cell": chosen, "synflow": 1.5, "seconds": 0.1}) + '\n{"cell": {')
    assert read_scores(path) == {"x": {"synflow": 1.5, "seconds": 0.1}}


def test_a_score_that_could_not_be_had_is_kept(tmp_path: Path) -> None:
    path, scores = tmp_path / "scores.jsonl", {"synflow": -math.inf, "meco": 0.5}
    append_document(path, to_stored(scores))
    assert [from_stored(line) for line in read_lines(path)] == [scores]
