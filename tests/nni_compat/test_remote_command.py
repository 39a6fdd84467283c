"""A trial command on a node of a cluster: where it runs, what comes back of it, and that nothing of it is left."""

from __future__ import annotations

import os
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest
from trial_scripts import wait_until_gone, write_script

import nni_compat.remote_command as remote_command
from common.errors import EvaluatorError
from nni_compat.remote_command import FetchedTrial, RemoteCommand, pack_files, seen_by_nodes, unpack_files
from nni_compat.trial_command import SECONDS_TO_OBEY, TrialCommand

SCRIPT = (
    'open(os.path.join(folder, "model.bin"), "w").write(os.getcwd()); print("seen"); send("PERIODICAL", 1); send("FINAL", parameters["x"])'
)


class Heard:
    """What a trial tells."""

    def __init__(self, end: BaseException | None = None) -> None:
        self.reports: list[float] = []
        self.facts: dict[str, Any] = {}
        self._end = end

    def report(self, score: float) -> None:
        self.reports.append(score)
        if self._end is not None:
            raise self._end

    def note(self, facts: dict[str, Any]) -> None:
        self.facts |= facts


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RemoteCommand:
    """A command on a node that has a copy of the code in its current folder, and does not see the run's folder."""
    copy = tmp_path / "copy"
    copy.mkdir()
    monkeypatch.chdir(copy)
    return RemoteCommand(TrialCommand("python -S main.py", tmp_path / "not here", tmp_path / "nor this"), ".seen-0")


def run(command: RemoteCommand, heard: Heard, **parameters: Any) -> float:
    return command({"number": 4, "parameters": parameters}, heard.report, heard.note)


def test_a_node_that_sees_the_folder_runs_the_trial_there(tmp_path: Path) -> None:
    write_script(tmp_path, SCRIPT)
    program, heard = TrialCommand("python -S main.py", tmp_path, tmp_path / "trials"), Heard()
    with seen_by_nodes(program) as mark:
        assert run(RemoteCommand(program, mark), heard, x=3) == 3
    assert heard.reports == [1]
    assert heard.facts == {}, "all is where it belongs"
    assert (tmp_path / "trials/4/model.bin").read_text() == str(tmp_path)
    assert [path.name for path in (tmp_path / "trials").iterdir()] == ["4"], "the mark is gone"


def test_elsewhere_it_runs_in_the_copy_and_its_files_come_back(elsewhere: RemoteCommand, tmp_path: Path) -> None:
    write_script(Path.cwd(), SCRIPT)
    heard = Heard()
    assert run(elsewhere, heard, x=5) == 5
    unpack_files(heard.facts["files"], tmp_path / "back")
    assert (tmp_path / "back/stdout").read_text() == "seen\n"
    assert (tmp_path / "back/model.bin").read_text() == str(tmp_path / "copy")
    assert not (tmp_path / "nor this").exists()


def test_why_it_failed_is_told_with_its_files(elsewhere: RemoteCommand) -> None:
    write_script(Path.cwd(), "sys.exit(3)")
    heard = Heard()
    with pytest.raises(EvaluatorError, match="exit status 3; it wrote nothing to stderr"):
        run(elsewhere, heard)
    assert heard.facts["problem"] == "exit status 3; it wrote nothing to stderr"
    assert "files" in heard.facts


def test_a_trial_that_is_ended_leaves_nothing_running(elsewhere: RemoteCommand, tmp_path: Path) -> None:
    code = f'child = subprocess.Popen(["sleep", "100"]); open("{tmp_path}/pids", "w").write(f"{{os.getpid()}} {{child.pid}}")'
    write_script(Path.cwd(), code + '; send("PERIODICAL", 1); time.sleep(100)')
    with pytest.raises(KeyboardInterrupt):
        run(elsewhere, Heard(end=KeyboardInterrupt()))
    assert wait_until_gone([int(pid) for pid in (tmp_path / "pids").read_text().split()])


def test_the_program_of_an_attempt_that_was_cut_off_has_time_to_die(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_script(tmp_path, 'send("FINAL", 1)')
    program, slept = TrialCommand("python -S main.py", tmp_path, tmp_path / "trials"), []
    (tmp_path / "trials/4").mkdir(parents=True)
    pause = time.sleep
    monkeypatch.setattr(remote_command.time, "sleep", lambda seconds: slept.append(seconds) or pause(min(seconds, 0.05)))
    with seen_by_nodes(program) as mark:
        run(RemoteCommand(program, mark), Heard())
    assert slept[0] == remote_command.SECONDS_TO_DIE
    assert float(SECONDS_TO_OBEY) < remote_command.SECONDS_TO_DIE


def test_what_is_too_large_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote_command, "LARGEST_SENT", 100)
    (tmp_path / "deep").mkdir()
    for name, size in (("small", 10), ("deep/large", 1_000), ("deep/middle", 90)):
        (tmp_path / name).write_bytes(os.urandom(size))
    told = pack_files(tmp_path)
    assert told["left_out"] == ["deep/large"]
    unpack_files(told["files"], tmp_path / "back")
    assert sorted(path.name for path in (tmp_path / "back").rglob("*") if path.is_file()) == ["middle", "small"]


def test_a_file_that_cannot_be_packed_is_left_out_and_costs_no_score(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "good").write_text("1")
    (tmp_path / "locked").write_text("2")
    (tmp_path / os.fsdecode(b"odd-\xff")).write_text("3")
    write = zipfile.ZipFile.write

    def guarded(archive: zipfile.ZipFile, path: Path, name: Any) -> None:
        if path.name == "locked":  # what the mode of a file does to all but the superuser
            raise PermissionError(path)
        write(archive, path, name)

    monkeypatch.setattr(zipfile.ZipFile, "write", guarded)
    told = pack_files(tmp_path)
    assert sorted(told["left_out"]) == ["locked", "odd-?"]
    unpack_files(told["files"], tmp_path / "back")
    assert [path.name for path in (tmp_path / "back").iterdir()] == ["good"]


def test_a_fetched_trial_keeps_files_and_reason_out_of_the_record(tmp_path: Path) -> None:
    (tmp_path / "from").mkdir()
    (tmp_path / "from/stderr").write_text("lost")

    class Ended:
        start, facts = 2.0, {"problem": "exit status 1", "node": "a", **pack_files(tmp_path / "from")}

        def read_reports(self) -> list[float]:
            return [0.5]

        def outcome(self) -> tuple[float | None, str | None]:
            return None, "EvaluatorError: exit status 1"

        def stop(self) -> None:
            raise AssertionError

    trial = FetchedTrial(Ended(), tmp_path / "trials/0")
    assert trial.outcome() == (None, "exit status 1")
    assert (trial.read_reports(), trial.facts, trial.start) == ([0.5], {"node": "a"}, 2.0)
    assert (tmp_path / "trials/0/stderr").read_text() == "lost"
