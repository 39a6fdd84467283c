"""``--dashboard``: Optuna's dashboard follows the run, and answers this machine alone."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
from ports import free_port
from program import Program
from report_runs import make_trials, write_one_shot, write_search

from records.trials import TrialLog
from run_experiment import main


def ask(port: int, path: str, host: str = "127.0.0.1") -> tuple[int, bytes]:
    connection = HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("GET", path, headers={"Host": f"{host}:{port}"})
    answer = connection.getresponse()
    return answer.status, answer.read()


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Path, int, Program]]:
    """A run of four trials, the port of the dashboard on it, and its process."""
    folder, port = write_search(tmp_path / "run", make_trials(4), planned=10), free_port()
    with Program("--dashboard", str(folder), "--port", str(port)) as process:
        process.wait_until(lambda: f"http://127.0.0.1:{port}/dashboard/" in process.out.read_text())
        yield folder, port, process


@pytest.mark.slow
def test_the_dashboard_follows_the_run_and_ends_by_ctrl_c(served: tuple[Path, int, Program]) -> None:
    folder, port, process = served
    assert ask(port, "/dashboard/")[0] == 200
    (study,) = json.loads(ask(port, "/api/studies")[1])["study_summaries"]
    path = f"/api/studies/{study['study_id']}?after=0"
    assert len(json.loads(ask(port, path)[1])["trials"]) == 4
    before = (folder / "trials.jsonl").read_text()
    TrialLog(folder / "trials.jsonl").append(make_trials(5)[-1])
    end = time.monotonic() + 60
    while len(json.loads(ask(port, path)[1])["trials"]) < 5:
        assert time.monotonic() < end, "the new trial does not appear"
        time.sleep(0.1)
    assert ask(port, path, host="evil.example")[0] == 403, "a page of another site reads nothing"
    listening = Path("/proc/net/tcp")
    if listening.exists():
        addresses = [line.split()[1] for line in listening.read_text().splitlines()[1:] if line.split()[3] == "0A"]
        assert f"0100007F:{port:04X}" in addresses and f"00000000:{port:04X}" not in addresses
    assert main(["--dashboard", str(folder), "--port", str(port)]) == 2, "the port is taken"
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    assert "the dashboard has ended" in out
    assert (folder / "trials.jsonl").read_text().startswith(before)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--dashboard", "nothing"], "nothing: no run to report"),
        (["--dashboard", "one_shot"], "this run has no trials for a dashboard; write a report instead: --report one_shot"),
        (["--dashboard", "one_shot", "--trials", "3"], "--trials has no use with --dashboard"),
        (["--dashboard", "one_shot", "--port", "80"], "'80' is not a port"),
        (["--space", "zoo", "--strategy", "tpe", "--port", "8081"], "--port needs --dashboard or --portal"),
    ],
)
def test_what_cannot_be_shown(
    flags: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_one_shot(Path("one_shot"))
    assert main(flags) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "module", "package"),
    [
        (["--dashboard", "run"], "optuna_dashboard", "optuna-dashboard"),
        (["--space", "zoo", "--strategy", "tpe", "--tensorboard"], "tensorboard", "tensorboard"),
    ],
)
def test_a_package_that_is_absent(
    flags: list[str], module: str, package: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def find(name: str, *arguments: Any) -> Any:
        return None if name == module else object()

    monkeypatch.setattr("importlib.util.find_spec", find)
    assert main(flags) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"needs {package}, which is not installed: pip install {package}" in line
