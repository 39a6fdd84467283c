"""The command line: what is understood, and the one line that a mistake is answered with."""

from __future__ import annotations

import inspect
from dataclasses import replace
from pathlib import Path

import pytest
from retiarius.flag_checks import check_flags

from common.errors import RecordError
from records.next_command import retrain_command
from retiarius.cli.settings import Settings, parse_settings

SEARCH = ["--space", "darts", "--strategy", "tpe"]


def parse(*arguments: str) -> Settings:
    return parse_settings(list(arguments), "about")


def test_defaults() -> None:
    settings = parse(*SEARCH)
    assert settings == Settings(space="darts", strategy="tpe")
    assert (settings.preset, settings.dataset, settings.seed, settings.device) == ("quick", "auto", 0, "auto")


def test_pins_are_read_as_json_or_text() -> None:
    settings = parse(
        *SEARCH, "--set", "initial_lr=1e-2", "--set", "normal/inputs_2=[0, 1]", "--set", "backbone=resnet18", "--set", "a=true"
    )
    assert settings.pins == {"initial_lr": 0.01, "normal/inputs_2": [0, 1], "backbone": "resnet18", "a": True}


def test_what_is_asked_of_a_search_is_what_a_strategy_checks() -> None:
    checked = inspect.signature(check_flags).parameters.keys() - {"strategy", "looks_up"}
    assert parse(*SEARCH).search_flags.keys() == checked, "the rooms do not know each other, so no type checker sees it"


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


def test_flags_that_steer_trials_are_those_that_were_given() -> None:
    assert parse(*SEARCH).trial_flags == parse(*SEARCH, "--pruner", "none").trial_flags == {}
    given = parse(*SEARCH, "--max-params", "300k", "--pruner", "median").trial_flags
    assert given == {"--max-params": 300_000, "--pruner": "median"}
    assert parse(*SEARCH, "--workers", "2").trial_flags == {"--workers": 2}
    assert parse(*SEARCH, "--workers", "1").trial_flags == {}, "the search is the same as without"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "--space is missing"),
        (["--space", "zoo"], "--strategy is missing"),
        ([*SEARCH, "--trials", "0"], "'0' is not a whole number of at least 1"),
        ([*SEARCH, "--trials", "many"], "'many' is not a whole number"),
        ([*SEARCH, "--epochs", "-3"], "'-3' is not a whole number of at least 1"),
        ([*SEARCH, "--time-budget", "soon"], "'soon' is not a time; give seconds, or 10m, or 1.5h"),
        ([*SEARCH, "--time-budget", "0"], "is not a time"),
        ([*SEARCH, "--seed", "-1"], "is not a whole number from 0 to"),
        ([*SEARCH, "--seed", "99999999999"], "is not a whole number from 0 to 4294967295"),
        ([*SEARCH, "--preset", "huge"], "choose from"),
        ([*SEARCH, "--set", "initial_lr"], "expected LABEL=VALUE"),
        ([*SEARCH, "--set", "=3"], "expected LABEL=VALUE"),
        ([*SEARCH, "--model", "vgg16", "--set", "backbone=resnet18"], "backbone is set twice, to 'resnet18' and to 'vgg16'"),
        ([*SEARCH, "--colour", "red"], "unrecognized arguments: --colour red"),
        ([*SEARCH, "--resume"], "--resume needs the run's folder: --out DIR"),
        (["--retrain", "best.json", "--trials", "3"], "--trials goes with a search, not with --retrain"),
        ([*SEARCH, "--max-params", "-3"], "'-3' is not a number of at least 1; give one such as 300000, 300k, 1.5M or 2e6"),
        ([*SEARCH, "--max-params", "abc"], "'abc' is not a number of at least 1"),
        ([*SEARCH, "--max-flops", "nan"], "'nan' is not a number of at least 1"),
        ([*SEARCH, "--max-flops", "infk"], "'infk' is not a number of at least 1"),
        ([*SEARCH, "--max-flops", ""], "'' is not a number of at least 1"),
        (["--retrain", "best.json", "--max-params", "1M"], "--max-params goes with a search, not with --retrain"),
        (["--retrain", "best.json", "--pruner", "median"], "--pruner goes with a search, not with --retrain"),
        (["--retrain", "best.json", "--space", "zoo"], "--space goes with a search, not with --retrain"),
        (["--retrain", "best.json", "--concurrency", "3"], "--concurrency goes with --trial-command"),
        (["--retrain", "best.json", "--optimize-mode", "minimize"], "--optimize-mode goes with --trial-command"),
        (["--retrain", "best.json", "--resume"], "--resume needs the run's folder: --out DIR"),
    ],
)
def test_mistakes_are_answered_in_one_line(arguments: list[str], message: str) -> None:
    with pytest.raises(RecordError) as error:
        parse(*arguments)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_the_command_that_trains_what_was_found_repeats_what_it_needs() -> None:
    def command(settings: Settings, dataset: str | None = "digits") -> str:
        return retrain_command("run_experiment.py", Path("a b.json"), settings.describe(), dataset)

    start = "python run_experiment.py --retrain 'a b.json'"
    assert command(Settings()) == f"{start} --dataset digits", "what auto came to, whatever it would come to next time"
    images = Settings(dataset="my images", data_dir=Path("d"), preset="lab")
    assert command(images) == f"{start} --preset lab --dataset 'my images' --data-dir d"
    assert command(replace(images, table=Path("t.csv")), None) == f"{start} --preset lab"
    assert retrain_command("x.py", Path("b.json"), {}, "digits") == "python x.py --retrain b.json --dataset digits"


def test_reports_may_be_named_one_by_one() -> None:
    assert parse_settings(["--report", "a", "--report", "b", "c"], "").report == (Path("a"), Path("b"), Path("c"))
