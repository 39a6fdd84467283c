"""``--screen``: many networks scored untrained, and a search that begins with the best of them."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from few_digits import use_few_digits
from nasbench201_table import remember_tables, write_made_up
from small_spaces import TinySpace
from torch import nn

import retiarius as rt
from evaluators import EVALUATORS, EvaluatorEntry
from evaluators.complexity import count_parameters
from evaluators.data import dataset
from evaluators.zero_cost import scores
from records.trials import TrialLog
from retiarius import screening, search_run
from retiarius.search_plan import SearchPlan
from run_experiment import main

SEARCH = ["--strategy", "random", "--trials", "6", "--out", "run"]
FIXED = [word for edge in ("0_1", "0_2", "1_2", "0_3") for word in ("--set", f"edge_{edge}=nor_conv_3x3")]  # 25 networks are left
REAL = scores.score_untrained


class Screen:
    """Stands for the scores of untrained networks, which take longer: each counts the parameters."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.before: Callable[[int], Any] = lambda size: None

    def __call__(self, network: nn.Module, data: Any, names: Iterable[str], *, seed: int) -> dict[str, float]:
        size = count_parameters(network)
        torch.rand(1)  # as dropout does
        self.before(size)
        self.sizes.append(size)
        return dict.fromkeys(names, float(size))


@pytest.fixture(autouse=True)
def screen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Screen:
    monkeypatch.chdir(tmp_path)
    use_few_digits(monkeypatch)
    remember_tables(monkeypatch)
    load, fake = dataset.load_dataset, Screen()
    monkeypatch.setattr(dataset, "load_dataset", lambda name, **how: load("digits" if name == "cifar10" else name, **how))
    monkeypatch.setattr(scores, "score_untrained", fake)
    return fake


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    path = write_made_up(tmp_path_factory.mktemp("table") / "made-up.csv.gz")
    return ["--space", "nasbench201", "--evaluator", "table", "--table", str(path), *FIXED]


def read_screened(run: str = "run") -> dict[str, Any]:
    document: dict[str, Any] = json.loads(Path(run, "screened.json").read_text())
    return document


def without_seconds(run: str = "run") -> dict[str, Any]:
    return {name: value for name, value in read_screened(run).items() if name != "seconds"}


def tried(run: str = "run") -> list[dict[str, Any]]:
    return [trial.architecture for trial in TrialLog(Path(run, "trials.jsonl")).read()]


def test_the_best_are_tried_first(table: list[str], screen: Screen, capsys: pytest.CaptureFixture[str]) -> None:
    generator = torch.random.get_rng_state()
    assert main([*table, *SEARCH, "--screen", "12"]) == 0
    assert torch.equal(generator, torch.random.get_rng_state())
    screened = read_screened()
    networks, chosen = screened["networks"], screened["chosen"]
    assert (len(networks), chosen) == (12, 3), "half of the trials"
    assert len({json.dumps(network["architecture"], sort_keys=True) for network in networks}) == 12
    sizes = [network["scores"]["meco"] for network in networks]
    assert sizes == sorted(screen.sizes, reverse=True) and sizes != screen.sizes
    assert tried()[:3] == [network["architecture"] for network in networks[:3]]
    assert len(tried()) == 6
    identity = json.loads(Path("run/config.json").read_text())["identity"]
    assert identity["--screen"] == 12
    assert "12 networks scored untrained, 3 of which come first: run/screened.json" in capsys.readouterr().out
    assert main([*table, *SEARCH, "--screen", "11", "--resume"]) == 2
    assert "--screen" in capsys.readouterr().err


@pytest.mark.slow
def test_the_seed_says_which_are_drawn(table: list[str], screen: Screen) -> None:
    for run, seed in (("a", "0"), ("b", "0"), ("c", "1")):
        assert main([*table, *SEARCH[:-1], run, "--screen", "5", "--seed", seed]) == 0
    assert without_seconds("a") == without_seconds("b") != without_seconds("c")


@pytest.mark.slow
def test_an_interrupted_one_is_resumed_and_scores_nothing_twice(table: list[str], screen: Screen) -> None:
    assert main([*table, *SEARCH[:-1], "whole", "--screen", "9"]) == 0
    all_sizes, screen.sizes = screen.sizes, []

    def interrupt(size: int) -> None:
        if len(screen.sizes) == 4:
            raise KeyboardInterrupt

    screen.before = interrupt
    assert main([*table, *SEARCH, "--screen", "9"]) == 130
    assert read_screened()["chosen"] is None and len(read_screened()["networks"]) == 4
    screen.before = lambda size: None
    assert main([*table, *SEARCH, "--screen", "9", "--resume"]) == 0
    assert screen.sizes == all_sizes
    assert without_seconds() == without_seconds("whole")
    assert tried() == tried("whole")
    assert main([*table, *SEARCH, "--trials", "8", "--screen", "9", "--resume"]) == 0, "a search that is extended"
    assert screen.sizes == all_sizes and len(tried()) == 8
    Path("run/screened.json").write_text('{"format": "another"}')
    assert main([*table, *SEARCH, "--trials", "8", "--screen", "9", "--resume"]) == 2


