"""Whole runs that are interrupted or killed, and go on as if nothing had happened; trials that a pruner ends."""

from __future__ import annotations

import json
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
from command_line import SMALL, in_a_folder_of_its_own_with_few_digits, read, run  # noqa: F401
from few_digits import use_few_digits
from image_folders import write_images
from noted_epochs import read_epochs
from program import Program

from records.trials import TrialLog


def prepare_small_search() -> list[str]:
    """A one-shot search of epochs of a moment, and enough of them that it can be interrupted, on images of 8x8 pixels."""
    write_images(Path("few"), train=40)
    cells = ["--set", "width=4", "--set", "num_cells=3"]
    return ["--space", "darts", "--strategy", "darts", "--dataset", "few", *SMALL[2:], *cells, "--epochs", "6"]


def interrupt_search(search: list[str], how: signal.Signals) -> None:
    """Send the signal ``how`` to a one-shot search into the folder ``run`` once that has a checkpoint, and look at how it ends."""
    with Program(*search, "--out", "run") as process:
        process.wait_until(Path("run/checkpoints/supernet.ckpt").exists)
        process.send_signal(how)
        _, error = process.communicate()
    assert process.returncode == 130, error
    assert error.startswith("error: interrupted")


@pytest.mark.slow
def test_ctrl_c_in_a_one_shot_search_is_130_and_the_search_goes_on() -> None:
    search = prepare_small_search()
    interrupt_search(search, signal.SIGINT)
    with Path("run/epochs.jsonl").open("a") as file:  # as of an epoch that a time budget had cut short
        file.write(json.dumps({"number": 2, "validation_accuracy": 0.0}) + "\n")
    assert run(*search, "--out", "run", "--resume") == 0
    assert run(*search, "--out", "whole") == 0
    assert read("run/best.json")["score"] == read("whole/best.json")["score"]
    assert read_epochs("run") == read_epochs("whole")
    found = read("whole/best.json")["architecture"]
    assert run(*search, "--out", "whole", "--resume") == 0, "a finished search can be gone on with"
    assert read("whole/best.json")["architecture"] == found


@pytest.mark.slow
def test_sigterm_ends_a_one_shot_search_as_ctrl_c_does() -> None:
    interrupt_search(prepare_small_search(), signal.SIGTERM)


@pytest.mark.slow
def test_a_killed_search_goes_on_and_ends_with_the_trials_of_an_uninterrupted_one() -> None:
    command = ["--space", "zoo", "--strategy", "random", *SMALL, "--trials", "6", "--epochs", "1", "--set", "backbone=squeezenet1_1"]
    log = Path("run/trials.jsonl")
    with Program(*command, "--out", "run") as process:
        process.wait_until(lambda: log.exists() and log.read_bytes().count(b"\n") >= 2)
        process.kill()
    kept = TrialLog(log).read()
    assert 2 <= len(kept) < 6
    if Path("run/best.json").exists():
        assert read("run/best.json")["score"]["value"] in [trial.score for trial in kept]
    assert run(*command, "--out", "run", "--resume") == 0
    assert run(*command, "--out", "whole") == 0
    resumed, whole = TrialLog(log).read(), TrialLog(Path("whole/trials.jsonl")).read()
    assert resumed[: len(kept)] == kept
    assert read("run/best.json")["score"]["value"] == max(trial.score or 0 for trial in resumed)
    assert [(t.hyperparameters, t.score) for t in resumed] == [(t.hyperparameters, t.score) for t in whole]


# Everything but the learning rate is fixed, at values that learn the digits within two epochs unless it is tiny.
LEARNING_RATES = ["--space", "zoo", "--strategy", "random", *SMALL, "--epochs", "2"]
LEARNING_RATES += [
    "--model",
    "convnet32",
    "--set",
    "width=16",
    "--set",
    "depth=2",
    "--set",
    "stem=own",
    "--batch_size",
    "64",
    "--cutout",
    "0",
    "--set",
    "label_smoothing=0",
]
LEARNING_RATES += ["--optimizer", "sgd", "--momentum", "0.9", "--weight_decay", "1e-4", "--grad_clip", "1"]
ENOUGH_TO_LEARN = 600  # digits


