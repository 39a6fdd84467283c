"""The flags that take NNI's files beside the other flags."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from nni_options import SPACE, V2

from common.errors import RecordError
from retiarius.cli.main import workers_of
from retiarius.cli.settings import Settings, parse_settings
from run_experiment import main


@pytest.fixture(autouse=True)
def space_file(tmp_path: Path) -> None:
    (tmp_path / "search_space.json").write_text(json.dumps(SPACE))


def settings(folder: Path, text: str, *arguments: str) -> Settings:
    (folder / "config.yml").write_text(text, encoding="utf-8")
    return parse_settings(["--config", str(folder / "config.yml"), *arguments], "python run_experiment.py", "about")


def test_the_file_fills_in_what_no_flag_says(tmp_path: Path) -> None:
    found = settings(tmp_path, V2)
    assert (found.space, found.strategy, found.trials, found.concurrency, found.pruner) == (None, "tpe", 20, 2, "median")
    assert (found.trial_command, found.code_dir, found.search_space) == ("python main.py", tmp_path / "code", SPACE)
    found = settings(tmp_path, V2, "--trials", "3", "--strategy", "random", "--pruner", "none", "--concurrency", "1", "--seed", "5")
    assert (found.strategy, found.trials, found.concurrency, found.pruner, found.seed) == ("random", 3, 1, "none", 5)


def test_a_space_that_is_named_takes_the_place_of_the_command(tmp_path: Path) -> None:
    found = settings(tmp_path, V2, "--space", "zoo")
    assert (found.space, found.trial_command, found.concurrency, found.workers) == ("zoo", None, None, 2)
    with pytest.raises(RecordError, match="--concurrency is for trial commands; for parallel trainings, use --workers"):
        settings(tmp_path, V2, "--space", "zoo", "--concurrency", "2")
    assert settings(tmp_path, V2, "--space", "zoo", "--workers", "1").workers == 1


def test_a_search_space_alone_is_of_the_zoo(tmp_path: Path) -> None:
    found = parse_settings(["--search-space", str(tmp_path / "search_space.json")], "python run_experiment.py", "about")
    assert (found.space, found.strategy, found.search_space, found.notes) == ("zoo", "tpe", SPACE, ())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--trial-command", "python main.py"], "--trial-command needs a search space: --search-space FILE"),
        (["--trial-command", "x", "--space", "zoo", "--search-space", "f"], "--space and --trial-command"),
        (["--retrain", "best.json", "--search-space", "f"], "--search-space is for searches: leave it out"),
        (["--list", "--config", "f"], "--config is for searches: leave it out"),
        (["--config", "missing.yml"], "missing.yml: no such file"),
        (
            ["--space", "zoo", "--strategy", "tpe", "--concurrency", "2"],
            "--concurrency is for trial commands; for parallel trainings, use --workers",
        ),
    ],
)
def test_flags_that_contradict_one_another(arguments: list[str], message: str) -> None:
    with pytest.raises(RecordError) as error:
        parse_settings(arguments, "python run_experiment.py", "about")
    assert message in str(error.value)


@pytest.mark.parametrize("flag", [["--recipe", "lab"], ["--max-params", "1M"], ["--dataset", "digits"], ["--precision", "float32"]])
def test_flags_of_trainings_do_not_go_with_a_command(tmp_path: Path, flag: list[str]) -> None:
    with pytest.raises(RecordError, match="is for built-in trainings and has no effect on a trial command: leave it out"):
        settings(tmp_path, V2, *flag)


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (
            ["--ray", "127.0.0.1:9", "--storage", "sqlite:///a.db"],
            ["a Ray cluster runs the trials of one search; --storage", "leave one out"],
        ),
        (["--ray", "127.0.0.1:9", "--portal"], ["NNI's service", "leave out --portal, or the Ray cluster"]),
        (["--gpus-per-trial", "1"], ["--gpus-per-trial", "needs a cluster for the trial command: add --ray"]),
    ],
)
def test_what_does_not_go_with_a_command_on_a_cluster(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], flags: list[str], words: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "main.py").touch()
    (tmp_path / "search_space.json").write_text('{"x": {"_type": "choice", "_value": [1, 2]}}')
    command = ["--search-space", "search_space.json", "--trial-command", "python main.py", "--strategy", "tpe", "--trials", "2"]
    assert main([*command, *flags]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert all(word in line for word in words), line
    assert not (tmp_path / "runs").exists()


def test_concurrency_says_how_many_commands_run_on_a_cluster(tmp_path: Path) -> None:
    asked: Any = settings(tmp_path, V2, "--ray", "auto", "--gpus-per-trial", "0.5")
    (told,) = workers_of(asked).values()
    assert (told.address, told.workers, told.gpus_per_trial) == ("auto", asked.concurrency, 0.5)
    assert workers_of(settings(tmp_path, V2)) == {"concurrency": asked.concurrency}, "the file's trialConcurrency, on this machine"


def test_other_runs_do_not_read_yaml() -> None:
    plain: Any = parse_settings(["--space", "zoo", "--strategy", "tpe"], "python run_experiment.py", "about")
    assert (plain.seed, plain.pruner, plain.search_space) == (None, None, None)
