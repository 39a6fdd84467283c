"""``--start-with``: a search that begins with networks that are there already."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from command_line import in_a_folder_of_its_own_with_few_digits  # noqa: F401
from nasbench201_table import remember_tables, write_made_up

from common.trial import Trial
from evaluators import EVALUATORS, EvaluatorEntry
from records.trials import TrialLog
from run_experiment import main
from spaces.darts.genotypes import GENOTYPES, architecture_from_genotype
from strategies import STRATEGIES

EDGES = ("edge_0_1", "edge_0_2", "edge_1_2", "edge_0_3", "edge_1_3", "edge_2_3")
BEST, GOOD = dict.fromkeys(EDGES, "nor_conv_3x3"), {**dict.fromkeys(EDGES, "nor_conv_3x3"), "edge_0_1": "skip_connect"}
DIGITS = ["--dataset", "digits", "--device", "cpu", "--precision", "float32"]


@pytest.fixture(autouse=True)
def tables_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    remember_tables(monkeypatch)


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    path = write_made_up(tmp_path_factory.mktemp("table") / "made-up.csv.gz")
    return ["--space", "nasbench201", "--evaluator", "table", "--table", str(path)]


def write_best(name: str, architecture: dict[str, Any], space: str = "nasbench201", **hyperparameters: Any) -> str:
    """A file like one that a search writes."""
    empty: dict[str, Any] = {key: {} for key in ("dataset", "strategy", "versions")}
    document = {"format": "retiarius-architecture", "version": 1, "space": {"name": space, "arguments": {}}, **empty, "created": "now"}
    document |= {"architecture": architecture, "hyperparameters": hyperparameters}
    document |= dict.fromkeys(("score", "seed", "parameters", "flops"))
    Path(name).write_text(json.dumps(document))
    return name


@pytest.mark.parametrize("strategy", [name for name, entry in STRATEGIES.items() if not entry.one_shot and not entry.needs])
def test_every_strategy_tries_them_first_and_in_their_order(strategy: str, table: list[str]) -> None:
    starts = [write_best("good.json", GOOD), write_best("best.json", BEST)]
    assert main([*table, "--strategy", strategy, "--trials", "6", "--start-with", *starts, "--out", "run"]) == 0
    trials = TrialLog(Path("run/trials.jsonl")).read()
    assert [trial.architecture for trial in trials[:2]] == [GOOD, BEST]
    assert len(trials) == 6
    assert json.loads(Path("run/best.json").read_text())["architecture"] == BEST


def test_local_search_climbs_from_them(table: list[str]) -> None:
    far = {**dict.fromkeys(EDGES, "nor_conv_3x3"), "edge_0_1": "none", "edge_2_3": "none"}
    begin = ["--strategy", "local", "--trials", "2", "--start-with", write_best("far.json", far), "--out", "run"]
    assert main([*table, *begin]) == 0
    first, second = (trial.architecture for trial in TrialLog(Path("run/trials.jsonl")).read())
    assert first == far
    assert sum(first[edge] != second[edge] for edge in EDGES) == 1, "a neighbour of what it began with"


@pytest.mark.slow
def test_no_more_than_there_are_trials_and_the_same_when_gone_on_with(table: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    starts = ["--start-with", write_best("good.json", GOOD), write_best("best.json", BEST)]
    search = [*table, "--strategy", "tpe", "--out", "run"]
    assert main([*search, *starts, "--trials", "1"]) == 2
    assert "--trials 1 is too few: the search begins with 2, good.json, best.json" in capsys.readouterr().err
    assert main([*search, *starts, "--trials", "2"]) == 0, "to compare them and no others"
    assert {json.dumps(trial.architecture) for trial in TrialLog(Path("run/trials.jsonl")).read()} == set(map(json.dumps, (GOOD, BEST)))
    assert main([*search, *starts[:2], "--trials", "2", "--resume"]) == 2
    assert "--start-with" in capsys.readouterr().err
    Path("elsewhere").mkdir()
    moved = [starts[0], *(str(Path(name).rename(Path("elsewhere") / name)) for name in starts[1:])]
    assert main([*search, *moved, "--trials", "2", "--resume"]) == 0, "the networks count, not where they lie"
    write_best("elsewhere/good.json", {**GOOD, "edge_0_1": "none"})
    assert main([*search, *moved, "--trials", "2", "--resume"]) == 2
    assert "--start-with" in capsys.readouterr().err


@pytest.mark.slow
def test_what_means_the_same_is_tried_once(table: list[str]) -> None:
    starts = ["--start-with", write_best("a.json", BEST), write_best("b.json", BEST), "--start-with", write_best("c.json", GOOD)]
    assert main([*table, "--strategy", "random", *starts, "--trials", "2", "--out", "run"]) == 0
    assert [trial.architecture for trial in TrialLog(Path("run/trials.jsonl")).read()] == [BEST, GOOD]


@pytest.mark.slow
def test_a_budget_of_time_may_leave_some_out(table: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    starts = ["--start-with", write_best("a.json", BEST), write_best("b.json", GOOD)]  # of 42 and 36 simulated seconds
    assert main([*table, "--strategy", "random", *starts, "--time-budget", "41", "--trials", "9", "--out", "run"]) == 1, "no trial fits"
    assert "b.json is not tried first: the budget is spent" in capsys.readouterr().err
    many = [write_best(f"{edge}.json", {**BEST, edge: "none"}) for edge in EDGES]
    assert main([*table, "--strategy", "random", "--start-with", *many, "a.json", "b.json", "--time-budget", "400", "--out", "more"]) == 0
    assert len(TrialLog(Path("more/trials.jsonl")).read()) > 6, "as many as the budget brings, not the preset's number"
    assert main([*table, "--strategy", "random", "--start-with", *many, "--time-budget", "80", "--out", "less"]) == 0
    assert capsys.readouterr().err.count("the budget is spent") == len(many) - 3, "two of 36 seconds fit, and the third ends the search"


@pytest.mark.slow
def test_a_folder_stands_for_its_best_trials(table: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*table, "--strategy", "random", "--trials", "9", "--out", "first"]) == 0
    ranked = sorted(TrialLog(Path("first/trials.jsonl")).read(), key=lambda trial: -(trial.score or 0))

    def tried(out: str, *starts: str, fixed: tuple[str, ...] = ()) -> list[Any]:
        assert main([*table, "--strategy", "random", "--trials", "4", "--start-with", *starts, *fixed, "--out", out]) == 0
        return [trial.architecture for trial in TrialLog(Path(out, "trials.jsonl")).read()]

    assert tried("a", "first:3", write_best("best.json", BEST)) == [*(trial.architecture for trial in ranked[:3]), BEST]
    assert tried("b", "first")[0] == ranked[0].architecture
    edge = "edge_0_1"
    pinned = ranked[-1].architecture[edge]
    fitting = [trial.architecture for trial in ranked if trial.architecture[edge] == pinned]
    assert tried("c", f"first:{len(fitting)}", fixed=("--set", f"{edge}={pinned}"))[: len(fitting)] == fitting, (
        "those that the search holds"
    )
    capsys.readouterr()
    for start, words in (
        ("first:99", "asks for 99 networks, and only 9 of this search are there"),
        ("first:0", "asks for no network; the number after the colon is 1 or more"),
        ("none:2", "no such file"),
    ):
        assert main([*table, "--strategy", "random", "--start-with", start, "--out", "d"]) == 2
        assert words in capsys.readouterr().err
    Path("first/trials.jsonl").unlink()
    assert tried("e", "first")[0] == ranked[0].architecture, "of a one-shot run, its best.json"
    Path("first/best.json").unlink()
    assert main([*table, "--strategy", "random", "--start-with", "first", "--out", "f"]) == 2
    assert "first has no best.json; name a run that has found something" in capsys.readouterr().err


@pytest.mark.slow
def test_of_a_one_shot_run_what_its_latest_epochs_had_found(table: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    first, second, third = ({**BEST, "edge_0_1": operation} for operation in ("none", "skip_connect", "avg_pool_3x3"))
    run = Path("run")
    run.mkdir()
    write_best("run/best.json", third)
    lines = [json.dumps({"number": number, "sample": sample}) for number, sample in enumerate((first, {}, second, second, third), 1)]
    (run / "epochs.jsonl").write_text("\n".join([*lines, '{"number": 6, "sam']))  # of the second none was read off
    compare = [*table, "--strategy", "random", "--start-with", "run:3", "--trials", "3", "--out", "choice"]
    assert main(compare) == 0, capsys.readouterr().err
    assert [trial.architecture for trial in TrialLog(Path("choice/trials.jsonl")).read()] == [third, second, first]
    assert main([*compare[:-5], "run:4", "--trials", "4", "--out", "more"]) == 2
    assert "--start-with: run:4 asks for 4 networks, and only 3 of this search are there" in capsys.readouterr().err


def test_of_a_folder_no_two_that_this_search_would_train_alike(table: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Trials that differ in a hyperparameter that is not searched here."""
    found = {"backbone": "convnet32", "stem": "own", "width": 16, "depth": 3}
    Path("run").mkdir()
    write_best("run/best.json", found, "zoo", initial_lr=0.01)
    log = TrialLog(Path("run/trials.jsonl"))
    for number, (width, rate) in enumerate([(16, 0.01), (16, 0.02), (32, 0.01)]):
        architecture = {**found, "width": width}
        sample = {**architecture, "initial_lr": rate}
        log.append(Trial(number, sample, "complete", 0.9 - number / 100, architecture_labels=frozenset(architecture)))
    search = ["--space", "zoo", "--strategy", "random", *DIGITS, "--epochs", "1", "--model", "convnet32", "--set", "initial_lr=0.03"]
    small = ["--max-params", "500", "--trials", "3", "--out", "again"]  # nothing is trained: what is too large is named
    assert main([*search, "--start-with", "run:2", *small]) == 2
    said = capsys.readouterr().err
    assert "trial 0 of run is not tried first:" in said and "trial 2 of run is not" in said and "trial 1 of run is not" not in said


