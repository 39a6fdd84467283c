"""The folder of one run: its name, its ``config.json``, and the lock that keeps a second process out."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any

from common.errors import RecordError
from common.files import DISK_FULL, write_json_atomically
from common.text import show
from records.run_config import NAME, check_identity, new_config, now, plain, read_config, resumed_config, stored_identity
from records.run_lock import LOCK_NAME, RunLock

__all__ = ["RunFolder", "read_config", "require_usable_out", "stored_identity"]


class RunFolder:
    """The folder of one run, held by one process until :meth:`close`, the end of a ``with`` block or of the process.

    Make one with :meth:`create`.

    Attributes
    ----------
    path
        The folder.
    config_path, trials_path, best_path, log_path
        ``config.json``, ``trials.jsonl``, ``best.json`` and ``log.txt``.
    checkpoints_path
        The folder ``checkpoints`` in it; it exists.
    resumed
        Whether the folder held this run already.
    identity
        What makes it this run, as plain data.
    """

    def __init__(self, path: Path, lock: RunLock, *, identity: Mapping[str, Any], resumed: bool, is_new: bool) -> None:
        self.path = path
        self.config_path = path / NAME
        self.trials_path = path / "trials.jsonl"
        self.best_path = path / "best.json"
        self.log_path = path / "log.txt"
        self.checkpoints_path = path / "checkpoints"
        self.resumed = resumed
        self.identity = dict(identity)
        self._is_new = is_new
        self._lock = lock
        self.checkpoints_path.mkdir(exist_ok=True)

    @classmethod
    def create(
        cls,
        out: Path | None,
        *,
        space: str,
        strategy: str,
        identity: Mapping[str, Any] | None = None,
        root: Path = Path("runs"),
        resume: bool = False,
    ) -> RunFolder:
        """Make and lock a new run folder, or open and lock the one to resume.

        Parameters
        ----------
        out
            The folder, or None for ``root/<YYYYmmdd-HHMMSS>-<space>-<strategy>`` (local time).
        space, strategy
            Names, for the folder's name.
        identity
            What makes two runs the same run (space, arguments, strategy, seed, data set, sizes), as plain data. :meth:`write_config`
            stores it; resuming compares it with what is stored.
        root
            Where folders named by time go.
        resume
            Resume the run in ``out``.

        Raises
        ------
        RecordError
            ``out`` holds something already; ``resume`` without a run to resume, or with one that differs; another process holds the
            folder; no permission to write.
        OSError
            The disk is full.
        """
        require_usable_out(out, resume=resume)
        same = plain(identity or {})
        with _told_of(out if out is not None else root):
            if out is None:
                return cls._open(_make_named_folder(root, space, strategy), same, resume=False, is_new=True)
            is_new = not out.exists()
            out.mkdir(parents=True, exist_ok=True)
            return cls._open(out, same, resume=resume, is_new=is_new)

    @classmethod
    def _open(cls, path: Path, identity: Mapping[str, Any], *, resume: bool, is_new: bool) -> RunFolder:
        lock = RunLock(path)
        try:
            _check_content(path, resume=resume)  # again: another process may have finished a run here meanwhile
            if resume:
                check_identity(path, identity)
                _remove_unfinished(path)
            return cls(path, lock, identity=identity, resumed=resume, is_new=is_new)
        except BaseException:
            lock.release()
            raise

    def write_config(self, settings: Mapping[str, Any], command: str | None = None) -> None:
        """Write ``config.json``: the effective settings, and with which versions, command and commit they were run.

        A resumed run keeps what it began with and notes under ``resumed`` when and with what it was resumed. ``command`` is the command
        line; None where the run was started from Python.

        Raises
        ------
        RecordError
            A setting that is not plain data.
        OSError
            The file cannot be written; the one that was there stays.
        """
        config = resumed_config(self.path, settings, command) if self.resumed else new_config(self.identity, settings, command)
        write_json_atomically(self.config_path, config)

    def note_end(self) -> None:
        """Say in ``config.json`` that the run came to its end. Raise ``OSError`` where the file cannot be written."""
        write_json_atomically(self.config_path, {**read_config(self.path), "ended": now()})

    def close(self) -> None:
        """Let go of the folder; one that this process made and where nothing was written is removed."""
        if not self._lock.is_held:
            return
        if self._is_new:
            self._remove_if_unused()
        self._lock.release()

    def _remove_if_unused(self) -> None:
        with contextlib.suppress(OSError):
            if {entry.name for entry in self.path.iterdir()} <= {LOCK_NAME, self.checkpoints_path.name}:
                self.checkpoints_path.rmdir()  # fails where there is a checkpoint, and then nothing is removed
                (self.path / LOCK_NAME).unlink()
                self.path.rmdir()

    def __enter__(self) -> RunFolder:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self.close()


def require_usable_out(out: Path | None, *, resume: bool) -> None:
    """Refuse, before anything that takes long, what :meth:`RunFolder.create` would: a folder that is not free or, to ``resume``, no run.

    Raises
    ------
    RecordError
        One line: what is wrong with the folder, and what would be right.
    """
    if resume and out is None:
        raise RecordError("`resume` needs the run's folder: set `out`")
    if out is not None:
        with _told_of(out):
            _check_content(out, resume=resume)


@contextlib.contextmanager
def _told_of(path: Path) -> Iterator[None]:
    """Turn what the system says of ``path`` into one line that says what would be right; that the disk is full is told as it is."""
    try:
        yield
    except OSError as error:
        if error.errno in DISK_FULL:
            raise
        place = error.filename or path
        raise RecordError(f"cannot write to {place}: {error.strerror}; set `out` to a folder that you may write to") from None
    except ValueError as error:
        if isinstance(error, RecordError):
            raise
        raise RecordError(f"{show(str(path))} cannot be a folder's name: {error}") from None


def _make_named_folder(root: Path, space: str, strategy: str) -> Path:
    root.mkdir(parents=True, exist_ok=True)
    name = re.sub(r"[^\w.+-]", "_", f"{datetime.now():%Y%m%d-%H%M%S}-{space}-{strategy}")
    for attempt in range(1, 1000):
        path = root / (name if attempt == 1 else f"{name}-{attempt}")
        try:
            path.mkdir()
        except FileExistsError:
            continue
        return path
    raise RecordError(f"{root / name}: a thousand runs began in this second; set `out` to a folder")


def _check_content(path: Path, *, resume: bool) -> None:
    """Refuse a folder that is not free for a new run or, with ``resume``, that holds no run."""
    if path.exists() and not path.is_dir():
        raise RecordError(f"{path} is a file; `out` takes a folder")
    holds_run = (path / NAME).exists()
    if resume:
        if not holds_run:
            raise RecordError(f"{path}: no run to resume (no config.json); to begin one, leave out `resume`")
        return
    if holds_run:
        raise RecordError(f"{path} already holds a run; set `out` to another folder, or continue the run with `resume`")
    if path.exists() and any(not _is_leftover(entry) for entry in path.iterdir()):
        raise RecordError(f"{path} is not empty; set `out` to a new or an empty folder")


def _is_leftover(entry: Path) -> bool:
    """Return whether a run left this that ended before its config.json was written: nothing that anyone would miss."""
    if entry.name == "checkpoints":
        return entry.is_dir() and not any(entry.iterdir())
    return entry.name in (LOCK_NAME, "log.txt") or (entry.name.startswith(".") and entry.name.endswith(".tmp"))


def _remove_unfinished(path: Path) -> None:
    """Take away files that a killed run was writing; whoever holds the lock is the only one who writes."""
    for pattern in (".*.tmp", "checkpoints/.*.tmp", "checkpoints/**/*.partial"):
        for entry in path.glob(pattern):
            with contextlib.suppress(OSError):
                entry.unlink()
