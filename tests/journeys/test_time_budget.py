"""Searches with a time budget, from the first trial to the weights: in time, interrupted, extended, retrained."""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
from command_line import in_a_folder_of_its_own_with_few_digits  # noqa: F401
from paced_parts import LEGS
from program import Program, run_program

import retiarius as rt
from evaluators.training import loop
from records.trials import FINALS, TrialLog
from retiarius import finals, long_training, pacing
from run_experiment import main

OUT, LOG = Path("run"), Path("run/trials.jsonl")
HERE = ["--dataset", "digits", "--device", "cpu", "--precision", "float32"]
OWN = ["--space", "paced_parts:Ranked", "--evaluator", "paced_parts:train_in_legs", "--strategy", "random", "--epochs", "9"]
SEARCH = [*OWN, *HERE, "--out", "run"]
SLACK = 3.0  # seconds: on a machine that is busy with other work one epoch may take much longer than the one before


def document(name: str) -> Any:
    return json.loads((OUT / name).read_text())


def seconds() -> float:
    """Return the seconds of all trials: of each the last line, which has those of its whole training."""
    return sum(trial.seconds for trial in TrialLog(LOG).read())


def legs() -> list[tuple[str, int, int, int]]:
    """Return of each leg the trial, whence and whither it went, and how far the training's file had come."""
    lines = [line.split() for line in (OUT / LEGS).read_text().splitlines()]
    return [(name, int(since), int(until), int(done)) for name, since, until, done in lines]


@pytest.mark.slow
def test_trials_wait_and_the_best_go_on_within_the_time(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*SEARCH, "--time-budget", "3"]) == 0, capsys.readouterr().err
    trials = TrialLog(LOG).read()
    assert {trial.planned_epochs for trial in trials} == {9}
    assert seconds() <= 3 + SLACK
    assert len(LOG.read_text().splitlines()) > len(trials), "those that went on have several lines"
    best, score = max(trials, key=lambda trial: trial.score or 0.0), document("best.json")["score"]
    assert (score["value"], score["epochs"]) == (best.score, len(best.curve))
    waiting = [trial for trial in trials if trial.state == "pruned"]
    assert all(len(trial.curve) in (1, 3) and trial.score == trial.curve[-1] for trial in waiting)
    assert all(done == since for _, since, _, done in legs()), "each leg began where the one before had ended"
    assert document("config.json")["identity"]["seconds_per_trial"] == 3 / 8


@pytest.mark.slow
def test_killed_it_goes_on_and_begins_nothing_anew() -> None:
    with Program(*SEARCH, "--time-budget", "12") as process:
        process.wait_until(lambda: LOG.exists() and len(LOG.read_text().splitlines()) >= 4)
        process.kill()
    assert process.returncode == -signal.SIGKILL
    before, lines = TrialLog(LOG).read(), LOG.read_text().rsplit("\n", 1)[0]
    done = run_program(*SEARCH, "--time-budget", "12", "--resume")
    assert done.returncode == 0, done.stderr
    trials = {trial.number: trial for trial in TrialLog(LOG).read()}
    assert LOG.read_text().startswith(lines), "what was on record stays there"
    assert sorted(trials) == list(range(len(trials))) and len(trials) > len(before)
    for trial in before:
        assert trials[trial.number].curve[: len(trial.curve)] == trial.curve, "no training has begun anew"
    assert all(done - since in (0, 1) for _, since, _, done in legs() if since), "what was cut off lost no epoch but the one that ran"
    assert seconds() <= 12 + SLACK
    assert document("best.json")["score"]["value"] == max(trial.score or 0.0 for trial in trials.values())


@pytest.mark.slow
def test_more_time_extends_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*SEARCH, "--time-budget", "2"]) == 0, capsys.readouterr().err
    first = TrialLog(LOG).read()
    assert main([*SEARCH, "--time-budget", "2", "--resume"]) == 0, capsys.readouterr().err
    assert seconds() <= 2 + SLACK, "what was left after the first run, and no more"
    assert main([*SEARCH, "--time-budget", "4", "--resume"]) == 0, capsys.readouterr().err
    assert len(TrialLog(LOG).read()) > len(first)
    assert 2 < seconds() <= 4 + SLACK
    assert document("config.json")["identity"]["seconds_per_trial"] == 2 / 8, "trials are as long as they were"
    assert all(done == since for _, since, _, done in legs())