@pytest.mark.slow
def test_a_search_goes_on_with_what_it_began_with_though_the_folder_has_changed(
    table: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*table, "--strategy", "random", "--trials", "5", "--out", "first"]) == 0
    search = [*table, "--strategy", "tpe", "--trials", "4", "--start-with", "first:2", "--out", "run"]
    assert main(search) == 0
    trials = Path("run/trials.jsonl")
    done = trials.read_text()
    trials.write_text("".join(done.splitlines(keepends=True)[:1]))
    assert main([*table, "--strategy", "random", "--trials", "60", "--seed", "1", "--out", "second"]) == 0
    shutil.rmtree("first")
    Path("second").rename("first")
    capsys.readouterr()
    assert main([*search, "--resume"]) == 0, capsys.readouterr().err
    assert [(trial.number, trial.architecture) for trial in TrialLog(trials).read()] == [
        (trial["number"], trial["architecture"]) for trial in map(json.loads, done.splitlines())
    ]
    capsys.readouterr()
    assert main([*search, "--resume"]) == 0
    assert "the budget is spent" not in capsys.readouterr().err, "what was tried long ago is no longer begun with"
    Path("run/starts.json").write_text("[]")
    assert main([*search, "--resume"]) == 2
    assert "run/starts.json: damaged; remove it, so that --start-with is read again" in capsys.readouterr().err


