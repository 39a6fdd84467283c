"""Runs that fail, or that are not gone on with: one line that says why, a log, and nothing lost."""

from __future__ import annotations

import errno
import re
import tempfile
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import torch
from command_line import SMALL, ZOO, fails, in_a_folder_of_its_own_with_few_digits  # noqa: F401
from few_digits import use_few_digits

from evaluators import EVALUATORS, EvaluatorEntry
from kernels.build import VARIABLE, kernels_for, why_not
from run_experiment import main


def test_out_that_holds_another_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*ZOO, "--out", "run"]) == 0
    capsys.readouterr()
    kept = Path("run/best.json").read_bytes()
    with mock.patch("evaluators.data.dataset.load_dataset", side_effect=AssertionError("the images are not loaded for this")):
        assert "--resume" in fails(capsys, *ZOO, "--out", "run")
        assert "--resume" in fails(capsys, *ZOO, "--strategy", "tpe", "--storage", "sqlite:///study.db", "--out", "run")
        assert not Path("study.db").exists()
        assert "no run to resume" in fails(capsys, "--retrain", "DARTS_V2", *SMALL, "--out", "elsewhere", "--resume")
    assert "cannot resume this run" in fails(capsys, *ZOO, "--seed", "5", "--out", "run", "--resume")
    assert "no run to resume" in fails(capsys, *ZOO, "--out", "elsewhere", "--resume")
    assert Path("run/best.json").read_bytes() == kept
    assert main([*ZOO, "--out", "run", "--resume"]) == 0, "a finished run that is resumed does nothing and ends well"
    assert Path("run/best.json").read_bytes() == kept


@pytest.mark.slow
def test_a_disk_that_fills_up_is_the_runs_failure(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    import records.lines

    def full(*arguments: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "trials.jsonl")

    with monkeypatch.context() as patch:
        patch.setattr(records.lines, "_write_all", full)
        line = fails(capsys, *ZOO, "--out", "run", status=1)
    assert "No space left on device" in line
    assert "--resume" in line
    assert main([*ZOO, "--out", "run", "--resume"]) == 0


@pytest.mark.slow
def test_a_time_budget_too_small_for_a_trial(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--space", "darts", "--strategy", "random", *SMALL, "--time-budget", "0.000001"]
    assert "the time budget ended before the first trial" in fails(capsys, *arguments, status=1)


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["random", "tpe"])
def test_a_limit_below_every_network(capsys: pytest.CaptureFixture[str], strategy: str) -> None:
    arguments = ["--space", "zoo", "--strategy", strategy, *SMALL, "--epochs", "2", "--max-params", "1k", "--out", "run"]
    assert main(arguments) == 2
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("WARNING: the default configuration is not tried first: 11,181,642 parameters")
    words = r"error: all 200 proposed networks are too large; the closest to the limit has [\d,]+ parameters, "
    words += "more than --max-params 1,000: raise the limit"
    assert re.fullmatch(words, lines[1])
    assert Path("run/log.txt").read_text().count("not tried") >= 200
    assert not Path("run/trials.jsonl").exists()


def test_one_configuration_that_is_too_large(capsys: pytest.CaptureFixture[str]) -> None:
    pins = {"backbone": "tinynet_e", "stem": "own", "initial_lr": 0.02, "weight_decay": 0, "optimizer": "adam", "momentum": 0.9}
    pins |= {"batch_size": 64, "cutout": 0, "grad_clip": 0, "label_smoothing": 0}
    flags = [flag for name, value in pins.items() for flag in ("--set", f"{name}={value}")]
    assert main(["--space", "zoo", "--strategy", "random", *SMALL, *flags, "--max-flops", "1M"]) == 2
    assert "the closest to the limit has 1,876,432 multiply-adds, more than --max-flops 1,000,000" in capsys.readouterr().err


@pytest.mark.slow
def test_a_run_is_not_gone_on_with_under_other_limits(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*ZOO, "--max-params", "1M", "--out", "run"]) == 0
    capsys.readouterr()
    assert "--max-params was 1000000 and is not set now" in fails(capsys, *ZOO, "--out", "run", "--resume")
    assert "--max-params" in fails(capsys, *ZOO, "--max-params", "2M", "--out", "run", "--resume")
    assert "--pruner" in fails(capsys, *ZOO, "--max-params", "1M", "--pruner", "median", "--out", "run", "--resume")


