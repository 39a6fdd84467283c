"""Which strategy is taken where a person leaves that to the library."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from nasbench201_table import write_made_up

import retiarius as rt
from retiarius.cli.main import strategy_of
from retiarius.cli.settings import parse_settings
from retiarius.settings import SearchSettings
from retiarius.strategy_choice import find_strategy


@pytest.mark.parametrize(
    ("searched", "name"),
    [
        ({}, "tpe"),
        ({"table": Path("t.csv")}, "bo"),
        ({"table": Path("t.csv"), "storage": "sqlite:///s.db"}, "tpe"),
        ({"objectives": ("accuracy", "parameters")}, "nsga2"),
    ],
)
def test_auto_is_the_strategy_that_did_best(searched: dict[str, Any], name: str) -> None:
    assert find_strategy("auto", **searched).name == name


def test_library_and_program_take_the_same(tmp_path: Path) -> None:
    table = write_made_up(tmp_path / "table.csv.gz")
    typed = strategy_of(parse_settings(["--space", "nasbench201", "--strategy", "auto", "--table", str(table)]))
    assert SearchSettings(space="nasbench201", strategy="auto", table=table).strategy == typed == rt.Bayesian()
    assert SearchSettings(space="darts", strategy="auto").strategy == rt.TPE()
