"""A program as a trial: NNI's protocol, what ends it, and that nothing of it is left running."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from trial_scripts import STUDENT, wait_until_gone, write_script

from common.errors import EvaluatorError
from nni_compat.trial_command import CommandTrial, TrialCommand, check_command

PROJECT = Path(__file__).parents[2]


def command(folder: Path, **more: Any) -> TrialCommand:
    return TrialCommand(**{"command": "python -S main.py", "directory": folder, "folder": folder / "trials", **more})


def wait(trial: CommandTrial, seconds: float = 120.0) -> tuple[float | None, str | None]:
    deadline = time.monotonic() + seconds
    while (outcome := trial.outcome()) is None:
        assert time.monotonic() < deadline, "the trial does not end"
        time.sleep(0.02)
    return outcome


def run(folder: Path, code: str, parameters: dict[str, Any] | None = None, **more: Any) -> tuple[float | None, str | None, list[float]]:
    write_script(folder, code)
    trial = command(folder, **more).start(3, parameters or {})
    score, error = wait(trial)
    return score, error, trial.read_reports()


def test_parameters_go_in_and_results_come_out(tmp_path: Path) -> None:
    code = 'send("PERIODICAL", 0.25); send("PERIODICAL", {"default": 0.5, "loss": 3}); send("FINAL", parameters["x"] / 4)'
    assert run(tmp_path, code, {"x": 3, "layer": {"_name": "conv"}}) == (0.75, None, [0.25, 0.5])
    assert run(tmp_path, code, {"x": 3}, sign=-1) == (-0.75, None, [-0.25, -0.5]), "lower is better: higher is better after the sign"


@pytest.mark.slow
def test_a_students_trial_with_nnis_own_package(tmp_path: Path) -> None:
    write_script(tmp_path, STUDENT, protocol=False)
    trial = command(tmp_path, command="python main.py").start(7, {"initial_lr": 0.125, "batch_size": 128})
    assert wait(trial) == (0.125, None)
    assert trial.read_reports() == [0.125, 0.25]


def test_reports_come_while_the_trial_runs(tmp_path: Path) -> None:
    write_script(tmp_path, 'send("PERIODICAL", 0.5)\nwhile not os.path.exists(folder + "/go"): time.sleep(0.02)\nsend("FINAL", 1)')
    trial = command(tmp_path).start(0, {})
    reports: list[float] = []
    deadline = time.monotonic() + 60
    while not reports and time.monotonic() < deadline:
        reports += trial.read_reports()
        assert trial.outcome() is None
    (trial.folder / "go").touch()
    assert wait(trial) == (1.0, None)
    assert reports == [0.5]


def test_each_trial_has_a_folder_and_runs_where_the_code_is(tmp_path: Path) -> None:
    code = 'open(os.path.join(os.environ["NNI_OUTPUT_DIR"], "here"), "w").write(os.getcwd()); print("seen"); send("FINAL", 1)'
    assert run(tmp_path, code)[0] == 1.0
    assert (tmp_path / "trials/3/here").read_text() == str(tmp_path)
    assert (tmp_path / "trials/3/stdout").read_text() == "seen\n"
    assert run(tmp_path, 'send("FINAL", 2)')[0] == 2.0, "what an interrupted trial of this number left is taken away"
    assert not (tmp_path / "trials/3/here").exists()


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ('print("a\\nb\\x1b[31m", file=sys.stderr); sys.exit(3)', "exit status 3; the end of stderr: a | b [31m"),
        ('send("FINAL", 1); sys.exit(1)', "exit status 1; it wrote nothing to stderr"),
        ("raise KeyError('lr')", "raise KeyError('lr') | KeyError: 'lr'"),
        ("os.kill(os.getpid(), signal.SIGKILL)", "exit status 137"),
        ("pass", "it ended without nni.report_final_result; it wrote nothing to stderr"),
        ('send("FINAL", float("nan"))', "the final result is nan"),
        ('send("FINAL", float("inf"))', "the final result is inf"),
        ('send("FINAL", 10 ** 400)', "the final result is inf"),
        ('send("FINAL", "0.9")', "the final result is \"0.9\"; expected a number, or an object whose 'default' is one"),
        (
            'send("FINAL", {"__nni_obj__": "gAWV"})',
            "the final result is an object such as a tensor (report its .item())",
        ),
        ('send("FINAL", True)', "the final result is true; expected a number, or an object whose 'default' is one"),
        (
            'send("FINAL", {"accuracy": 1})',
            "the final result is {\"accuracy\": 1}; expected a number, or an object whose 'default' is one",
        ),
        ('send("FINAL", {"__nni_obj__": "gASVAAAA"})', "expected a number, or an object whose 'default' is one"),
        ('write(b"nonsense of some length")', "its file of results is damaged at byte 0"),
        ('write(b"ME000004null")', "it reported something other than a result: null"),
        ('write(b"ME000009not JSON!")', "it reported something other than a result: not JSON!"),
        ('send("FINAL", 1, number=99)', "it reported for trial 99"),
    ],
)
def test_what_goes_wrong_is_said_in_one_line(tmp_path: Path, code: str, error: str) -> None:
    score, message, _ = run(tmp_path, code)
    assert score is None
    assert message is not None
    assert error in message
    assert message.isprintable()
    assert len(message) < 400


def test_a_program_that_takes_its_folder_away_fails_alone(tmp_path: Path) -> None:
    code = 'import shutil; shutil.rmtree(os.environ["NNI_OUTPUT_DIR"]); time.sleep(0.5)'
    score, error, _ = run(tmp_path, code)
    assert score is None
    assert "it removed its file of results (in NNI_OUTPUT_DIR, the trial's own folder)" in str(error)


def test_reports_that_are_no_numbers_are_passed_over(tmp_path: Path) -> None:
    score, _, reports = run(
        tmp_path, 'send("PERIODICAL", "x"); send("PERIODICAL", 2); send("FINAL", {"__ndarray__": 0.5, "dtype": "float64", "shape": []})'
    )
    assert score == 0.5
    assert math.isnan(reports[0])
    assert reports[1:] == [2.0]


def test_the_last_final_result_counts(tmp_path: Path) -> None:
    assert run(tmp_path, 'send("FINAL", 1); send("FINAL", 2)')[0] == 2.0


def test_a_trial_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    score, error, _ = run(tmp_path, "time.sleep(600)", time_limit=1.0)
    assert (score, error) == (None, "stopped after 1 seconds, the limit for a trial")


CHILDREN = """
signal.signal(signal.SIGTERM, signal.SIG_IGN)
stubborn = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
child = subprocess.Popen([sys.executable, "-S", "-c", stubborn])
open(folder + "/pids.tmp", "w").write(json.dumps([os.getpid(), child.pid]))
os.rename(folder + "/pids.tmp", folder + "/pids")
"""


def read_pids(path: Path) -> list[int]:
    deadline = time.monotonic() + 120
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} does not come"
        time.sleep(0.02)
    pids: list[int] = json.loads(path.read_text())
    return pids


def test_a_stopped_trial_leaves_no_process_even_a_stubborn_one(tmp_path: Path) -> None:
    write_script(tmp_path, CHILDREN + "time.sleep(600)")
    trial = command(tmp_path).start(0, {})
    pids = read_pids(trial.folder / "pids")
    trial.stop()
    assert wait_until_gone(pids, 5)
    trial.stop()  # again: it has ended already


def test_what_a_trial_that_has_ended_leaves_behind_is_ended(tmp_path: Path) -> None:
    write_script(tmp_path, CHILDREN + 'send("FINAL", 1)')
    trial = command(tmp_path).start(0, {})
    assert wait(trial) == (1.0, None)
    assert wait_until_gone(read_pids(trial.folder / "pids"), 5)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not tell where the child of an ended process is")
@pytest.mark.parametrize("ends", [True, False])
def test_what_has_left_the_trials_group_is_ended_with_it(tmp_path: Path, ends: bool) -> None:
    start = CHILDREN.replace("stubborn])", "stubborn], start_new_session=True)")
    write_script(tmp_path, start + ('send("FINAL", 1)' if ends else "time.sleep(600)"))
    trial = command(tmp_path).start(0, {})
    pids = read_pids(trial.folder / "pids")
    if ends:
        assert wait(trial) == (1.0, None)
    else:
        trial.stop()
    assert wait_until_gone(pids, 5)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_killing_this_program_ends_its_trials(tmp_path: Path, how: signal.Signals) -> None:
    write_script(tmp_path, CHILDREN + "time.sleep(600)")
    script = (
        "import sys, time; from pathlib import Path; from nni_compat.trial_command import TrialCommand; here = Path(sys.argv[1])\n"
        "trial = TrialCommand('python -S main.py', here, here / 'trials').start(0, {}); time.sleep(600)"
    )
    parent = subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], cwd=PROJECT)
    try:
        pids = read_pids(tmp_path / "trials/0/pids")
    finally:
        os.kill(parent.pid, how)
        parent.wait()
    assert wait_until_gone(pids)


@pytest.mark.parametrize(
    ("command", "folder", "message"),
    [
        (" ", "", "the trial command is empty"),
        ("python missing.py", "", "which does not exist"),
        ("python3 -u missing.py --epochs 3", "", "which does not exist"),
        ("python 'main.py", "", "is not valid in a shell:"),
        ("python main.py", "nowhere", "nowhere: no such folder"),
    ],
)
def test_a_command_that_cannot_work_is_refused(tmp_path: Path, command: str, folder: str, message: str) -> None:
    with pytest.raises(EvaluatorError, match=message):
        check_command(command, tmp_path / folder)


def test_a_command_that_can_work_is_not(tmp_path: Path) -> None:
    write_script(tmp_path, "")
    for works in ("python main.py --epochs 3", "cd sub && ./run.sh", "python -m package.train", "python $HOME/main.py"):
        check_command(works, tmp_path)
