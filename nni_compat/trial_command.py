"""A program that speaks NNI's trial protocol, scored as it is: ``nni.get_next_parameter`` in, ``nni.report_*_result`` out.

NNI's package finds its way by environment variables (``nni/runtime/env_vars.py``) to a folder that holds ``parameter.cfg`` and into which
it writes ``.nni/metrics`` (``nni/runtime/trial_command_channel/local_legacy.py``). Each trial gets a folder of its own, so that a result
can only come from the program that had the parameters. What a trial wrote is read as JSON, never by ``nni.load``, which runs code.
"""

from __future__ import annotations

import json
import math
import os
import shlex
import shutil
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common.errors import EvaluatorError
from common.guarded import start_guarded, stop_guarded
from common.text import show

SECONDS_TO_OBEY = "2"  # between SIGTERM and SIGKILL
SECONDS_TO_STOP = 5.0  # more than the guard takes
TAIL_BYTES, TAIL_LINES, TAIL_CHARACTERS = 4_000, 3, 300
_FOR_THE_SHELL = set("~$`*?[")  # a word with one of these is another when it runs
_HEADER = 8  # b"ME" and the length of the line in six digits


def check_command(command: str, directory: Path) -> None:
    """Raise ``EvaluatorError`` where ``command``, run in ``directory``, cannot work: no such folder, no such script in it."""
    if not command.strip():
        raise EvaluatorError("the trial command is empty; give one such as 'python main.py'")
    if "\0" in command or not _is_encodable(command):
        raise EvaluatorError(
            f"the trial command {show(command)} has a character that cannot be passed to a program: NUL, or an unpaired surrogate"
        )
    if not directory.is_dir():
        raise EvaluatorError(f"{directory}: no such folder, in which the trial command is to run (trialCodeDirectory)")
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise EvaluatorError(f"the trial command {show(command)} is not valid in a shell: {error}") from None
    first = next((word for word in words[1:] if not word.startswith("-")), "")
    if Path(words[0]).name.startswith("python") and first.endswith(".py") and not set(first) & _FOR_THE_SHELL:
        script = directory / first
        if not script.is_file():
            raise EvaluatorError(f"the trial command {show(command)} needs {script}, which does not exist")


def _is_encodable(text: str) -> bool:
    try:
        os.fsencode(text)
        return True
    except UnicodeEncodeError:  # a lone surrogate
        return False


@dataclass(frozen=True)
class TrialCommand:
    """A command that is run once for each trial, as NNI's local training service runs it.

    Attributes
    ----------
    command
        A line for the shell. ``python`` in it is the Python that runs this program, whose packages the trial finds.
    directory
        Where it runs: relative paths in the program mean the same as when its author runs it.
    folder
        Holds a folder for each trial, ``0``, ``1``, ...: its ``parameter.cfg``, what it printed, and ``NNI_OUTPUT_DIR``.
    sign
        1 where higher results are better, -1 where lower ones are; reports and scores are multiplied by it.
    time_limit
        Seconds after which a trial is ended and has failed, ``None``: no limit.
    """

    command: str
    directory: Path
    folder: Path
    sign: int = 1
    time_limit: float | None = None

    def start(self, number: int, parameters: Mapping[str, Any]) -> CommandTrial:
        """Start the trial ``number``; what an interrupted one of this number left is taken away."""
        folder = (self.folder / str(number)).absolute()
        if folder.exists():
            shutil.rmtree(folder)
        (folder / ".nni").mkdir(parents=True)
        (folder / ".nni" / "metrics").touch()
        content = {"parameter_id": number, "parameter_source": "algorithm", "parameters": dict(parameters)}
        (folder / "parameter.cfg").write_text(json.dumps(content), encoding="utf-8")
        return CommandTrial(self, number, folder)

    def environment(self, number: int, folder: Path) -> dict[str, str]:
        """Return the variables of a trial: those of this process, and those by which NNI's package finds its way."""
        names = ("NNI_TRIAL_COMMAND_CHANNEL", "SDK_PROCESS", "NNI_MODE")
        inherited = {name: value for name, value in os.environ.items() if name not in names}
        return {
            **inherited,
            "NNI_PLATFORM": "local",
            "NNI_EXP_ID": "retiarius",
            "NNI_TRIAL_JOB_ID": f"trial{number}",
            "NNI_TRIAL_SEQ_ID": str(number),
            "NNI_SYS_DIR": str(folder),
            "NNI_OUTPUT_DIR": str(folder),
            "NNI_CODE_DIR": str(self.directory.absolute()),
            "MULTI_PHASE": "false",
            "REUSE_MODE": "false",
        }


