"""``--portal``: a search under NNI's own service, read back into the run's folder; nothing of it is left afterwards."""

from __future__ import annotations

import io
import json
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import psutil
import pytest
from ports import free_port
from trial_scripts import STUDENT, wait_until_gone, write_script

from common.errors import RecordError
from nni_compat.experiment import make_experiment
from nni_compat.service import NniService
from records.trials import TrialLog
from retiarius.cli.settings import Settings, parse_settings
from run_experiment import main

PROGRAM = Path(__file__).parents[2] / "run_experiment.py"
SPACE = {
    "initial_lr": {"_type": "uniform", "_value": [1e-4, 0.1]},
    "batch_size": {"_type": "choice", "_value": [64, 128]},
}
SILENT = """#!{python}
import http.server, signal, subprocess, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN)
subprocess.Popen(["sleep", "600"])
class Pages(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'{{"status": "INITIALIZED"}}')
http.server.HTTPServer(("127.0.0.1", int(sys.argv[sys.argv.index("--port") + 1])), Pages).serve_forever()
"""  # a service that says no more than that it is there, and does not end when it is told to
HANG = "import os, time\nopen('pid', 'w').write(str(os.getpid()))\nwhile True: time.sleep(1)\n"


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("search_space.json").write_text(json.dumps(SPACE))
    write_script(Path(), HANG, protocol=False)