@pytest.mark.slow
def test_what_a_network_does_not_read_may_be_fixed(capsys: pytest.CaptureFixture[str]) -> None:
    """Here the width, by the only backbone: the search goes on after its default configuration, and takes its own run's folder."""
    zoo = ["--space", "zoo", "--strategy", "tpe", *DIGITS, "--epochs", "1", "--set", "width=16", "--set", "backbone=squeezenet1_1"]
    assert main([*zoo, "--trials", "2", "--out", "run"]) == 0
    assert "--set width has no effect on the networks of this search" in capsys.readouterr().err
    assert main([*zoo, "--trials", "2", "--start-with", "run", "--out", "again"]) == 0, capsys.readouterr().err
    assert {trial.architecture["width"] for trial in TrialLog(Path("again/trials.jsonl")).read()} == {16}
    assert json.loads(Path("again/best.json").read_text())["architecture"]["width"] == 64, "what stands for all that mean the same"
    assert "width" not in json.loads(Path("again/best.json").read_text())["strategy"]["searched"]


@pytest.mark.slow
def test_the_zoo_begins_with_its_default_and_takes_the_hyperparameters_along(capsys: pytest.CaptureFixture[str]) -> None:
    found = {"backbone": "convnet32", "stem": "own", "width": 16, "depth": 3}
    start = write_best("best.json", found, "zoo", initial_lr=0.0123, cutout=8)
    search = ["--space", "zoo", "--strategy", "tpe", *DIGITS, "--epochs", "1", "--start-with", start]
    assert main([*search, "--trials", "1"]) == 2
    assert "--trials 1 is too few: the search begins with 2, the default configuration, best.json" in capsys.readouterr().err
    small = ["--model", "convnet32", "--set", "width=16", "--trials", "2", "--max-params", "1M", "--out", "run"]
    assert main([*search, *small]) == 0, capsys.readouterr().err
    default, started = TrialLog(Path("run/trials.jsonl")).read()
    assert started.architecture == found
    assert (started.hyperparameters["initial_lr"], started.hyperparameters["cutout"]) == (0.0123, 8)
    assert default.hyperparameters["initial_lr"] != 0.0123
    start = write_best("best.json", found, "zoo", initial_lr=7.5, optimizer=3)
    again = [*search, *small[:-1], "other", "--set", "batch_size=64"]
    assert main(again) == 0
    assert "best.json: not searched here, so the recipe's value is used: initial_lr 7.5, optimizer 3" in capsys.readouterr().err


