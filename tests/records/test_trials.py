"""trials.jsonl: whole lines whatever happens, and one line for what is wrong."""

from __future__ import annotations

import errno
import json
import math
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import recorded_trials

from common.errors import RecordError
from common.trial import AT_ONE_GO, FIRST, PLANNED_EPOCHS, Trial
from records.trials import TrialLog

PROJECT = Path(__file__).resolve().parents[2]


def make_trial(number: int, **changes: Any) -> Trial:
    values: dict[str, Any] = {
        "state": "complete",
        "architecture": {"normal/edge_0_2": "sep_conv_3x3", "normal/inputs_2": [0, 1]},
        "hyperparameters": {"initial_lr": 0.025, "optimizer": "sgd", "cutout": None},
        "score": 0.5,
        "curve": [0.25, 0.5],
        "seconds": 1.5,
        "parameters": 100,
        "flops": 10**12,
    }
    return recorded_trials.make_trial(number, **{**values, **changes})


def test_trials_round_trip(tmp_path: Path) -> None:
    log = TrialLog(tmp_path / "trials.jsonl")
    assert log.read() == []
    trials = [
        make_trial(0),
        make_trial(1, state="failed", score=None, error="RuntimeError: 'ü→\n'", parameters=None, flops=None),
        make_trial(2, state="pruned", score=0.1, curve=[0.1]),
        make_trial(3, score=1),
    ]
    for trial in trials:
        log.append(trial)
        assert log.note is None
    assert log.read() == trials
    lines = log.path.read_text().splitlines()
    assert len(lines) == 4 and json.loads(lines[2])["status"] == "pruned"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", log.read()[0].finished)


def test_a_record_of_before_latencies_were_measured_is_read(tmp_path: Path) -> None:
    log = TrialLog(tmp_path / "trials.jsonl")
    log.append(make_trial(0, latency=4.5))
    assert log.read()[0].latency == 4.5
    document = json.loads(log.path.read_text())
    del document["latency"]
    log.path.write_text(json.dumps(document) + "\n")
    assert log.read()[0].latency is None


@pytest.mark.parametrize("score", [math.nan, math.inf, -math.inf])
def test_a_score_that_is_not_finite_is_a_failed_trial(tmp_path: Path, score: float) -> None:
    log = TrialLog(tmp_path / "trials.jsonl")
    log.append(make_trial(0, score=score, curve=[0.5, score]))
    document = json.loads(log.path.read_text())
    assert (document["score"], document["status"], document["curve"]) == (None, "failed", [0.5, None])
    (trial,) = log.read()
    assert trial.error == f"the score is not finite: {score}" and math.isnan(trial.curve[1])


def test_trials_that_make_no_sense_are_refused() -> None:
    with pytest.raises(RecordError, match="status 'done', expected one of complete, failed, pruned"):
        make_trial(0, state="done")
    with pytest.raises(RecordError, match="complete, but has no score"):
        make_trial(0, score=None)


def test_a_trial_that_is_not_plain_data_writes_nothing(tmp_path: Path) -> None:
    log = TrialLog(tmp_path / "trials.jsonl")
    log.append(make_trial(0))
    with pytest.raises(RecordError, match="cannot be written as JSON"):
        log.append(make_trial(1, hyperparameters={"lr": math.nan}))
    assert log.read() == [make_trial(0, finished=log.read()[0].finished)]


def test_every_cut_of_the_last_line_is_mended(tmp_path: Path) -> None:
    log = TrialLog(tmp_path / "trials.jsonl")
    first, second, third = (make_trial(number) for number in range(3))
    log.append(first)
    start = log.path.stat().st_size
    log.append(second)
    whole = log.path.read_bytes()
    for cut in range(start, len(whole)):
        log.path.write_bytes(whole[:cut])
        kept = [first, second] if cut == len(whole) - 1 else [first]  # only the line end is missing: nothing is lost
        assert log.read() == kept
        assert (log.note is None) == (cut in (start, len(whole) - 1))
        assert log.path.read_bytes() == whole[:cut], "reading does not touch the log of a running search"
        log.append(third)
        assert (log.note is None) == (cut in (start, len(whole) - 1))
        assert log.read() == [*kept, third] and log.note is None
    log.path.write_bytes(whole[:start] + b"\0" * 50)  # what a power cut leaves on some file systems
    log.append(third)
    assert log.read() == [first, third]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "line 2: not JSON"),
        ("[1]", "line 2: found [1], expected a trial"),
        ("\udcff", "line 2: not UTF-8"),
        ('{"number": 1}', "line 2: the key 'status' is missing"),
        ({"number": True}, "line 2: 'number' is True, expected a whole number"),
        ({"score": "0.5"}, "line 2: 'score' is '0.5', expected a number or a whole number or null"),
        ({"architecture": "darts"}, "line 2: 'architecture' is 'darts', expected an object"),
        ({"score": 10**400}, "line 2: 'score' is 1000000"),
        ({"seconds": 10**400}, "line 2: 'seconds' is 1000000"),
        ({"curve": [0.5, 10**400]}, "line 2: 'curve' is [0.5, 10000"),
        ({"curve": [0.5, "x"]}, "line 2: 'curve' is [0.5, 'x'], expected a list of numbers"),
        ({"status": "done"}, "line 2: trial 1: status 'done'"),
    ],
)
def test_a_broken_line_is_named(tmp_path: Path, line: str | dict[str, Any], said: str) -> None:
    log = TrialLog(tmp_path / "trials.jsonl")
    for number in range(3):
        log.append(make_trial(number))
    lines = log.path.read_text().splitlines()
    lines[1] = line if isinstance(line, str) else json.dumps({**json.loads(lines[1]), **line})
    log.path.write_bytes(("\n".join(lines) + "\n").encode("utf-8", "surrogateescape"))
    with pytest.raises(RecordError) as error:
        log.read()
    assert said in str(error.value) and "\n" not in str(error.value)
    assert str(error.value).endswith("remove the line, so that `resume` runs its trial again")
    assert [trial.number for trial in log.read(leave_out_damaged=True)] == [0, 2]
    assert log.note is not None and said in log.note and log.note.endswith("the line is ignored")
    with log.path.open("a") as file:
        file.write("{")
    assert [trial.number for trial in log.read(leave_out_damaged=True)] == [0, 2]
    assert said in log.note and "the last line was cut off" in log.note, "all that is wrong is said"