def flags(port: int, *more: str) -> list[str]:
    program = ["--search-space", "search_space.json", "--trial-command", "python main.py"]
    return [*program, "--portal", "--port", str(port), "--out", "run", *more]


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


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
    assert "listens on every address of this machine, without a login" in printed.out + printed.err
    assert is_free(port) and list(home.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_left_of_an_interrupted_search(how: signal.Signals) -> None:
    port = free_port()
    search = subprocess.Popen([sys.executable, str(PROGRAM), *flags(port)], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while not (Path("pid").exists() and Path("pid").read_text()):
        assert search.poll() is None and time.monotonic() < deadline, "the trial does not begin"
        time.sleep(0.05)
    started = [process.pid for process in psutil.Process(search.pid).children(recursive=True)] + [int(Path("pid").read_text())]
    assert len(started) >= 4, "guard, manager, tuner, trial"
    search.send_signal(how)
    _, errors = search.communicate(timeout=60)
    assert wait_until_gone(started, 60) and is_free(port)
    if how != signal.SIGKILL:
        assert search.returncode == 130
        assert "run has it; NNI's service begins anew" in errors


@pytest.mark.parametrize("guard_hangs", [False, True])
def test_a_service_that_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, guard_hangs: bool) -> None:
    node = tmp_path / "node"
    node.write_text(SILENT.format(python=sys.executable))
    node.chmod(0o700)
    monkeypatch.setattr("nni_compat.service._find_node", lambda: node)
    monkeypatch.setattr("nni_compat.service.SECONDS_TO_OBEY", "0.5")
    monkeypatch.setattr("nni_compat.service.SECONDS_TO_STOP", 2.0)
    port, started, before = free_port(), [], psutil.Process().children()
    silent = pytest.raises(RuntimeError, match="NNI's service gives no answer to experiment: HTTP Error 501")
    with silent, NniService(tmp_path / "nni", port) as service:
        (guard,) = (child for child in psutil.Process().children() if child not in before)
        started = [guard, *guard.children(recursive=True)]
        assert len(started) >= 3, "guard, service, what it has started"
        if guard_hangs:
            guard.suspend()
        service.begin({}, "true", tmp_path)
    assert wait_until_gone([process.pid for process in started], 10) and is_free(port)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--strategy", "gp"], "gp is none of those that work; take tpe, random, grid, evolution"),
        (["--pruner", "hyperband"], "take --pruner median, or none"),
        (["--resume"], "NNI's service begins anew after an interruption; name another folder with --out"),
        (["--storage", "sqlite:///s.db", "--study", "a"], "--storage: NNI's service keeps its trials to itself"),
        (["--set", "batch_size=64"], "--set batch_size: NNI's service takes the search space as it is"),
        (["--trial-command", "python other.py"], "there is no such file"),
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
    assert f"port {port} cannot be had: Address already in use; name another with --port N" in capsys.readouterr().err
    assert not Path("run").exists()


def test_the_portal_is_for_programs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--space", "zoo", "--strategy", "tpe", "--portal"]) == 2
    assert "--portal shows the search of a program: --config FILE" in capsys.readouterr().err
    Path("config.yml").write_text("searchSpaceFile: search_space.json\ntrialCommand: python main.py\n")
    assert main(["--config", "config.yml", "--portal", "--space", "zoo"]) == 2
    assert "--portal shows the search of a program, and --space trains networks of ours" in capsys.readouterr().err


def test_what_nnis_own_algorithms_take_reaches_them() -> None:
    text = "searchSpaceFile: search_space.json\ntrialCommand: python main.py\nmaxTrialNumber: 3\nport: 8123\n"
    text += "tuner: {name: TPE, classArgs: {optimize_mode: minimize, tpe_args: {n_startup_jobs: 4}}}\n"
    Path("config.yml").write_text(text)
    settings: Settings = parse_settings(["--config", "config.yml", "--portal"], "")
    assert (settings.notes, settings.port) == ((), 8123)
    arguments = {"tpe_args": {"n_startup_jobs": 4}, "optimize_mode": "minimize", "seed": 0}
    assert make_experiment(settings, 3)["tuner"] == {"name": "TPE", "classArgs": arguments}
    settings = parse_settings(["--config", "config.yml", "--portal", "--strategy", "evolution", "--port", "8124"], "")
    assert settings.notes == ("tuner.classArgs.tpe_args has no effect here: another takes the place of the file's",)
    assert (settings.port, "tpe_args" in make_experiment(settings, 3)["tuner"]["classArgs"]) == (8124, False)
    settings = parse_settings(["--config", "config.yml", "--portal", "--strategy", "tpe"], "")
    assert (settings.notes, make_experiment(settings, 3)["tuner"]["classArgs"]) == ((), arguments)
    Path("config.yml").write_text(text + "assessor: {name: Curvefitting}\n")
    settings = parse_settings(["--config", "config.yml", "--portal"], "")
    assert [note.split(";")[0] for note in settings.notes] == ["assessor Curvefitting is not here"]
    Path("config.yml").write_text(text)
    settings = parse_settings(["--config", "config.yml"], "")
    assert [note.split(" has no effect here")[0] for note in settings.notes] == ["tuner.classArgs.tpe_args", "port"]


def test_settings_become_an_experiment() -> None:
    text = (
        "searchSpaceFile: search_space.json\ntrialCommand: python main.py\ntrialConcurrency: 2\nmaxTrialNumber: 3\nmaxTrialDuration: 2m\n"
    )
    text += "tuner: {name: TPE, classArgs: {optimize_mode: minimize, seed: 7}}\nassessor: {name: Medianstop, classArgs: {start_step: 4}}\n"
    Path("config.yml").write_text(text)
    settings: Settings = parse_settings(["--config", "config.yml", "--portal"], "")
    assert settings.concurrency == 1
    assert settings.notes == ("NNI's service mixes up the results of parallel trials: one runs at a time, not 2",)
    assert make_experiment(settings, 3) == {
        "experimentName": "retiarius",
        "searchSpace": SPACE,
        "maxTrialNumber": 3,
        "tuner": {"name": "TPE", "classArgs": {"optimize_mode": "minimize", "seed": 7}},
        "assessor": {"name": "Medianstop", "classArgs": {"optimize_mode": "minimize", "start_step": 4}},
        "maxTrialDuration": "120s",
    }


def test_nnis_shells_take_no_blanks_in_paths(tmp_path: Path) -> None:
    settings = Settings(strategy="tpe", search_space=SPACE, code_dir=tmp_path, out=tmp_path / "my runs")
    with pytest.raises(RecordError, match=r"--portal: --out is .*/my runs: NNI's service cannot work with ' ' in a path"):
        make_experiment(settings, 1)
