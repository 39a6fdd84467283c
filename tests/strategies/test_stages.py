"""What the stages of a search are, and which operations they keep."""

from __future__ import annotations

from typing import Any

import pytest

from common.errors import StrategyError
from strategies import Darts, PDarts
from strategies.stages import Place, split_evenly, strongest


def test_the_defaults_are_the_papers() -> None:
    stages = PDarts().stages(75)
    assert [(stage.cells, stage.keeps, stage.epochs, stage.strategy.skip_dropout) for stage in stages] == [
        (5, 5, 25, (0.0,)),
        (11, 3, 25, (0.4,)),
        (17, None, 25, (0.7,)),
    ]
    assert (PDarts().alpha_warmup, PDarts().alpha_lr, PDarts().most_skips) == (10 / 25, 6e-4, 2)
    assert [stage.place for stage in stages] == [Place(1, 0), Place(2, 25), Place(3, 50)]
    assert [stage.last_epoch for stage in stages] == [25, 50, 75]


def test_other_settings_are_those_of_every_stage() -> None:
    first, second = PDarts(stage_cells=[3, 4], kept_operations=[2], skip_dropout=[0.0, 0.5], sampler="gumbel", alpha_lr=1e-3).stages(5)
    assert all(
        (stage.strategy.sampler, stage.strategy.alpha_lr, stage.strategy.name) == ("gumbel", 1e-3, "p_darts") for stage in (first, second)
    )
    assert (first.epochs, second.epochs, second.place) == (2, 3, Place(2, 2))


def test_a_strategy_without_stages_has_one_of_all_epochs() -> None:
    strategy = Darts()
    (stage,) = strategy.stages(7)
    assert stage.strategy is strategy and (stage.epochs, stage.place, stage.cells, stage.keeps) == (7, Place(), None, None)


@pytest.mark.parametrize(("epochs", "shares"), [(75, [25, 25, 25]), (7, [2, 2, 3]), (8, [2, 3, 3]), (3, [1, 1, 1])])
def test_epochs_are_split_evenly(epochs: int, shares: list[int]) -> None:
    assert split_evenly(epochs, 3) == shares


def test_the_strongest_stay_in_their_order() -> None:
    probabilities = {"edge": {"a": 0.1, "b": 0.4, "c": 0.2, "d": 0.3}, "equal": {"a": 0.5, "b": 0.5}, "few": {"a": 1.0}}
    assert strongest(probabilities, 2) == {"edge": ["b", "d"], "equal": ["a", "b"], "few": ["a"]}
    assert strongest(probabilities, 1) == {"edge": ["b"], "equal": ["b"], "few": ["a"]}, "of equal ones the first are dropped"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"stage_cells": [2, 5, 8]}, r"stage_cells: \[2, 5, 8\] is no list of whole numbers of at least 3, such as \[5, 11, 17\]"),
        ({"stage_cells": 5}, "stage_cells: 5 is no list of whole numbers"),
        ({"stage_cells": []}, "stage_cells: "),
        ({"stage_cells": [5, 11]}, "kept_operations: .* is no list of 1 whole numbers of at least 2, one for each of the 2"),
        ({"kept_operations": [5, 1]}, r"kept_operations: \[5, 1\] is no list of 2 whole numbers of at least 2"),
        ({"skip_dropout": [0.0, 0.4]}, "skip_dropout: .* is no list of 3 numbers from 0 to below 1, one for each of `stage_cells`"),
        ({"skip_dropout": [0.0, 0.4, 1.0]}, "skip_dropout: "),
        ({"most_skips": -1}, "most_skips: -1 is not a whole number of at least 0"),
        ({"order": 2}, "skip_dropout: it works with `order=1` only"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(StrategyError, match=message):
        PDarts(**settings)


def test_too_few_epochs_are_refused() -> None:
    with pytest.raises(StrategyError, match="p_darts has 3 stages of one epoch or more: it needs 3 epochs or more, not 2"):
        PDarts().stages(2)