@pytest.mark.slow
def test_a_broken_checkpoint_of_a_one_shot_search(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    use_few_digits(monkeypatch, 600)  # so many that an epoch can be cut short
    search = ["--space", "darts", "--strategy", "darts", *SMALL, "--epochs", "1", "--time-budget", "0.01", "--out", "run"]
    assert main(search) == 0
    assert not Path("run/checkpoints/supernet.ckpt").exists(), "an epoch that was cut short is no state to go on from"
    capsys.readouterr()
    Path("run/checkpoints/supernet.ckpt").write_bytes(b"PK\x03\x04 junk")
    assert "not a checkpoint of this training; remove it to start again" in fails(capsys, *search, "--resume")


@pytest.mark.slow
def test_a_fault_is_one_line_and_its_traceback_is_in_the_log(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    from evaluators.training import loop as training

    def run_out(*arguments: Any, **options: Any) -> Any:
        raise MemoryError("no more")

    monkeypatch.setattr(training, "make_optimizer", run_out)
    line = fails(capsys, "--retrain", "DARTS_V2", *SMALL, "--epochs", "1", "--out", "run", status=1)
    assert line.startswith("MemoryError: no more")
    assert "in run_out" in Path("run/log.txt").read_text()


def test_a_fault_before_there_is_a_log_leaves_its_traceback_in_a_file(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from retiarius import context

    def run_out(*arguments: Any, **options: Any) -> Any:
        raise RuntimeError("no more of postgresql://me:secret@host/db\nand so on")

    monkeypatch.setattr(context, "RunContext", run_out)
    monkeypatch.setattr("retiarius.search_run.RunContext", run_out)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    line = fails(capsys, *ZOO, "--out", "run", status=1)
    found = re.search(r"RuntimeError: no more of .* \(traceback: (\S+)\)", line)
    assert found is not None
    text = Path(found[1]).read_text()
    assert "in run_out" in text and "secret" not in text
    assert not Path("run").exists()


def test_a_search_in_which_all_trials_fail(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    use_few_digits(monkeypatch, 1437)  # all of them, so that the training has steps enough to diverge
    assert main([*ZOO, "--optimizer", "sgd", "--initial_lr", "1000", "--momentum", "0.99", "--out", "run"]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("WARNING: trial 0 failed: TrainingDiverged")
    assert lines[1].startswith("error: no trial was completed: 1 failed, 0 pruned; the first failure: TrainingDiverged")


@pytest.mark.skipif(kernels_for(torch.float32) is None, reason=f"no compiled kernels here: {why_not()}")
@pytest.mark.slow
def test_a_run_that_began_without_kernels_is_not_gone_on_with_by_them(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(EVALUATORS, "train", EvaluatorEntry("fake_evaluators:score_by_rate", "none"))
    search = ["--space", "darts", "--strategy", "random", "--dataset", "digits", "--device", "cpu", "--precision", "bfloat16"]
    with monkeypatch.context() as without:
        without.setenv(VARIABLE, "torch")
        assert main([*search, "--trials", "1", "--out", "run"]) == 0
    other = [word.replace("random", "tpe") for word in search]
    assert main([*other, "--trials", "1", "--out", "run", "--resume"]) == 2
    warning, error = capsys.readouterr().err.splitlines()
    assert warning.startswith("WARNING: --precision bfloat16 has no effect")
    assert "strategy was 'random'" in error
    said = fails(capsys, *search, "--trials", "1", "--out", "run", "--resume")
    assert said == "this run began in bfloat16, without compiled kernels: set RETIARIUS_KERNELS=torch to resume it"
