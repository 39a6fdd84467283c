"""A trial command on a node of a cluster, and its results and files back in the run's folder.

Where a node sees the run's folder, as on a network file system, the trial runs as on the search's own machine. Elsewhere it runs in the
copy of its code that the node was given, and what it wrote comes back at its end.
"""

from __future__ import annotations

import contextlib
import io
import secrets
import shutil
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from common.errors import EvaluatorError
from nni_compat.trial_command import CommandTrial, TrialCommand

LARGEST_SENT = 64 * 2**20  # bytes of the files of a trial that are sent back
SECONDS_BETWEEN_LOOKS = 0.05
SECONDS_TO_DIE = 3.0  # more than the guard of an attempt that was cut off takes to end its program


@contextlib.contextmanager
def seen_by_nodes(program: TrialCommand) -> Iterator[str]:
    """Leave a mark in the folder of the trials within the block, by which a node knows that it sees that folder; yield its name."""
    program.folder.mkdir(parents=True, exist_ok=True)
    mark = program.folder / f".seen-{secrets.token_hex(8)}"
    mark.touch()
    try:
        yield mark.name
    finally:
        mark.unlink(missing_ok=True)


@dataclass(frozen=True)
class RemoteCommand:
    """Runs a trial command where it is called: a ``RunTrial`` of the sample ``{"number": ..., "parameters": {...}}``.

    Attributes
    ----------
    program
        What runs, with absolute folders.
    mark
        The name that ``seen_by_nodes`` gave.
    """

    program: TrialCommand
    mark: str

    def __call__(self, sample: Mapping[str, Any], report: Callable[[float], None], note: Callable[[dict[str, Any]], None]) -> float:
        """Run the trial, report what it reports, and return its score, times the command's sign.

        Raises
        ------
        EvaluatorError
            The program failed; ``note`` has then been told why, as ``problem``.
        """
        if (self.program.folder / self.mark).exists():
            return self._run(self.program, sample, report, note)
        with tempfile.TemporaryDirectory(prefix="retiarius-trial-", ignore_cleanup_errors=True) as folder:
            here = replace(self.program, directory=Path.cwd(), folder=Path(folder))
            try:
                return self._run(here, sample, report, note)
            finally:
                note(pack_files(Path(folder) / str(sample["number"])))

    def _run(self, program: TrialCommand, sample: Mapping[str, Any], report: Callable[[float], None], note: Callable[..., None]) -> float:
        if (program.folder / str(sample["number"])).exists():
            time.sleep(SECONDS_TO_DIE)  # the program of an attempt that was cut off may still write there
        trial = program.start(sample["number"], sample["parameters"])
        try:
            score, problem = _wait(trial, report)
        finally:
            trial.stop()
        if score is None:
            note({"problem": problem})
            raise EvaluatorError(str(problem))
        return score


def _wait(trial: CommandTrial, report: Callable[[float], None]) -> tuple[float | None, str | None]:
    """Pass on what the trial reports until it ends; return its outcome."""
    while True:
        outcome = trial.outcome()
        for value in trial.read_reports():
            report(value)
        if outcome is not None:
            return outcome
        time.sleep(SECONDS_BETWEEN_LOOKS)


def pack_files(folder: Path) -> dict[str, Any]:
    """Return the files below ``folder`` as ``files``, a zip file, and the names of those that cannot be sent as ``left_out``.

    Those are too large, may not be read, or have a name that is no text.
    """
    packed, left_out, room = io.BytesIO(), list[str](), LARGEST_SENT
    paths = (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, strict_timestamps=False) as archive:
        for size, path in sorted((path.stat().st_size, path) for path in paths):
            room -= size
            name = path.relative_to(folder).as_posix()
            plain = name.encode("utf-8", "replace").decode()  # a zip file and the record take no other names
            try:
                if room < 0 or name != plain:
                    left_out.append(plain)
                else:
                    archive.write(path, name)
            except OSError:  # it may not be read: no reason to lose the score
                left_out.append(plain)
    return {"files": packed.getvalue(), **({"left_out": left_out} if left_out else {})}


class _Trial(Protocol):
    """What runs on the cluster, as the engine sees it."""

    start: float
    facts: dict[str, Any]

    def read_reports(self) -> list[float]: ...
    def outcome(self) -> tuple[float | None, str | None] | None: ...
    def stop(self) -> None: ...


class FetchedTrial:
    """A trial of a ``RemoteCommand`` whose files are written to ``folder`` when it ends.

    Parameters
    ----------
    trial
        What runs it.
    folder
        Of this trial alone.
    """

    def __init__(self, trial: _Trial, folder: Path) -> None:
        self._trial, self._folder = trial, folder
        self.facts: dict[str, Any] = {}
        self.start = trial.start

    def read_reports(self) -> list[float]:
        """Return the intermediate results since the last call."""
        return self._trial.read_reports()

    def outcome(self) -> tuple[float | None, str | None] | None:
        """Return the score, or one line that says why there is none, once the trial has ended; its files are there then."""
        outcome = self._trial.outcome()
        if outcome is None:
            return None
        self.start = self._trial.start  # a trial that waited for room began later than it was asked for
        told = dict(self._trial.facts)
        files, problem = told.pop("files", None), told.pop("problem", None)
        if files is not None:
            unpack_files(files, self._folder)
        self.facts = told
        score, error = outcome
        return score, (problem or error) if score is None else None

    def stop(self) -> None:
        """End the trial when it next reports; what it wrote elsewhere than in the run's folder is not sent."""
        self._trial.stop()


def unpack_files(files: bytes, folder: Path) -> None:
    """Write the files of ``pack_files`` to ``folder``, in the place of what is there."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with zipfile.ZipFile(io.BytesIO(files)) as archive:
        archive.extractall(folder)
