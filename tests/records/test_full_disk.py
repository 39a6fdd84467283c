"""A disk that is full: whole lines, whole files, and the name of the file that could not be written."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from project import PROJECT
from recorded_trials import make_trial

from common.errors import RecordError
from common.files import read_json
from records.lines import EpochLog
from records.report import write_report
from records.run_folder import RunFolder
from records.trials import TrialLog

FILL_THE_DISK = """
import resource, signal, sys
from pathlib import Path
from common.files import write_json_atomically
from common.trial import Trial
from records.trials import TrialLog
folder = Path(sys.argv[1])
write_json_atomically(folder / "best.json", {"old": 1})
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))  # the kernel then takes a part of a write, as a full disk does
try:
    write_json_atomically(folder / "best.json", {"new": "x" * 2000})
except OSError:
    print("best.json failed")
log = TrialLog(folder / "trials.jsonl")
try:
    for number in range(100):
        log.append(Trial(number, {"a": number}, "complete", 0.5))
        print(number)
except OSError:
    print("trials.jsonl failed")
"""


def test_real_partial_writes_leave_whole_lines_and_whole_files(tmp_path: Path) -> None:
    command = [sys.executable, "-c", FILL_THE_DISK, str(tmp_path)]
    result = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=30, check=False)
    first, *numbers, last = result.stdout.split("\n")[:-1]
    assert (first, last) == ("best.json failed", "trials.jsonl failed"), result.stderr
    assert read_json(tmp_path / "best.json") == {"old": 1}
    data = (tmp_path / "trials.jsonl").read_bytes()
    assert data.endswith(b"\n") and len(data) < 1000
    assert [str(trial.number) for trial in TrialLog(tmp_path / "trials.jsonl").read()] == numbers
    assert len(numbers) > 1
    assert sorted(os.listdir(tmp_path)) == ["best.json", "trials.jsonl"]


def write_config(folder: Path) -> None:
    with RunFolder.create(folder / "run", space="darts", strategy="tpe") as run:
        run.write_config({})


WRITERS: dict[str, Callable[[Path], object]] = {
    "trials.jsonl": lambda folder: TrialLog(folder / "trials.jsonl").append(make_trial(0, "complete", {}, {}, 0.5)),
    "epochs.jsonl": lambda folder: EpochLog(folder / "epochs.jsonl").append({"number": 1}),
    "run/config.json": write_config,
}


@pytest.mark.parametrize("name", WRITERS)
def test_that_there_is_no_space_names_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError) as error:
        WRITERS[name](tmp_path)
    assert str(error.value) == f"[Errno {errno.ENOSPC}] No space left on device: '{tmp_path / name}'"


def test_that_there_is_no_space_for_a_lock_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "pwrite", fail)
    with pytest.raises(OSError) as error:
        write_config(tmp_path)
    assert error.value.errno == errno.ENOSPC and error.value.filename == str(tmp_path / "run" / ".lock")


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS, errno.ENAMETOOLONG, errno.ENOSPC])
def test_a_report_that_cannot_be_written_names_its_target(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    write_config(tmp_path)
    target = tmp_path / "page.html"

    def fail(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError if number == errno.ENOSPC else RecordError) as error:
        write_report([tmp_path / "run"], target)
    assert str(target) in str(error.value) and ".tmp" not in str(error.value)
    if number != errno.ENOSPC:
        assert str(error.value) == f"{target}: cannot be written: {os.strerror(number)}; name another file with --out"
