"""What a trial prints is taken by the line: all of it up to a bound, and never from a process that was forked."""

from __future__ import annotations

import os
import sys
import warnings

import pytest

from strategies.engines.ray_prints import LEFT_OUT, MOST_CHARACTERS, MOST_LINES, prints_taken


def test_both_streams_are_taken_line_by_line() -> None:
    lines: list[str] = []
    before = sys.stdout, sys.stderr
    with prints_taken(lines.append):
        print("one\ntwo", 3)
        sys.stderr.write("half")
        assert lines == ["one", "two 3"]
        sys.stderr.write(" a line\r\n")
        print("not ended", end="")
    assert lines == ["one", "two 3", "half a line", "not ended"]
    assert (sys.stdout, sys.stderr) == before


def test_of_a_progress_bar_the_last_text_is_taken() -> None:
    lines: list[str] = []
    with prints_taken(lines.append):
        for percent in range(101):
            sys.stderr.write(f"\r{percent}%")
        sys.stderr.write("\n")
        for percent in range(101):
            sys.stderr.write(f"{percent}%\r")
    assert lines == ["100%", "100%"]


def test_neither_many_lines_nor_a_long_one_flood() -> None:
    lines: list[str] = []
    with prints_taken(lines.append):
        print("x" * 10 * MOST_CHARACTERS)
        for number in range(2 * MOST_LINES):
            print(number)
    assert lines == ["x" * MOST_CHARACTERS, *map(str, range(MOST_LINES - 1)), LEFT_OUT]


def test_a_failing_trial_loses_no_line() -> None:
    lines: list[str] = []
    with pytest.raises(ValueError, match="why"), prints_taken(lines.append):
        print("last words", end="")
        raise ValueError("why")
    assert lines == ["last words"]


def test_a_forked_process_prints_as_before(capfd: pytest.CaptureFixture[str]) -> None:
    lines: list[str] = []
    with prints_taken(lines.append), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of threads, which newer Pythons dislike here
        child = os.fork()
        if child == 0:
            print("of the child", flush=True)
            os._exit(len(lines))
        assert os.waitpid(child, 0)[1] == 0
    assert lines == []
    assert capfd.readouterr().out == "of the child\n"