@pytest.mark.slow
def test_then_retrained_once(capsys: pytest.CaptureFixture[str]) -> None:
    search = [*SEARCH, "--time-budget", "1", "--then-retrain", "0.5"]
    assert main(search) == 0, capsys.readouterr().err
    path = OUT / "retrain" / "retrained.json"
    retrained = document("retrain/retrained.json")
    assert retrained["architecture"] == document("best.json")["architecture"]
    assert 1 <= retrained["epochs"] <= 300 and 0 <= retrained["plain_test_accuracy"] <= 1
    shown = capsys.readouterr().out
    assert "mirror" in shown, "both test accuracies are shown"
    assert "Next:" not in shown, "nothing is left to type"
    before = path.read_bytes()
    assert main([*search, "--resume"]) == 0, capsys.readouterr().err
    assert path.read_bytes() == before
    found = rt.open_run("run")
    assert isinstance(found, rt.SearchResult) and found.retrained is not None
    assert found.retrained.document == retrained


@pytest.mark.slow
def test_interrupted_in_its_retraining_it_goes_on_there(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*told: Any, **others: Any) -> None:
        raise KeyboardInterrupt

    search = [*SEARCH, "--time-budget", "1", "--then-retrain", "0.5"]
    monkeypatch.setattr(sys, "argv", ["run_experiment.py", *search])  # a worker of pytest has no command line
    with monkeypatch.context() as patch:
        patch.setattr(loop, "retrain", interrupted)
        assert main(search) == 130
    assert "use the same command with --out run --resume" in capsys.readouterr().err
    trials, best = LOG.read_text(), document("best.json")
    assert main([*search, "--resume"]) == 0, capsys.readouterr().err
    assert LOG.read_text() == trials and document("best.json") == best, "seconds that trials did not have are not theirs now"
    assert document("retrain/retrained.json")["architecture"] == best["architecture"]


@pytest.mark.slow
def test_what_a_supernet_finds_is_retrained_too(capsys: pytest.CaptureFixture[str]) -> None:
    search = ["--space", "two_layers:TwoLayers", "--strategy", "darts", "--epochs", "1", "--then-retrain", "0.5", *HERE, "--out", "run"]
    assert main(search) == 0, capsys.readouterr().err
    assert document("retrain/retrained.json")["architecture"] == document("best.json")["architecture"]