@pytest.mark.slow
def test_what_is_too_large_is_left_out_with_a_word(capsys: pytest.CaptureFixture[str]) -> None:
    sizes = ["--set", "width=2", "--set", "num_cells=3", "--max-params", "1.6k"]  # 1,664 with skip connections alone
    search = ["--space", "darts", "--strategy", "random", *DIGITS, *sizes, "--epochs", "1", "--trials", "2", "--out", "run"]
    skips = {label: "skip_connect" if "edge" in label else [0, 1] for label in architecture_from_genotype(GENOTYPES["DARTS_V2"])}
    assert main([*search, "--start-with", write_best("skips.json", skips, "darts"), "DARTS_V2"]) == 0
    assert "skips.json is not tried first: 1,664 parameters, more than --max-params 1,600" in capsys.readouterr().err
    first = TrialLog(Path("run/trials.jsonl")).read()[0].architecture
    assert first["normal/inputs_5"] == architecture_from_genotype(GENOTYPES["DARTS_V2"])["normal/inputs_5"]


@pytest.mark.slow
def test_one_that_would_have_to_wait_beyond_the_budget_does_not_begin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(EVALUATORS, "train", EvaluatorEntry("pool_functions:sleep_and_score", "none"))
    search = ["--space", "zoo", "--strategy", "random", "--trials", "9", "--dataset", "digits", "--precision", "float32"]
    # Two begin at once, the default configuration among them; the third has to wait for one of them.
    starts = ["--start-with", "squeezenet1_1", "tinynet_e", "--workers", "2", "--time-budget", "2"]
    assert main([*search, *starts, "--device", "cpu", "--out", "run"]) == 0
    assert "tinynet_e is not tried first: the budget is spent" in capsys.readouterr().err
    assert len(TrialLog(Path("run/trials.jsonl")).read()) == 2
