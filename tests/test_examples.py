"""The examples run as a person runs them, end well, and stay short."""

from __future__ import annotations

import json
import runpy
import shlex
from pathlib import Path

import pytest

import run_experiment
from spaces import SPACES

PROJECT = Path(__file__).parents[1]
EXAMPLES = PROJECT / "examples"
SMALL = ["--epochs", "1", "--dataset", "digits"]


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(EXAMPLES)  # as Python does for a script


def run(monkeypatch: pytest.MonkeyPatch, name: str, *arguments: str) -> None:
    """A script run as a program, in this process, which has imported the libraries already."""
    try:
        run_to_its_end(monkeypatch, name, *arguments)
    except SystemExit as end:
        assert not end.code


def run_to_its_end(monkeypatch: pytest.MonkeyPatch, name: str, *arguments: str) -> None:
    monkeypatch.setattr("sys.argv", [str(EXAMPLES / name), *arguments])
    runpy.run_path(str(EXAMPLES / name), run_name="__main__")


def next_command(printed: str) -> list[str]:
    """The words of the command that is shown at the end of a search."""
    (command,) = [line for line in printed.splitlines() if "--retrain" in line]
    return shlex.split(command)


FILES = sorted(path for path in EXAMPLES.rglob("*") if path.is_file() and "__pycache__" not in path.parts)


def code_of(path: Path) -> list[str]:
    """The lines of a file; of a notebook those of its code."""
    if path.suffix != ".ipynb":
        return path.read_text(encoding="utf-8").splitlines()
    return [line for cell in read_cells(path) for line in cell.splitlines()]


