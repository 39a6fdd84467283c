"""Errors: their kinds, and that their text is one line that quotes anything."""

from __future__ import annotations

import pickle

import pytest
from hostile_runs import HOSTILE

from common.errors import (
    DataError,
    EvaluatorError,
    InputError,
    RecordError,
    RetiariusError,
    RunError,
    SearchFailed,
    SpaceError,
    StrategyError,
    TrainingDiverged,
    describe_error,
    require_labels,
    unknown_label,
    unknown_name,
)


def test_kinds() -> None:
    for kind in (SpaceError, StrategyError, EvaluatorError, DataError, RecordError):
        assert issubclass(kind, InputError) and issubclass(kind, ValueError)
    for kind in (TrainingDiverged, SearchFailed):
        assert issubclass(kind, RunError) and issubclass(kind, RuntimeError)
    assert issubclass(DataError, EvaluatorError)
    assert not issubclass(RunError, InputError)


@pytest.mark.parametrize("text", [HOSTILE, "a\nb\0", "\ud800", "x" * 990_000, "", "plain: 'text', 10%"])
def test_the_text_of_an_error_is_one_printable_line(text: str) -> None:
    for error in (RecordError(f"best.json: unknown space {text}"), SearchFailed(text), RetiariusError(text)):
        assert str(error).isprintable() and len(str(error)) <= 2000
        assert str(RecordError(f"{error}")) == str(error), "an error that quotes an error changes nothing"
        assert str(pickle.loads(pickle.dumps(error))) == str(error)
    assert str(RecordError("plain: 'text', 10%")) == "plain: 'text', 10%"


def test_a_message_that_is_too_long_keeps_both_ends() -> None:
    shown = str(RecordError(f"best.json: {'x' * 990_000}; take resnet18"))
    assert shown.startswith("best.json: xxx") and shown.endswith("xxx; take resnet18") and " ... " in shown


def test_what_made_a_trial_fail_is_said_in_one_line() -> None:
    assert describe_error(RuntimeError("out of memory\n  at line 3")) == "RuntimeError: out of memory"
    assert describe_error(KeyError("lr")) == "KeyError: 'lr'"
    assert describe_error(ValueError()) == "ValueError: no message"
    assert describe_error(ValueError("red \x1b[31m\0")) == "ValueError: red \\x1b[31m\\x00"
    assert len(describe_error(ValueError("x" * 990_000))) < 2100


def test_an_unknown_name_gets_the_closest_and_all_that_are_known() -> None:
    assert unknown_name("strategy", "dart", ["darts", "tpe"]) == "unknown strategy 'dart' (did you mean darts?); known: darts, tpe"
    assert unknown_name("space", 3, ["darts", "zoo"]) == "unknown space 3; known: darts, zoo"
    assert unknown_name("space", "x" * 990_000, ["darts"]) == f"unknown space '{'x' * 76}...; known: darts"
    many = [f"model_{number}" for number in range(1000)]
    assert unknown_name("model", "a", many).endswith(", model_19 and 980 more")
    assert unknown_name("name", "a\n", ["a\nb"]).isprintable()


def test_an_unknown_label_among_many_gets_the_closest() -> None:
    assert unknown_label("backbon", ["backbone", "stem"]) == "unknown label 'backbon'; closest known: backbone"
    assert unknown_label("zzz", [f"edge_{number}" for number in range(20)], "key").endswith(
        "known, for example: " + ", ".join(f"edge_{n}" for n in range(8))
    )
    assert unknown_label([["a"]], ["b\n"]).isprintable()
    require_labels(["stem"], ["backbone", "stem"])
    with pytest.raises(SpaceError, match="unknown label 'backbon'; closest known: backbone"):
        require_labels(["stem", "backbon"], ["backbone", "stem"])
