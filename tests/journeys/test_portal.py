"""``--portal``: a search under NNI's own service, read back into the run's folder; nothing of it is left afterwards."""

from __future__ import annotations

import io
import json
import signal
import socket
import urllib.request
from pathlib import Path
from typing import Any

import psutil
import pytest
from ports import free_port, is_free
from program import Program
from trial_scripts import STUDENT, wait_until_gone, write_script

from nni_compat.service import NniService
from records.trials import TrialLog
from run_experiment import main

SPACE = {
    "initial_lr": {"_type": "uniform", "_value": [1e-4, 0.1]},
    "batch_size": {"_type": "choice", "_value": [64, 128]},
}
HANG = "import os, time\nopen('pid', 'w').write(str(os.getpid()))\nwhile True: time.sleep(1)\n"


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("search_space.json").write_text(json.dumps(SPACE))
    write_script(Path(), HANG, protocol=False)


def flags(port: int, *more: str) -> list[str]:
    program = ["--search-space", "search_space.json", "--trial-command", "python main.py"]
    return [*program, "--portal", "--port", str(port), "--out", "run", *more]


@pytest.mark.slow
def test_a_students_main_runs_under_the_portal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    write_script(Path(), STUDENT, protocol=False)
    monkeypatch.setattr("sys.stdin", io.StringIO())  # no terminal: nobody would press Enter
    pages: list[bytes] = []
    run, port = NniService.run, free_port()

    def look_and_run(service: NniService) -> Any:
        pages.append(urllib.request.urlopen(f"http://127.0.0.1:{port}/oview", timeout=30).read())
        return run(service)

    monkeypatch.setattr(NniService, "run", look_and_run)
    home = Path("home")
    home.mkdir()
    monkeypatch.setenv("HOME", str(home.absolute()))
    assert main(flags(port, "--trials", "1", "--optimize-mode", "minimize")) == 0
    assert b"<title>Neural Network Intelligence</title>" in pages[0]
    (trial,) = TrialLog(Path("run/trials.jsonl")).read()
    rate = trial.hyperparameters["initial_lr"]
    assert (trial.state, trial.score) == ("complete", -rate), "higher is better in the record"
    assert trial.curve == [-rate, -2 * rate]
    best = json.loads(Path("run/best_parameters.json").read_text())
    assert best["result"] == best["parameters"]["initial_lr"] == rate
    printed = capsys.readouterr()
    assert "NNI's portal is open on every address of this machine, without a login: http://127.0.0.1:" in printed.out + printed.err
    assert is_free(port) and list(home.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_left_of_an_interrupted_search(how: signal.Signals) -> None:
    port = free_port()
    with Program(*flags(port)) as search:
        search.wait_until(lambda: Path("pid").exists() and Path("pid").read_text())
        started = [process.pid for process in psutil.Process(search.pid).children(recursive=True)] + [int(Path("pid").read_text())]
        assert len(started) >= 4, "guard, manager, tuner, trial"
        search.send_signal(how)
        _, errors = search.communicate(timeout=60)
    assert wait_until_gone(started, 60) and is_free(port)
    if how != signal.SIGKILL:
        assert search.returncode == 130
        assert "run; NNI's service cannot resume it" in errors


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--strategy", "gp"], "gp is not one of them; use tpe, random, grid, evolution"),
        (["--pruner", "hyperband"], "is not one of them; use the pruner median, or none"),
        (["--resume"], "--portal cannot --resume, as NNI's service begins again after an interruption; set --out to another folder"),
        (
            ["--storage", "sqlite:///s.db", "--study", "a"],
            "--storage does not work with --portal, as NNI's service shares no trials: leave one out",
        ),
        (["--set", "batch_size=64"], "--set batch_size does not work with --portal: change the search space instead"),
        (["--trial-command", "python other.py"], "which does not exist"),
    ],
)
def test_what_the_service_cannot_do(more: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(flags(free_port(), *more)) == 2
    assert message in capsys.readouterr().err
    assert not Path("run").exists()


def test_a_port_that_is_taken(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        assert main(flags(port)) == 2
    assert f"port {port} cannot be used: Address already in use; set --port to another" in capsys.readouterr().err
    assert not Path("run").exists()


def test_the_portal_is_for_programs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--space", "zoo", "--strategy", "tpe", "--portal"]) == 2
    assert "--portal needs a program to search: --config FILE, or --search-space FILE --trial-command COMMAND" in capsys.readouterr().err
    Path("config.yml").write_text("searchSpaceFile: search_space.json\ntrialCommand: python main.py\n")
    assert main(["--config", "config.yml", "--portal", "--space", "zoo"]) == 2
    assert "--portal needs a trial command, and cannot be combined with --space: leave one out" in capsys.readouterr().err
