"""The command line: what is understood, and the one line that a mistake is answered with."""

from __future__ import annotations

from pathlib import Path

import pytest

from common.errors import RecordError
from records.next_command import retrain_command
from retiarius.cli.main import strategy_of
from retiarius.cli.settings import Settings, parse_settings
from retiarius.settings import SearchSettings
from spaces.adapter import find_space

SEARCH = ["--space", "darts", "--strategy", "tpe"]


def parse(*arguments: str) -> Settings:
    return parse_settings(list(arguments))


def test_defaults() -> None:
    settings = parse(*SEARCH)
    assert settings == Settings(space="darts", strategy="tpe")
    told = SearchSettings(space=find_space("darts"), strategy=strategy_of(settings))
    assert (told.preset, told.dataset, told.seed, told.device) == ("quick", "auto", 0, "auto"), "what is not typed is the library's affair"


def test_pins_are_read_as_json_or_text() -> None:
    settings = parse(
        *SEARCH, "--set", "initial_lr=1e-2", "--set", "normal/inputs_2=[0, 1]", "--set", "backbone=resnet18", "--set", "a=true"
    )
    assert settings.pins == {"initial_lr": 0.01, "normal/inputs_2": [0, 1], "backbone": "resnet18", "a": True}


def test_the_labs_options_are_short_for_set() -> None:
    settings = parse(*SEARCH, "--model", "vgg16", "--initial_lr", "0.05", "--batch-size", "64", "--optimizer", "adam", "--epochs", "30")
    assert settings.pins == {"backbone": "vgg16", "initial_lr": 0.05, "batch_size": 64, "optimizer": "adam"}
    assert settings.epochs == 30


def test_options_of_the_lab_without_effect_are_said() -> None:
    settings = parse(*SEARCH, "--num_workers", "2", "--log_frequency", "20")
    assert [note.split()[0] for note in settings.notes] == ["--num_workers", "--log_frequency"]


@pytest.mark.parametrize(("text", "seconds"), [("90", 90), ("10m", 600), ("1.5h", 5400), ("30s", 30)])
def test_times(text: str, seconds: float) -> None:
    assert parse(*SEARCH, "--time-budget", text).time_budget == seconds


@pytest.mark.parametrize(
    ("text", "count"), [("300000", 300_000), ("300k", 300_000), ("1.5M", 1_500_000), ("2e6", 2_000_000), ("2m", 2_000_000), ("1G", 10**9)]
)
def test_sizes(text: str, count: int) -> None:
    assert parse(*SEARCH, "--max-params", text).max_params == parse(*SEARCH, "--max-flops", text).max_flops == count


def told(*arguments: str) -> SearchSettings:
    settings = parse(*SEARCH, *arguments)
    names = settings.given("workers")
    limits = {"max_parameters": settings.max_params}
    return SearchSettings(space="darts", strategy=strategy_of(settings), **names, **limits)


def test_flags_that_steer_trials_are_those_that_were_given() -> None:
    assert told().trial_flags == told("--pruner", "none").trial_flags == {}
    given = told("--max-params", "300k", "--pruner", "median").trial_flags
    assert given == {"--max-params": 300_000, "--pruner": "median"}
    assert told("--workers", "2").trial_flags == {"--workers": 2}
    assert told("--workers", "1").trial_flags == {}, "the search is the same as without"


def test_jobs_are_workers_or_trial_commands() -> None:
    assert parse(*SEARCH, "--jobs", "3").workers == parse(*SEARCH, "-j", "3").workers == 3
    assert parse(*SEARCH, "--jobs", "3", "--workers", "3").workers == 3
    with pytest.raises(RecordError, match="--jobs 3 and --workers 2 contradict each other: leave one out"):
        parse(*SEARCH, "--jobs", "3", "--workers", "2")


def test_names_of_habit() -> None:
    settings = parse(*SEARCH, "--lr", "0.2", "--opt", "adam", "--max-macs", "1M")
    assert (settings.pins, settings.max_flops) == ({"initial_lr": 0.2, "optimizer": "adam"}, 1_000_000)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "--space is missing"),
        (["--space", "zoo"], "--strategy is missing"),
        ([*SEARCH, "--trials", "0"], "'0' is not a whole number from 1"),
        ([*SEARCH, "--trials", "many"], "'many' is not a whole number"),
        ([*SEARCH, "--epochs", "-3"], "'-3' is not a whole number from 1"),
        ([*SEARCH, "--time-budget", "soon"], "'soon' is not a time, such as 90 (seconds), 10m or 1.5h"),
        ([*SEARCH, "--time-budget", "0"], "is not a time"),
        ([*SEARCH, "--seed", "-1"], "is not a whole number from 0 to"),
        ([*SEARCH, "--seed", "99999999999"], "is not a whole number from 0 to 4294967295"),
        ([*SEARCH, "--preset", "huge"], "choose from"),
        ([*SEARCH, "--set", "initial_lr"], "expected LABEL=VALUE"),
        ([*SEARCH, "--set", "=3"], "expected LABEL=VALUE"),
        ([*SEARCH, "--model", "vgg16", "--set", "backbone=resnet18"], "backbone is set twice, to 'resnet18' and to 'vgg16'"),
        ([*SEARCH, "--colour", "red"], "unrecognized arguments: --colour red"),
        ([*SEARCH, "--resume"], "--resume needs the run's folder: add --out DIR"),
        (["--retrain", "best.json", "--trials", "3"], "--trials is for searches and has no use with --retrain: leave it out"),
        ([*SEARCH, "--max-params", "-3"], "'-3' is not a number of at least 1, such as 300000, 300k, 1.5M or 2e6"),
        ([*SEARCH, "--max-params", "abc"], "'abc' is not a number of at least 1"),
        ([*SEARCH, "--max-flops", "nan"], "'nan' is not a number of at least 1"),
        ([*SEARCH, "--max-flops", "infk"], "'infk' is not a number of at least 1"),
        ([*SEARCH, "--max-flops", ""], "'' is not a number of at least 1"),
        (["--retrain", "best.json", "--max-params", "1M"], "--max-params is for searches and has no use with --retrain: leave it out"),
        (["--retrain", "best.json", "--pruner", "median"], "--pruner is for searches and has no use with --retrain: leave it out"),
        (["--retrain", "best.json", "--strategy", "tpe"], "--strategy is for searches and has no use with --retrain: leave it out"),
        (["--retrain", "best.json", "--dry-run"], "--dry-run works with --space and --strategy only"),
        (["--retrain", "best.json", "--concurrency", "3"], "--concurrency is for trial commands; for parallel trainings, use --workers"),
        (
            ["--retrain", "best.json", "--optimize-mode", "minimize"],
            "--optimize-mode is for searches and has no use with --retrain: leave it out",
        ),
        (["--retrain", "best.json", "--resume"], "--resume needs the run's folder: add --out DIR"),
    ],
)
def test_mistakes_are_answered_in_one_line(arguments: list[str], message: str) -> None:
    with pytest.raises(RecordError) as error:
        parse(*arguments)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_the_command_that_retrains_what_was_found_names_the_file_and_a_foreign_space() -> None:
    start = ["python", "run_experiment.py"]
    assert retrain_command(start, None, Path("a b.json")) == "python run_experiment.py --retrain 'a b.json'"
    assert retrain_command(["retiarius"], "my.spaces:Small", Path("b.json")) == "retiarius --retrain b.json --space my.spaces:Small"


def test_reports_may_be_named_one_by_one() -> None:
    assert parse("--report", "a", "--report", "b", "c").report == (Path("a"), Path("b"), Path("c"))
