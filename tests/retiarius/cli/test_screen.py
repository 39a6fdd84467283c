"""The screen: what a person reads in a file, on a terminal, and on terminals that can do little."""

from __future__ import annotations

import fcntl
import io
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest

from retiarius.cli.screen import Screen

PROJECT = Path(__file__).resolve().parents[3]
SHOW_EVERYTHING = """
import time
from retiarius.cli.screen import Screen
screen = Screen()
with screen.waiting("loading"):
    time.sleep(0.2)
screen.say("Data: digits \\u2192 1,797 [not markup] \\udc80")
screen.warn("CIFAR-10 is not here \\u2192 using digits")
with screen.progress(4, "trials", "search") as progress:
    for score in (0.5, 0.9, 0.7, float("nan")):
        progress.update(best=score, detail="loss 1.25")
        time.sleep(0.02)
    screen.warn("trial 3 failed")
    print("a library prints")
rows = [("backbone", "resnet18"), ("validation accuracy", "90.00%"), ("folder", "runs/" + "x" * 90)]
screen.closing_table("Found", rows)
screen.closing_table("Runs", [["a", 1], ["b", 2]], header=["run", "trials"])
screen.next_command("python run_experiment.py --retrain runs/" + "x" * 90 + "/best.json")
screen.error("it failed")
"""
FOLDER, COMMAND = "runs/" + "x" * 90, f"    python run_experiment.py --retrain runs/{'x' * 90}/best.json"
CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def make_environment(**changes: str) -> dict[str, str]:
    dropped = ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES", "PYTHONIOENCODING", "PYTHONUTF8", "LC_ALL", "LANG")
    kept = {key: value for key, value in os.environ.items() if key not in dropped}
    return {**kept, "TERM": "xterm-256color", "LANG": "C.UTF-8", **changes}


def run_plain(**environment: str) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-c", SHOW_EVERYTHING]
    result = subprocess.run(command, cwd=PROJECT, env=make_environment(**environment), capture_output=True, timeout=30, check=False)
    assert result.returncode == 0 and b"Traceback" not in result.stderr, result.stderr.decode()
    return result


def run_on_terminal(columns: int, **environment: str) -> str:
    """Everything that the program sends to a terminal of this width, control codes included."""
    master, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    command = [sys.executable, "-c", SHOW_EVERYTHING]
    with subprocess.Popen(
        command, cwd=PROJECT, env=make_environment(**environment), stdin=terminal, stdout=terminal, stderr=terminal
    ) as process:
        os.close(terminal)
        chunks = []
        while True:
            try:
                chunk = os.read(master, 65_536)
            except OSError:  # Linux says so at the end
                break
            if not chunk:
                break
            chunks.append(chunk)
    os.close(master)
    text = b"".join(chunks).decode("utf-8", "replace")
    assert process.returncode == 0 and "Traceback" not in text, text
    return text


# --- files and pipes --------------------------------------------------------------------------------------------------


def test_a_file_gets_plain_lines_and_standard_error_what_is_wrong() -> None:
    result = run_plain()
    out, err = result.stdout.decode(), result.stderr.decode()
    assert "\x1b" not in out + err
    lines = [line.rstrip() for line in out.splitlines()]
    assert lines[0] == "Data: digits → 1,797 [not markup] ?"
    assert [line.split(", ")[:2] for line in lines if line.startswith("search: ")] == [
        ["search: 1/4 trials", "best 50.00%"],
        ["search: 2/4 trials", "best 90.00%"],
        ["search: 3/4 trials", "best 90.00%"],
        ["search: 4/4 trials", "best 90.00%"],
    ]
    assert "Found" in lines and " validation accuracy  90.00%" in lines and f" folder               {FOLDER}" in lines
    assert lines[-2:] == ["Next:", COMMAND]
    assert err.splitlines() == [
        "WARNING: CIFAR-10 is not here → using digits",
        "WARNING: trial 3 failed",
        "error: it failed",
    ]