@pytest.mark.slow
def test_what_cannot_be_scored_comes_last_and_ends_nothing(table: list[str], screen: Screen, capsys: pytest.CaptureFixture[str]) -> None:
    def fail(size: int) -> None:
        if len(screen.sizes) in (1, 2):
            screen.sizes.append(size)
            raise RuntimeError("no such layer")

    screen.before = fail
    assert main([*table, *SEARCH, "--screen", "5"]) == 0
    assert [network["scores"]["swap"] is None for network in read_screened()["networks"]] == [False] * 3 + [True] * 2
    assert "2 networks of 5 could not be scored untrained" in capsys.readouterr().err
    assert "no such layer" in Path("run/log.txt").read_text()
    screen.before = lambda size: 1 / 0
    assert main([*table, *SEARCH[:-1], "none", "--screen", "5"]) == 0
    assert read_screened("none")["chosen"] == 0 and len(tried("none")) == 6


@pytest.mark.slow
def test_no_more_than_there_are_within_the_limits(table: list[str], screen: Screen) -> None:
    assert main([*table, *SEARCH, "--screen", "100"]) == 0
    assert len(read_screened()["networks"]) == len(screen.sizes) == 25
    # By the table, a network has 0.1 + 0.2 million parameters for each 3x3 convolution: at most one more than the four that are fixed.
    assert main([*table, *SEARCH[:-1], "small", "--screen", "100", "--max-params", "1.1M"]) == 0
    edges = ("edge_1_3", "edge_2_3")
    small = [[network["architecture"][edge] for edge in edges] for network in read_screened("small")["networks"]]
    assert len(small) == 24 and ["nor_conv_3x3", "nor_conv_3x3"] not in small


@pytest.fixture
def plans(screen: Screen, monkeypatch: pytest.MonkeyPatch) -> list[SearchPlan]:
    """The plans of searches, each network of which takes ten seconds to be scored."""
    plans: list[SearchPlan] = []
    search_trials = search_run.search_trials

    def search(context: Any, settings: Any, plan: SearchPlan, *rest: Any) -> None:
        plans.append(plan)
        search_trials(context, settings, plan, *rest)

    monkeypatch.setattr(search_run, "search_trials", search)
    monkeypatch.setattr(screening, "time", SimpleNamespace(monotonic=lambda: 10.0 * len(screen.sizes)))
    return plans


def test_scoring_ends_with_its_share_of_the_time_budget(
    table: list[str], screen: Screen, plans: list[SearchPlan], capsys: pytest.CaptureFixture[str]
) -> None:
    search = [*table, *SEARCH, "--screen", "12", "--time-budget", "450"]
    assert main(search) == 0
    assert len(screen.sizes) == len(read_screened()["networks"]) == 5, "the first that begins after 45 s is left out"
    assert "5 networks scored untrained before a tenth of the time budget was spent, 3 of which come first" in capsys.readouterr().out
    assert main([*search, "--resume"]) == 0
    assert len(screen.sizes) == 5
    assert [plan.screened_seconds for plan in plans] == [50.0, 50.0]


def test_the_seconds_of_scoring_are_taken_off_those_of_a_table(table: list[str], screen: Screen, plans: list[SearchPlan]) -> None:
    assert main([*table, *SEARCH, "--trials", "40", "--screen", "12", "--time-budget", "450"]) == 0
    trials = TrialLog(Path("run/trials.jsonl")).read()
    assert 450 - 50 - max(trial.seconds for trial in trials) < sum(trial.seconds for trial in trials) <= 450 - 50


@pytest.mark.slow
def test_seconds_of_an_interrupted_run_count(table: list[str], screen: Screen, plans: list[SearchPlan]) -> None:
    def interrupt(size: int) -> None:
        if len(screen.sizes) == 3:
            raise KeyboardInterrupt

    screen.before = interrupt
    search = [*table, *SEARCH, "--screen", "12", "--time-budget", "450"]
    assert main(search) == 130
    assert (read_screened()["chosen"], read_screened()["seconds"]) == (None, 30.0)
    screen.before = lambda size: None
    assert main([*search, "--resume"]) == 0
    assert len(screen.sizes) == len(read_screened()["networks"]) == 5
    assert [plan.screened_seconds for plan in plans] == [50.0]


@pytest.mark.slow
def test_a_file_of_an_earlier_version_tells_no_seconds(table: list[str], screen: Screen, plans: list[SearchPlan]) -> None:
    assert main([*table, *SEARCH, "--screen", "4"]) == 0
    assert read_screened()["out_of_time"] is False
    old = {name: value for name, value in read_screened().items() if name not in ("seconds", "out_of_time")}
    Path("run/screened.json").write_text(json.dumps(old))
    assert main([*table, *SEARCH, "--screen", "4", "--resume"]) == 0
    assert [plan.screened_seconds for plan in plans] == [40.0, 0.0]


