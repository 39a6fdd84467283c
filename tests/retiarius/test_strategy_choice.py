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


@pytest.mark.parametrize(
    ("strategy", "fixed", "message"),
    [
        ("spos", {"alpha_lr": 0.1}, "spos has no setting 'alpha_lr', which is one of darts, gdas"),
        ("darts", {"selection": "inherited"}, "darts has no setting 'selection', which is one of gdas, drnas"),
        ("tpe", {"beta_weight": 50}, "tpe has no setting 'beta_weight', which is one of gdas"),
    ],
)
def test_settings_of_other_strategies_are_refused_by_name(strategy: str, fixed: dict[str, Any], message: str) -> None:
    with pytest.raises(rt.StrategyError, match=message):
        rt.search("darts", strategy, fixed=fixed, data="digits")


@pytest.mark.parametrize(
    ("strategy", "idle", "needed"),
    [
        (rt.SPOS, {"population": 20}, "population: it needs `selection='inherited'` or `selection='trained'`"),
        (rt.SPOS, {"selection": "inherited", "trained_epochs": 3}, "trained_epochs: it needs `selection='trained'`"),
        (rt.GDAS, {"tuning_epochs": 2}, "tuning_epochs: it needs `selection='perturbation'`"),
        (
            rt.DrNAS,
            {"temperatures": [5, 1]},
            "temperatures: it needs sampler='gumbel' or sampler='reinmax' or sampler='gumbel_softmax', not 'dirichlet'",
        ),
        (rt.DrNAS, {"early_stop_steps": 5}, "early_stop_steps: it needs `early_stop` above 0"),
    ],
)
def test_settings_that_would_change_nothing_are_refused(strategy: Any, idle: dict[str, Any], needed: str) -> None:
    with pytest.raises(rt.StrategyError, match=needed):
        strategy(**idle)


def test_the_stages_of_p_darts_leave_the_selection_to_the_last() -> None:
    stages = rt.PDarts(selection="inherited", population=20).stages(3)
    assert [stage.strategy.selection for stage in stages] == ["strongest", "strongest", "inherited"]
    assert [stage.strategy.population for stage in stages] == [50, 50, 20]


def test_what_auto_took_is_named_where_flags_do_not_fit() -> None:
    with pytest.raises(rt.StrategyError, match="auto, here tpe, trains no supernet: leave out --order"):
        strategy_of(parse_settings(["--space", "darts", "--strategy", "auto", "--order", "2"]))