@pytest.mark.parametrize(
    "environment",
    [
        {"LANG": "C", "LC_ALL": "C"},
        {"LANG": "C", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"PYTHONIOENCODING": "ascii"},
        {"PYTHONIOENCODING": "latin-1"},
        {"TERM": "dumb", "COLUMNS": "1"},
        {"FORCE_COLOR": "1"},
    ],
)
def test_poor_surroundings_get_the_same_without_what_they_cannot_show(environment: dict[str, str]) -> None:
    result = run_plain(**environment)
    assert b"\x1b" not in result.stdout + result.stderr
    assert b"search: 4/4 trials, best 90.00%" in result.stdout
    assert COMMAND.encode() in result.stdout and b"WARNING: CIFAR-10 is not here" in result.stderr


def test_a_closed_pipe_does_not_end_the_run(tmp_path: Path) -> None:
    code = SHOW_EVERYTHING + f"open({str(tmp_path / 'done')!r}, 'w').close()\n"
    read_end, write_end = os.pipe()
    os.close(read_end)
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, cwd=PROJECT, env=make_environment(), stdout=write_end, stderr=subprocess.PIPE, timeout=30, check=False)
    os.close(write_end)
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "done").exists() and b"Error" not in result.stderr and b"error: it failed" in result.stderr


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full on this system")
def test_a_full_disk_behind_the_output_does_not_end_the_run() -> None:
    command = [sys.executable, "-c", SHOW_EVERYTHING]
    with open("/dev/full", "wb") as full:
        result = subprocess.run(command, cwd=PROJECT, env=make_environment(), stdout=full, stderr=subprocess.PIPE, timeout=30, check=False)
    assert result.returncode == 0 and b"error: it failed" in result.stderr, result.stderr


def test_streams_may_be_given_and_even_closed() -> None:
    out, err = io.StringIO(), io.StringIO()
    screen = Screen(out, err)
    screen.say("hello")
    screen.error("bad")
    assert (out.getvalue(), err.getvalue()) == ("hello\n", "error: bad\n")
    screen.closing_table("Nothing", [])
    out.close()
    screen.say("nobody hears this")
    with screen.progress(1, "trials", "search") as progress:
        progress.update()


# --- terminals --------------------------------------------------------------------------------------------------------


def test_a_terminal_gets_a_bar_with_the_best_and_the_time() -> None:
    text = run_on_terminal(120)
    assert "\x1b[?25l" in text and text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l"), "the cursor comes back"
    plain = CONTROL.sub("", text)
    waited_for, _, shown = text.partition("Data: digits")
    assert "loading" in waited_for and "\x1b[2K" in waited_for and "loading" not in shown, "gone when it is over"
    assert "━" in plain
    assert re.search(r"━ search  4/4 trials  best 90\.00%  [\d.]+ s so far  loss 1\.25", plain)
    assert "\x1b[1;33mWARNING: CIFAR-10 is not here → using digits" in text
    assert "WARNING: trial 3 failed\r\n" in plain and "a library prints\r\n" in plain, "whole lines, above the bar"
    assert COMMAND in plain


def test_no_color_is_honoured() -> None:
    codes = set(re.findall(r"\x1b\[([0-9;]*)m", run_on_terminal(120, NO_COLOR="1")))
    assert not [code for code in codes if re.search(r"(^|;)(3\d|4\d|9\d|10\d)", code)], codes


@pytest.mark.parametrize("columns", [1, 20, 45])
def test_narrow_terminals_keep_the_words_and_one_line_of_progress(columns: int) -> None:
    text = run_on_terminal(columns)
    plain = CONTROL.sub("", text)
    assert COMMAND in plain, "the command is not broken, so it can be copied"
    drawn = [line for line in re.split(r"[\r\n]+", plain) if line.startswith("search  "[:columns])]
    assert drawn and all(len(line) <= columns for line in drawn)


def test_a_terminal_that_knows_no_unicode() -> None:
    text = CONTROL.sub("", run_on_terminal(120, PYTHONIOENCODING="ascii"))
    assert "━" not in text and "- search  4/4 trials  best 90.00%" in text
    assert "CIFAR-10 is not here ? using digits" in text
