from __future__ import annotations

import pytest

from common.arguments import mention, with_flags

KNOWN = ("--dataset", "--max-params", "--max-flops", "--set", "--time-budget", "--order", "--strategy")


@pytest.mark.parametrize(
    "message, shown",
    [
        ("`time_budget` is empty", "--time-budget is empty"),
        ("leave out `max_parameters`, `max_multiply_adds`", "leave out --max-params, --max-flops"),
        ("as before: `data='digits'`", "as before: --dataset digits"),
        ("`order=2` needs `fixed['optimizer']='sgd'`", "--order 2 needs --set optimizer=sgd"),
        ("`fixed['width']`: no such size", "--set width: no such size"),
    ],
)
def test_flags_take_the_place_of_arguments(message: str, shown: str) -> None:
    assert with_flags(message, KNOWN) == shown


def test_what_is_no_option_of_the_program_stays() -> None:
    assert with_flags("`trial_time`, `pip install x` and `x", KNOWN) == "`trial_time`, `pip install x` and `x"


def test_a_flag_counts_as_its_argument() -> None:
    assert mention(["--max-params", "--data-dir", "epochs"]) == "`max_parameters`, `data_dir`, `epochs`"
    assert with_flags(mention(["--max-flops", "--time-budget"]), KNOWN) == "--max-flops, --time-budget"