def test_a_full_disk_while_appending(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = TrialLog(tmp_path / "trials.jsonl")
    log.append(make_trial(0))
    before = log.path.read_bytes()
    real_write = os.write

    def write_a_part(descriptor: int, data: bytes) -> int:
        if len(data) < 100:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real_write(descriptor, data[: len(data) - 50])

    def fail(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    for name, replacement in [("write", write_a_part), ("fsync", fail)]:
        with monkeypatch.context() as patch:
            patch.setattr(os, name, replacement)
            with pytest.raises(OSError) as error:
                log.append(make_trial(1))
        assert error.value.errno in (errno.ENOSPC, errno.EIO)
        assert log.path.read_bytes() == before
    log.append(make_trial(2))
    assert [trial.number for trial in log.read()] == [0, 2]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full on this system")
def test_a_full_device_is_an_os_error() -> None:
    with pytest.raises(OSError) as error:
        TrialLog(Path("/dev/full")).append(make_trial(0))
    assert error.value.errno == errno.ENOSPC


APPEND_FOR_EVER = """
import sys
from pathlib import Path
from common.trial import PLANNED_EPOCHS, Trial
from records.trials import TrialLog
log = TrialLog(Path(sys.argv[1]))
number = len(log.read())
while True:
    log.append(Trial(number, {"label": "x" * 5000}, "complete", 0.5))
    print(number, flush=True)
    number += 1
"""


def test_kill_minus_nine_loses_no_finished_trial(tmp_path: Path) -> None:
    log = TrialLog(tmp_path / "trials.jsonl")
    for round_number in range(5):
        command = [sys.executable, "-c", APPEND_FOR_EVER, str(log.path)]
        with subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            begun = [process.stdout.readline().strip() for _ in range(2)]
            time.sleep(0.02 + 0.013 * round_number)
            process.send_signal(signal.SIGKILL)
            acknowledged = [*begun, *process.stdout.read().split()]
        numbers = [trial.number for trial in log.read()]
        assert numbers == list(range(len(numbers)))
        assert int(acknowledged[-1]) in (numbers[-1], numbers[-1] - 1)


def test_a_trial_that_has_gone_on_has_several_lines_of_which_the_last_counts(tmp_path: Path) -> None:
    log = TrialLog(tmp_path / "trials.jsonl")
    waits = {PLANNED_EPOCHS: 9}
    lines = [
        make_trial(0, state="pruned", score=0.3, curve=[0.3], **waits),
        make_trial(1, state="pruned", score=0.2, curve=[0.2], **waits),
        make_trial(0, state="pruned", score=0.5, curve=[0.3, 0.4, 0.5], **waits),
        make_trial(2, state="pruned", score=0.1, curve=[0.1], **waits),
        make_trial(0, score=0.6, curve=[0.3, 0.4, 0.5, 0.6], **waits),
    ]
    for trial in lines:
        log.append(trial)
    assert len(log.path.read_text().splitlines()) == 5, "nothing is overwritten"
    assert log.read() == [lines[1], lines[3], lines[4]], "in the order in which they ended"
    assert {trial.planned_epochs for trial in log.read()} == {9}
    with log.path.open("ab") as file:
        file.write(b'{"number": 1, "status": "comp')
    assert log.read() == [lines[1], lines[3], lines[4]], "a line that was cut off does not take the place of the one before"


def test_a_trial_without_a_length_of_its_own_has_the_line_of_old(tmp_path: Path) -> None:
    log = TrialLog(tmp_path / "trials.jsonl")
    log.append(make_trial(0))
    assert not {PLANNED_EPOCHS, AT_ONE_GO} & json.loads(log.path.read_text()).keys()
    assert log.read()[0].planned_epochs is None
    log.append(make_trial(1, planned_epochs=9, at_one_go=FIRST))
    assert log.read()[1].facts[AT_ONE_GO] == FIRST
