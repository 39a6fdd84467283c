"""The program in this process, by its flags: in a folder of its own, on few of the digits."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from few_digits import use_few_digits

from run_experiment import main

SMALL = ["--dataset", "digits", "--device", "cpu", "--precision", "float32"]
ZOO = ["--space", "zoo", "--strategy", "random", *SMALL, "--trials", "1", "--epochs", "1", "--model", "squeezenet1_1"]


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own_with_few_digits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test of a file that imports this."""
    monkeypatch.chdir(tmp_path)
    use_few_digits(monkeypatch)


def run(*arguments: str) -> int:
    return main(list(arguments))


def read(path: str) -> Any:
    return json.loads(Path(path).read_text())


def fails(capsys: pytest.CaptureFixture[str], *arguments: str, status: int = 2) -> str:
    """The one line that the program ends with."""
    assert main(list(arguments)) == status
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1, lines
    assert lines[0].startswith("error: ")
    return lines[0].removeprefix("error: ")