def read_cells(path: Path) -> list[str]:
    """The code of a notebook, cell by cell."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]


@pytest.mark.slow
def test_the_notebook(capsys: pytest.CaptureFixture[str]) -> None:
    path = EXAMPLES / "first_search.ipynb"
    assert len(code_of(path)) <= 40
    names: dict[str, object] = {}
    first, *others = read_cells(path)
    few = first.replace('load_data("digits")', 'load_data("digits", limit=500)')
    assert few != first
    for cell in (few, *others):
        exec(compile(cell, path.name, "exec"), names)
    *_, accuracy, answer = capsys.readouterr().out.splitlines()
    assert accuracy.startswith("test accuracy: ") and answer.startswith("it is a ")
    assert Path("runs/notebook/retrained/weights.safetensors").exists()


@pytest.mark.slow
def test_the_notebook_with_a_space_of_ones_own(capsys: pytest.CaptureFixture[str]) -> None:
    path = EXAMPLES / "own_space.ipynb"
    names: dict[str, object] = {"__name__": "__main__"}
    first, *others = read_cells(path)
    few = [
        first.replace('load_data("digits")', 'load_data("digits", limit=300)'),
        *(cell.replace('"epochs": 4', '"epochs": 1') for cell in others),
    ]
    assert few[0] != first and few[1:] != others
    for cell in few:
        exec(compile(cell, path.name, "exec"), names)
    by_tpe, by_evolution, accuracy = capsys.readouterr().out.splitlines()
    assert "'stem': '" in by_tpe and "'hidden': '" in by_evolution
    assert accuracy.startswith("test accuracy: ")
    assert Path("runs/own_space/retrained/weights.safetensors").exists()
    assert all(not cell["outputs"] for cell in json.loads(path.read_text(encoding="utf-8"))["cells"] if cell["cell_type"] == "code")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_an_example_is_short_and_a_guide_names_it(path: Path) -> None:
    assert len(code_of(path)) < 60
    if path.suffix in (".py", ".ipynb"):
        assert str(path.relative_to(PROJECT)) in (PROJECT / "docs/guides/own_parts.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_a_space_of_ones_own(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    run(monkeypatch, "own_space.py")
    *trials, end = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[0] for line in trials] == ["trial 0", "trial 1", "trial 2"]
    assert end.startswith("test accuracy of the best: ")
    assert len(list(Path("runs").glob("*/best.json"))) == len(list(Path("runs").glob("*/retrained.json"))) == 1


@pytest.mark.slow
def test_a_space_that_a_script_registers(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(SPACES, "tiny", SPACES["zoo"])  # so that it is gone after the test
    run(monkeypatch, "own_space.py", "--space", "tiny", *SMALL, "--strategy", "tpe", "--trials", "1", "--out", "run")
    best = json.loads(Path("run/best.json").read_text())
    assert best["space"]["name"] == "tiny" and set(best["architecture"]) == {"convolution", "activation"}
    python, program, *flags = next_command(capsys.readouterr().out)
    assert (python, program) == ("python", str(EXAMPLES / "own_space.py"))
    run(monkeypatch, "own_space.py", *flags, "--epochs", "1", "--out", "again")
    assert Path("again/retrained.json").exists(), "the command works"


@pytest.mark.slow
def test_a_space_that_is_named_by_its_module(capsys: pytest.CaptureFixture[str]) -> None:
    search = ["--space", "own_space:TinySpace", *SMALL, "--strategy", "random", "--trials", "1", "--out", "run"]
    assert run_experiment.main(search) == 0
    python, program, *flags = next_command(capsys.readouterr().out)
    assert (python, program) == ("python", "run_experiment.py") and "own_space:TinySpace" in flags
    assert run_experiment.main([*flags, "--epochs", "1", "--out", "again"]) == 0
    assert json.loads(Path("again/retrained.json").read_text())["dataset"]["name"] == "digits", "that of the search"


@pytest.mark.slow
def test_ones_own_data(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_path(str(EXAMPLES / "own_data.py"))["draw_folder"](Path("shapes"), train=30, test=5)
    run(monkeypatch, "own_data.py", "shapes")
    searched, retrained = capsys.readouterr().out.splitlines()
    assert searched.startswith("best of 2 trials: ") and retrained.startswith("retrained: ")
    for name in ("best", "retrained"):
        (path,) = Path("runs").glob(f"*/{name}.json")
        dataset = json.loads(path.read_text())["dataset"]
        assert dataset["name"] == "shapes" and dataset["classes"] == 2


@pytest.mark.slow
@pytest.mark.parametrize("network", [["convnet32", "--set", "width=16"], ["DARTS_V2", "--set", "width=2", "--set", "num_cells=3"]])
def test_a_trained_network(network: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    retrain = ["--retrain", *network, "--precision", "float32", "--epochs", "1", "--dataset", "digits", "--out", "trained"]
    assert run_experiment.main(retrain) == 0
    capsys.readouterr()
    run(monkeypatch, "trained_network.py", "trained", "digits")
    *by_class, overall = capsys.readouterr().out.splitlines()
    expected = json.loads(Path("trained/retrained.json").read_text())["plain_test_accuracy"]
    assert overall.split() == ["all", f"{expected:.2%}"]
    assert [line.split()[0] for line in by_class] == list("0123456789")


@pytest.mark.parametrize("run_folder", ["table", "nothing"])
def test_a_folder_without_a_trained_network(run_folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = PROJECT / "tests/journeys/data/old_runs" / run_folder
    with pytest.raises(SystemExit, match=r"is a search: name the folder of a --retrain|no run to report"):
        run_to_its_end(monkeypatch, "trained_network.py", str(path), "digits")


@pytest.mark.slow
def test_an_unchanged_nni_trial(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_experiment.main(["--config", str(EXAMPLES / "nni_trial/config.yml"), "--trials", "1", "--out", "run"]) == 0
    assert "Best of 1 trial by tpe, to maximize" in capsys.readouterr().out
    best = json.loads(Path("run/best_parameters.json").read_text())
    assert set(best["parameters"]) == {"lr", "hidden", "optimizer"} and 0 < best["result"] <= 1