@pytest.mark.slow
def test_the_zoo_in_some_seconds(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """One small backbone, an epoch of which is measured, and few epochs at most, so that it ends long before the time is up."""
    monkeypatch.setattr(pacing, "MOST_EPOCHS", 6)
    zoo = ["--space", "zoo", "--strategy", "tpe", "--set", "backbone=convnet32", "--set", "width=16", "--set", "depth=2", *HERE]
    assert main([*zoo, "--time-budget", "60", "--trials", "3", "--out", "run"]) == 0, capsys.readouterr().err
    trials = TrialLog(LOG).read()
    longest = max(trial.seconds / len(trial.curve) for trial in trials if trial.curve)
    assert len(trials) == 3 and seconds() <= 60 + longest, "what would overrun is stopped after an epoch"
    assert all(1 <= len(trial.curve) <= (trial.planned_epochs or 0) <= 6 for trial in trials)
    best = max(trials, key=lambda trial: trial.score or 0.0)
    assert document("best.json")["score"]["epochs"] == len(best.curve)
    assert not list((OUT / "checkpoints").glob(f"trial-{best.number}.ckpt")) or best.state == "pruned"


@pytest.mark.slow
def test_cells_are_compared_at_full_size(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The preset has two cells a stage in a retraining, one in a search. Few epochs are the most, so that it ends before the time is up."""
    monkeypatch.setattr(pacing, "MOST_EPOCHS", 9)
    monkeypatch.setattr(finals, "MOST_EPOCHS", 4)
    cells = ["--space", "nasbench201", "--strategy", "random", "--set", "width=4", "--trials", "3", *HERE, "--out", "run"]
    assert main([*cells, "--time-budget", "80"]) == 0, capsys.readouterr().err
    trials, ends = TrialLog(LOG).read(), TrialLog(OUT / FINALS).read()
    by_score = sorted((trial for trial in trials if trial.score is not None), key=lambda trial: -(trial.score or 0.0))
    assert 2 <= len(ends) <= 3 and {end.number for end in ends} == {trial.number for trial in by_score[: len(ends)]}
    assert len({end.planned_epochs for end in ends}) == 1 and all(len(end.curve) >= 3 for end in ends)
    best = max(ends, key=lambda end: end.score or 0.0)
    assert document("best.json")["strategy"]["trial"] == best.number and document("best.json")["score"]["value"] == best.score
    assert main([*cells, "--time-budget", "80", "--resume"]) == 0, capsys.readouterr().err
    assert TrialLog(OUT / FINALS).read()[: len(ends)] == ends, "nothing is trained twice"
    assert document("best.json")["strategy"]["trial"] in {end.number for end in TrialLog(OUT / FINALS).read()}


@pytest.mark.slow
def test_what_a_share_cannot_tell_of_is_tried_last(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the first configuration of the portfolio, which has another learning rate than the default, took so long."""
    monkeypatch.setattr(pacing.Pace, "_cost", lambda pace, sample, enough: 0.6 if sample["initial_lr"] == 0.045 else 0.2)
    for name, value in {"LONG_EPOCHS": 1, "LATE_SHARE": 0.5, "LATE_MOST": 0.5, "MOST_EPOCHS": 4}.items():
        monkeypatch.setattr(long_training, name, value)
    monkeypatch.setattr(pacing, "MOST_EPOCHS", 9)
    zoo = ["--space", "zoo", "--strategy", "tpe", "--set", "backbone=convnet32", "--set", "width=32", "--set", "depth=2", *HERE]
    assert main([*zoo, "--time-budget", "14", "--then-retrain", "2", "--out", "run"]) == 0, capsys.readouterr().err
    trials, told = TrialLog(LOG).read(), capsys.readouterr().out
    last = max(trials, key=lambda trial: trial.number)
    assert f"configuration 1 of the portfolio is tried last, for {last.planned_epochs} epochs: a share is too short to judge it" in told
    assert (last.state, last.hyperparameters["optimizer"]) == ("complete", "muon")
    assert 1 <= len(last.curve) <= (last.planned_epochs or 0) <= 4, "on a busy machine fewer are planned, and it is stopped after one"
    longest = max(trial.seconds / len(trial.curve) for trial in trials if trial.curve)
    assert seconds() <= 14 + longest
    chosen = next(trial for trial in trials if trial.number == document("best.json")["strategy"]["trial"])
    assert chosen.state == "complete", "what waits is not judged by that"
    assert document("retrain/retrained.json")["hyperparameters"]["initial_lr"] == chosen.hyperparameters["initial_lr"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--trial-command", "python main.py", "--search-space", "s.json", "--then-retrain", "1m"], "--then-retrain is for built-in"),
        (["--space", "zoo", "--strategy", "tpe", "--evaluator", "zero_cost", "--then-retrain", "1m"], "leave out --evaluator"),
        (["--retrain", "resnet18", "--time-budget", "1m", "--epochs", "3"], "both say how long a retraining is: leave one out"),
        (["--retrain", "resnet18", "--then-retrain", "1m"], "--then-retrain is for searches and has no use with --retrain"),
    ],
)
def test_what_does_not_fit_is_one_line(arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("s.json").write_text('{"x": {"_type": "choice", "_value": [1, 2]}}')
    assert main([*arguments, "--out", "run"]) == 2
    error = capsys.readouterr().err
    assert words in error and len(error.strip().splitlines()) == 1
    assert not OUT.exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("first", "then", "told"),
    [
        (["--trials", "1"], ["--time-budget", "1"], "it began without --time-budget, and its trials do not wait; leave that out"),
        (["--time-budget", "60", "--trials", "1"], ["--trials", "1"], "it began with --time-budget, and its trials wait; set that again"),
    ],
)
def test_a_number_of_trials_is_not_resumed_as_a_time(
    first: list[str], then: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    search = ["--space", "two_layers:TwoLayers", "--strategy", "random", "--epochs", "1", *HERE, "--out", "run"]
    assert main([*search, *first]) == 0, capsys.readouterr().err
    capsys.readouterr()
    assert main([*search, *then, "--resume"]) == 2
    said = capsys.readouterr()
    assert told in said.err and said.err.count("\n") == 1
    assert "now has 24" not in said.out, "a number of trials that nobody gave"
