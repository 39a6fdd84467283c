"""JSON files and log.txt: nothing half-written, nothing lost, one line for what is wrong."""

from __future__ import annotations

import errno
import logging
import math
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from common.errors import RecordError
from common.files import read_json, write_json_atomically
from records.log import log_to
from records.trials import TrialLog

PROJECT = Path(__file__).resolve().parents[2]


def run_python(code: str, *arguments: object, **options: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=30, check=False, **options)


def get_message(error: pytest.ExceptionInfo[RecordError]) -> str:
    message = str(error.value)
    assert "\n" not in message and len(message) < 600, "an error message is one line"
    return message


# --- JSON files -------------------------------------------------------------------------------------------------------


def test_json_round_trip_keeps_order_and_values(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    document = {"z": [1, 2.5, None, True], "a": {"ü": "→", "lone surrogate": "\udc80", "empty": {}}}
    write_json_atomically(path, document)
    assert read_json(path) == document
    assert list(read_json(path)) == ["z", "a"]
    assert path.read_text().startswith('{\n  "z": [') and path.read_text().endswith("}\n")
    assert os.listdir(tmp_path) == ["a.json"]
    assert path.stat().st_mode & 0o777 == 0o666 & ~_get_umask()


def _get_umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_paths_and_array_scalars_become_plain(tmp_path: Path) -> None:
    import numpy as np

    write_json_atomically(tmp_path / "a.json", {"p": Path("x/y"), "f": np.float32(0.5), "i": np.int64(3), "t": (1, 2)})
    assert read_json(tmp_path / "a.json") == {"p": "x/y", "f": 0.5, "i": 3, "t": [1, 2]}


@pytest.mark.parametrize("bad", [math.nan, math.inf, {1, 2}, object(), [1, [math.nan]]])
def test_what_is_not_json_is_refused_and_the_old_file_stays(tmp_path: Path, bad: object) -> None:
    path = tmp_path / "a.json"
    write_json_atomically(path, {"old": 1})
    with pytest.raises(RecordError) as error:
        write_json_atomically(path, {"new": bad})
    assert "cannot be written as JSON" in get_message(error)
    assert read_json(path) == {"old": 1} and os.listdir(tmp_path) == ["a.json"]


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_full_disk_leaves_the_old_file_and_no_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    path = tmp_path / "a.json"
    write_json_atomically(path, {"old": 1})

    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, call, fail)
        with pytest.raises(OSError, match="No space left") as error:
            write_json_atomically(path, {"new": 2})
    assert error.value.errno == errno.ENOSPC and not isinstance(error.value, ValueError)
    assert read_json(path) == {"old": 1} and os.listdir(tmp_path) == ["a.json"]


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
    result = run_python(FILL_THE_DISK, tmp_path)
    first, *numbers, last = result.stdout.split("\n")[:-1]
    assert (first, last) == ("best.json failed", "trials.jsonl failed"), result.stderr
    assert read_json(tmp_path / "best.json") == {"old": 1}
    data = (tmp_path / "trials.jsonl").read_bytes()
    assert data.endswith(b"\n") and len(data) < 1000
    assert [str(trial.number) for trial in TrialLog(tmp_path / "trials.jsonl").read()] == numbers
    assert len(numbers) > 1
    assert sorted(os.listdir(tmp_path)) == ["best.json", "trials.jsonl"]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "the file is empty"),
        (b'{"a": 1,\n "b": [1, 2', "line 2, column 12: Expecting ',' delimiter; the file may be cut off"),
        (b'{"a": "x', "line 1, column 7: Unterminated string starting at; the file may be cut off"),
        (b"\x80\x81", "byte 0 is not UTF-8"),
        (b"hello", "not JSON: line 1, column 1"),
        (b'{"a": NaN}', "NaN is not JSON"),
        (b'{"a": 1e999}', "'1e999' is too large"),
        (b'{"a": 1, "a": 2}', "the key 'a' stands twice"),
        (b"[" * 500_000, "nested too deeply"),
        (b"1" * 100_000, "not JSON that can be read"),
        (b"\x00" * 1000, "not JSON: line 1, column 1"),
        (bytes(range(256)) * 4096, "larger than 1,000,000 bytes"),
        (b"[" + b" " * 1_000_000 + b"]", "larger than 1,000,000 bytes"),
    ],
    ids=[
        "empty",
        "cut",
        "cut-string",
        "bytes",
        "text",
        "nan",
        "inf",
        "twice",
        "deep",
        "digits",
        "nul",
        "junk",
        "spaces",
    ],
)
def test_bad_json_files_are_one_line(tmp_path: Path, data: bytes, said: str) -> None:
    path = tmp_path / "bad.json"
    path.write_bytes(data)
    with pytest.raises(RecordError) as error:
        read_json(path)
    assert said in get_message(error) and str(path) in get_message(error)


def test_what_is_not_a_file_is_one_line(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path, said in [
        (tmp_path, "this is a folder"),
        (tmp_path / "none.json", "no such file"),
        (tmp_path / "pipe", "not a regular file"),
        (Path("/dev/null"), "not a regular file"),
        (Path("a\0b"), "not a path"),
        (tmp_path / ("x" * 300), "cannot be read: File name too long"),
    ]:
        with pytest.raises(RecordError) as error:
            read_json(path)
        assert said in get_message(error)


def test_a_byte_order_mark_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(b'\xef\xbb\xbf{"a": 1}\r\n')
    assert read_json(tmp_path / "a.json") == {"a": 1}


# --- log.txt, imports -------------------------------------------------------------------------------------------------


def test_the_log_takes_the_projects_lines_only_while_it_is_open(tmp_path: Path) -> None:
    path = tmp_path / "log.txt"
    logger = logging.getLogger("retiarius.strategies")
    parent = logging.getLogger("retiarius")
    before = (parent.level, parent.propagate, list(parent.handlers))
    with log_to(path):
        logger.info("ü %s \udc80", 1)
        logger.debug("not this")
        logging.getLogger("other").error("nor this")
    logger.info("nor this, after the run")
    assert (parent.level, parent.propagate, list(parent.handlers)) == before
    text = path.read_text(encoding="utf-8")
    assert re.fullmatch(r"\S+ \S+ INFO retiarius\.strategies: ü 1 \\udc80\n", text)
    with log_to(path):
        logger.warning("again")
    assert len(path.read_text(encoding="utf-8").splitlines()) == 2
    with pytest.raises(RecordError, match="cannot be written"), log_to(tmp_path):
        pass


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full on this system")
def test_a_log_on_a_full_disk_is_quiet(capfd: pytest.CaptureFixture[str]) -> None:
    with log_to(Path("/dev/full")):
        logging.getLogger("retiarius.records").info("lost")
    assert capfd.readouterr() == ("", "")


def test_importing_records_is_light() -> None:
    modules = "records.run_folder, records.trials, records.best, records.log, retiarius.cli.screen"
    loaded = set(run_python(f"import sys, {modules}; print(*sys.modules)").stdout.split())
    assert "retiarius.cli.screen" in loaded and not loaded & {"torch", "nni", "numpy", "timm", "optuna", "rich"}
