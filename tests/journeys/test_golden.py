"""Whole runs leave the same record behind as those that are kept in ``golden/``, and resumed runs the same as uninterrupted ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from golden_compare import assert_same
from golden_runs import BY_NAME, JOURNEYS, Journey, loose_paths, read_golden, run

# Journeys, and after how many trials they are cut off.
CUT_QUICKLY = {"table-random": 7, "table-hpo": 8}
CUT = {"table-evolution": 15, "table-local": 9, "table-tpe": 6, "table-nsga2": 12, "table-median": 11, "table-bo": 4, "table-gp": 4}
CUT |= {"command": 6, "trials-zoo": 1, **CUT_QUICKLY}


def parameters(journey: Journey, *more: int, is_slow: bool) -> Any:
    return pytest.param(journey, *more, id=journey.name, marks=pytest.mark.slow if is_slow else ())


@pytest.mark.parametrize("journey", [parameters(journey, is_slow=journey.is_slow) for journey in JOURNEYS])
def test_the_record_is_the_one_that_is_kept(journey: Journey, tmp_path: Path) -> None:
    assert_same(read_golden(journey.name), run(journey, tmp_path), loose_paths(journey))


@pytest.mark.parametrize(
    ("journey", "trials"),
    [parameters(BY_NAME[name], trials, is_slow=name not in CUT_QUICKLY) for name, trials in CUT.items()],
)
def test_a_resumed_search_ends_with_the_record_of_an_uninterrupted_one(journey: Journey, trials: int, tmp_path: Path) -> None:
    whole = run(journey, tmp_path)
    cut_off(tmp_path / "run", trials)
    assert_same(whole, run(journey, tmp_path))


def cut_off(folder: Path, trials: int) -> None:
    """Leave the run as a kill does after so many trials, before the best of them was written."""
    path = folder / "trials.jsonl"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:trials]))
    for name in ("best.json", "best_parameters.json", "pareto.json"):
        (folder / name).unlink(missing_ok=True)
    config = json.loads((folder / "config.json").read_text())
    del config["ended"]
    (folder / "config.json").write_text(json.dumps(config))