def check_pruned(path: str) -> None:
    """Pruned trials have one epoch and no score, and the best is none of them."""
    trials = TrialLog(Path(path) / "trials.jsonl").read()
    assert {trial.state for trial in trials} == {"complete", "pruned"}
    for trial in trials:
        assert (len(trial.curve), trial.score) == ((1, None) if trial.state == "pruned" else (2, trial.curve[-1]))
    best = read(f"{path}/best.json")
    assert best["score"]["value"] == max(trial.score for trial in trials if trial.score is not None)
    assert trials[best["strategy"]["trial"]].state == "complete"


@pytest.mark.slow
def test_the_median_pruner_ends_hopeless_trials(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    use_few_digits(monkeypatch, ENOUGH_TO_LEARN)
    assert run(*LEARNING_RATES, "--pruner", "median", "--trials", "6", "--seed", "4", "--out", "run") == 0
    check_pruned("run")
    pruned = sum(trial.state == "pruned" for trial in TrialLog(Path("run/trials.jsonl")).read())
    assert f"{pruned} of 6 trials were pruned by median" in capsys.readouterr().out
    assert read("run/config.json")["identity"]["--pruner"] == "median"


@pytest.mark.slow
def test_a_killed_search_prunes_as_an_uninterrupted_one(monkeypatch: pytest.MonkeyPatch) -> None:
    use_few_digits(monkeypatch, ENOUGH_TO_LEARN)
    command = [*LEARNING_RATES, "--pruner", "halving", "--trials", "5"]
    assert run(*command, "--out", "whole") == 0
    check_pruned("whole")
    shutil.copytree("whole", "run")  # as a kill in the third trial leaves it, before the best one was written
    lines = Path("run/trials.jsonl").read_bytes().splitlines(keepends=True)
    Path("run/trials.jsonl").write_bytes(b"".join(lines[:2]) + lines[2][:40])
    Path("run/best.json").unlink()
    assert run(*command, "--out", "run", "--resume") == 0
    resumed, whole = TrialLog(Path("run/trials.jsonl")).read(), TrialLog(Path("whole/trials.jsonl")).read()
    assert resumed[:2] == whole[:2]
    assert [(t.hyperparameters, t.state, t.curve, t.score) for t in resumed] == [
        (t.hyperparameters, t.state, t.curve, t.score) for t in whole
    ]
    assert {**read("run/best.json"), "created": ""} == {**read("whole/best.json"), "created": ""}


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["with a checkpoint that no line tells of", "in the second epoch"])
def test_an_interrupted_retraining_goes_on(moment: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    import evaluators.training.loop as training

    original, calls = training.save_checkpoint, []

    def interrupt(*arguments: Any) -> None:
        calls.append(1)
        if len(calls) == 1 or moment != "in the second epoch":
            original(*arguments)
        if len(calls) == (2 if moment == "in the second epoch" else 1):
            raise KeyboardInterrupt

    retraining = ["--retrain", "DARTS_V2", *SMALL, "--epochs", "2", "--set", "width=4", "--set", "num_cells=3"]
    assert run(*retraining, "--out", "retrained") == 0
    monkeypatch.setattr(training, "save_checkpoint", interrupt)
    assert run(*retraining, "--out", "cut") == 130
    assert "ended" not in read("cut/config.json")
    capsys.readouterr()
    if moment == "in the second epoch":  # as if it had begun before there were these
        config = read("cut/config.json")
        for name in ("rand_augment", "mixup", "cutmix", "ema_decay"):
            del config["identity"]["recipe"][name]
        Path("cut/config.json").write_text(json.dumps(config))
        assert run(*retraining, "--out", "cut", "--resume", "--set", "mixup=0.2") == 2
    assert run(*retraining, "--out", "cut", "--resume") == 0
    if moment == "in the second epoch":
        assert "retrain: 1/2" not in capsys.readouterr().out, "what was done before is no progress, by which to foretell the rest"
    assert read("cut/retrained.json")["test_accuracy"] == read("retrained/retrained.json")["test_accuracy"]
    assert [e["loss"] for e in read("cut/retrained.json")["curve"]] == [e["loss"] for e in read("retrained/retrained.json")["curve"]]
    assert read("cut/config.json")["ended"]
    for name in ("cut", "retrained"):
        epochs = [json.loads(line) for line in Path(name, "epochs.jsonl").read_text().splitlines()]
        assert [(epoch["number"], epoch["loss"]) for epoch in epochs] == [
            (e["number"], e["loss"]) for e in read(f"{name}/retrained.json")["curve"]
        ]