class CommandTrial:
    """One run of a :class:`TrialCommand`; make it by ``TrialCommand.start``."""

    def __init__(self, command: TrialCommand, number: int, folder: Path) -> None:
        self.folder = folder
        self.facts: dict[str, Any] = {}  # nothing is known of a user's networks
        self._command, self._number = command, number
        self._metrics = _MetricsFile(folder / ".nni" / "metrics", number)
        self._reports: list[float] = []
        self._final: list[Any] = []
        self.start = time.monotonic()
        with (folder / "stdout").open("wb") as out, (folder / "stderr").open("wb") as err:
            self._process = start_guarded(
                "group",
                SECONDS_TO_OBEY,
                command.command,
                directory=command.directory,
                environment=command.environment(number, folder),
                stdout=out,
                stderr=err,
            )

    def read_reports(self) -> list[float]:
        """Return the intermediate results since the last call, times the command's sign; NaN for what is no number."""
        self._read()
        reports, self._reports = self._reports, []
        return reports

    def outcome(self) -> tuple[float | None, str | None] | None:
        """Return the score, or one line that says why there is none; None while the program runs."""
        limit = self._command.time_limit
        status = self._process.poll()
        if status is None:
            if limit is None or time.monotonic() - self.start < limit:
                return None
            self.stop()
            return None, f"stopped after {limit:g} seconds, the limit for a trial"
        self.stop()  # what the program has started may still run
        self._read()
        if self._metrics.problem is not None:
            return None, self._metrics.problem
        if status != 0:
            return None, f"exit status {status}; {describe_stderr(self.folder / 'stderr')}"
        if not self._final:
            return None, f"it ended without nni.report_final_result; {describe_stderr(self.folder / 'stderr')}"
        result = to_number(self._final[-1])
        if result is None:
            final = self._final[-1]
            is_packed = isinstance(final, dict) and "__nni_obj__" in final  # by NNI, as bytes in text
            shown = "an object such as a tensor (report its .item())" if is_packed else _one_line(json.dumps(final))
            return None, f"the final result is {shown}; expected a number, or an object whose 'default' is one"
        if not math.isfinite(result):
            return None, f"the final result is {result}"
        return self._command.sign * result, None

    def stop(self) -> None:
        """End the program and all that it has started: SIGTERM, and SIGKILL for what is there ``SECONDS_TO_OBEY`` later."""
        stop_guarded(self._process, SECONDS_TO_STOP)

    def _read(self) -> None:
        for kind, value in self._metrics.read():
            if kind == "FINAL":
                self._final.append(value)
            elif kind == "PERIODICAL":
                number = to_number(value)
                self._reports.append(math.nan if number is None else self._command.sign * number)


class _MetricsFile:
    """What a trial has reported, read as it grows: ``b"ME"``, six digits, and a line of JSON of so many bytes, again and again."""

    def __init__(self, path: Path, number: int) -> None:
        self._path, self._number = path, number
        self._offset = 0
        self.problem: str | None = None

    def read(self) -> Iterator[tuple[str, Any]]:
        """Yield kind (``PERIODICAL``, ``FINAL``) and value of each whole report since the last call; anything else sets ``problem``."""
        if self.problem is not None:
            return
        try:
            with self._path.open("rb") as file:
                file.seek(self._offset)
                data = file.read()
        except FileNotFoundError:
            self.problem = "it removed its file of results (in NNI_OUTPUT_DIR, the trial's own folder)"
            return
        position = 0
        while len(data) - position >= _HEADER:
            header = data[position : position + _HEADER]
            if header[:2] != b"ME" or not header[2:].isdigit():
                self.problem = f"its file of results is damaged at byte {self._offset + position}"
                break
            end = position + _HEADER + int(header[2:])
            if len(data) < end:
                break  # the rest of the line is on its way
            report = self._parse(data[position + _HEADER : end])
            position = end
            if report is not None:
                yield report
        self._offset += position

    def _parse(self, line: bytes) -> tuple[str, Any] | None:
        try:
            metric = json.loads(line)
            kind, value = metric["type"], json.loads(metric["value"]) if "value" in metric else None
            if metric.get("parameter_id") not in (self._number, None):
                self.problem = f"it reported for trial {show(metric['parameter_id'])}"
                return None
            return str(kind), value
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            self.problem = f"it reported something other than a result: {_one_line(line.decode('utf-8', 'replace'))}"
            return None


def describe_stderr(path: Path) -> str:
    """Return the end of what a program wrote to standard error, in one line."""
    if not path.is_file():
        return "it wrote nothing to stderr"
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - TAIL_BYTES))
        text = file.read().decode("utf-8", "replace")
    lines = [line.strip() for line in text.splitlines() if line.strip()][-TAIL_LINES:]
    return f"the end of {path.name}: {_one_line(' | '.join(lines))}" if lines else "it wrote nothing to stderr"


def to_number(value: Any) -> float | None:
    """Return the number in a result as NNI takes it: a number, an object with a ``default``, or an array of one number."""
    if isinstance(value, dict) and "default" in value:
        value = value["default"]
    if isinstance(value, dict) and value.get("shape") == []:  # how nni.dump writes a numpy array without axes
        value = value.get("__ndarray__")
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value)
    except OverflowError:
        return math.inf


def _one_line(text: str) -> str:
    """Return the end of ``text``, without line ends and control characters."""
    plain = "".join(character if character.isprintable() else " " for character in text)
    return plain if len(plain) <= TAIL_CHARACTERS else "..." + plain[3 - TAIL_CHARACTERS :]