@pytest.mark.slow
def test_processes_that_share_a_study_try_the_best_of_what_each_has_drawn(table: list[str], screen: Screen) -> None:
    search = [*table, "--strategy", "tpe", "--trials", "6", "--screen", "12", "--storage", "sqlite:///study.db", "--study", "shared"]
    for seed, run in enumerate(("one", "two")):
        assert main([*search, "--seed", str(seed), "--out", run]) == 0
        assert tried(run)[:3] == [network["architecture"] for network in read_screened(run)["networks"][:3]]
    assert without_seconds("one") != without_seconds("two")


@pytest.mark.slow
def test_two_workers_try_the_best_first(screen: Screen) -> None:
    search = ["--space", "nasbench201", "--set", "width=4", "--set", "cells=1", *ZOO[2:], "--workers", "2"]
    assert main([*search, "--trials", "4", "--screen", "5", "--out", "run"]) == 0
    best = [network["architecture"] for network in read_screened()["networks"][:2]]
    trials = sorted(TrialLog(Path("run/trials.jsonl")).read(), key=lambda trial: trial.number)
    assert len(trials) == 4 and [trial.architecture for trial in trials[:2]] == best


ZOO = ["--space", "zoo", "--strategy", "tpe", "--dataset", "digits", "--device", "cpu", "--precision", "float32", "--epochs", "1"]


@pytest.mark.slow
def test_they_come_after_the_default_with_its_hyperparameters(screen: Screen, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(EVALUATORS, "train", EvaluatorEntry("fake_evaluators:score_by_rate", "none"))
    assert main([*ZOO, "--trials", "4", "--screen", "5", "--out", "run"]) == 0
    default, *screened = TrialLog(Path("run/trials.jsonl")).read()[:3]
    assert [trial.architecture for trial in screened] == [network["architecture"] for network in read_screened()["networks"][:2]]
    assert all(trial.hyperparameters == default.hyperparameters for trial in screened)
    assert default.architecture not in [network["architecture"] for network in read_screened()["networks"]]


@pytest.mark.slow
def test_real_scores_of_real_networks(screen: Screen, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scores, "score_untrained", REAL)
    monkeypatch.setitem(EVALUATORS, "train", EvaluatorEntry("fake_evaluators:score_by_rate", "none"))
    assert main([*ZOO, "--trials", "2", "--screen", "3", "--out", "run"]) == 0
    told = [network["scores"] for network in read_screened()["networks"]]
    assert len(told) == 3
    assert all(math.isfinite(value) for each in told for value in each.values())
    assert scores.rank_together(told) == sorted(scores.rank_together(told), reverse=True)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--space", "darts", "--strategy", "darts"], "darts trains one supernet and runs no trials: leave out --screen"),
        (["--space", "zoo", "--strategy", "grid"], "grid tries all in an order of its own: leave out --screen"),
        (["--space", "zoo", "--strategy", "hpo"], "hpo searches one network's hyperparameters: leave out --screen"),
        (["--retrain", "resnet18"], "--screen is for searches and has no use with --retrain"),
        ([*ZOO, "--trials", "1"], "--trials 1 leaves no trial for --screen: the search begins with 1, the default configuration"),
        (["--trial-command", "true", "--search-space", "space.json", "--strategy", "tpe"], "--screen is for built-in trainings"),
        (
            ["--table", "rows.csv", "--search-space", "space.json", "--strategy", "tpe"],
            "--screen scores networks, and this search has none",
        ),
        ([*ZOO, "--set", "backbone=squeezenet1_1", "--set", "stem=own"], "no choice of zoo is left to the search: leave out --screen"),
    ],
)
def test_what_it_does_not_go_with(words: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("space.json").write_text('{"C": {"_type": "choice", "_value": [1, 10]}}')
    Path("rows.csv").write_text("C,score\n1,0.5\n10,0.6\n")
    assert main([*words, "--screen", "3"]) == 2
    error = capsys.readouterr().err
    assert told in error and error.count("\n") == 1


def test_a_number_and_images_are_needed(table: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*table, *SEARCH, "--screen", "0"]) == 2
    with pytest.raises(rt.RecordError, match="screen: 0 is not a whole number of at least 1"):
        rt.search("zoo", screen=0)
    with pytest.raises(rt.EvaluatorError, match="`screen` looks at images, and the evaluator takes none"):
        rt.search(TinySpace, evaluator=lambda network: 1.0, trials=4, screen=3)
    capsys.readouterr()
    assert main([*table, *SEARCH, "--dataset", "cifar100", "--screen", "3"]) == 2
    assert "--screen looks at images, and cifar100 has none here: leave it out, or use --dataset cifar10" in capsys.readouterr().err
