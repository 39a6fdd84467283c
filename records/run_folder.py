"""The folder of one run: its name, its ``config.json``, and the lock that keeps a second process out."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import logging
import os
import re
import weakref
from collections.abc import Iterator, Mapping
from datetime import datetime, timezone
from pathlib import Path
from types import TracebackType
from typing import Any

from common.errors import RecordError
from common.files import read_json, to_json, write_json_atomically
from common.text import show
from records.provenance import collect_versions, find_commit, get_command

FORMAT = "retiarius-run"
VERSION = 1
_LOCK_NAME = ".lock"
_DISK_FULL = (errno.ENOSPC, errno.EDQUOT)
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)  # some network file systems of clusters
_logger = logging.getLogger("retiarius.records")


class RunFolder:
    """The folder of one run, held by one process until :meth:`close`, the end of a ``with`` block or of the process.

    Make one with :meth:`create`.

    Attributes
    ----------
        path: the folder.
        config_path, trials_path, best_path, log_path: ``config.json``, ``trials.jsonl``, ``best.json`` and ``log.txt``.
        checkpoints_path: the folder ``checkpoints`` in it; it exists.
        resumed: whether the folder held this run already.
        identity: what makes it this run, as plain data.
    """

    def __init__(self, path: Path, lock: int, *, identity: Mapping[str, Any], resumed: bool, is_new: bool) -> None:
        self.path = path
        self.config_path = path / "config.json"
        self.trials_path = path / "trials.jsonl"
        self.best_path = path / "best.json"
        self.log_path = path / "log.txt"
        self.checkpoints_path = path / "checkpoints"
        self.resumed = resumed
        self.identity = dict(identity)
        self._is_new = is_new
        self._lock: int | None = lock
        self.checkpoints_path.mkdir(exist_ok=True)
        _held.add(self)

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
        """Make and lock a new run folder, or open and lock the one to go on with.

        Args:
            out: the folder, or None for ``root/<YYYYmmdd-HHMMSS>-<space>-<strategy>`` (local time).
            space, strategy: names, for the folder's name.
            identity: what makes two runs the same run (space, arguments, strategy, seed, data set, sizes), as plain
                data. :meth:`write_config` stores it; resuming compares it with what is stored.
            root: where named-by-time folders go.
            resume: go on with the run in ``out``.

        Raises
        ------
            RecordError: ``out`` holds something already; ``resume`` without a run to go on with, or with one that
                differs; another process holds the folder; no permission to write.
            OSError: the disk is full.
        """
        require_usable_out(out, resume=resume)
        plain = json.loads(to_json(dict(identity or {})))
        with _told_of(out if out is not None else root):
            if out is None:
                return cls._open(_make_named_folder(root, space, strategy), plain, resume=False, is_new=True)
            is_new = not out.exists()
            out.mkdir(parents=True, exist_ok=True)
            return cls._open(out, plain, resume=resume, is_new=is_new)

    @classmethod
    def _open(cls, path: Path, identity: Mapping[str, Any], *, resume: bool, is_new: bool) -> RunFolder:
        lock = _take_lock(path)
        try:
            _check_content(path, resume=resume)  # again: another process may have finished a run here meanwhile
            if resume:
                _check_identity(path, identity)
                _remove_unfinished(path)
            return cls(path, lock, identity=identity, resumed=resume, is_new=is_new)
        except BaseException:
            os.close(lock)
            raise

    def write_config(self, settings: Mapping[str, Any]) -> None:
        """Write ``config.json``: the effective settings, and with which versions, command and commit they were run.

        A resumed run keeps what it began with and notes under ``resumed`` when and with what it went on.

        Raises
        ------
            RecordError: a setting that is not plain data.
            OSError: the file cannot be written; the one that was there stays.
        """
        occasion: dict[str, Any] = {
            "created": _now(),
            "command": get_command(),
            "directory": os.getcwd(),
            "commit": find_commit(),
            "versions": collect_versions(),
            "settings": dict(settings),
        }
        if self.resumed:
            config = read_config(self.path)
            config["resumed"] = [*config.get("resumed", []), occasion]
            config.pop("ended", None)
        else:
            config = {"format": FORMAT, "version": VERSION, **occasion, "identity": self.identity, "resumed": []}
        write_json_atomically(self.config_path, config)

    def note_end(self) -> None:
        """Say in ``config.json`` that the run came to its end. Raises ``OSError`` where the file cannot be written."""
        write_json_atomically(self.config_path, {**read_config(self.path), "ended": _now()})

    def close(self) -> None:
        """Let go of the folder; one that this process made and where nothing was written is removed."""
        if self._lock is None:
            return
        if self._is_new:
            self._remove_if_unused()
        self._release()

    def _remove_if_unused(self) -> None:
        with contextlib.suppress(OSError):
            if {entry.name for entry in self.path.iterdir()} <= {_LOCK_NAME, self.checkpoints_path.name}:
                self.checkpoints_path.rmdir()  # fails where there is a checkpoint, and then nothing is removed
                (self.path / _LOCK_NAME).unlink()
                self.path.rmdir()

    def _release(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def __enter__(self) -> RunFolder:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self.close()


def require_usable_out(out: Path | None, *, resume: bool) -> None:
    """Refuse, before anything that takes long, what :meth:`RunFolder.create` would: a folder that is not free or, to ``resume``, no run.

    Raises ``RecordError``.
    """
    if resume and out is None:
        raise RecordError("--resume needs --out DIR, the folder of the run to go on with")
    if out is not None:
        with _told_of(out):
            _check_content(out, resume=resume)


@contextlib.contextmanager
def _told_of(path: Path) -> Iterator[None]:
    """What the system says of ``path`` as one line that says what would be right; that the disk is full is told as it is."""
    try:
        yield
    except OSError as error:
        if error.errno in _DISK_FULL:
            raise
        place = error.filename or path
        raise RecordError(f"cannot write to {place}: {error.strerror}; name a folder that you may write to with --out DIR") from None
    except ValueError as error:
        if isinstance(error, RecordError):
            raise
        raise RecordError(f"{show(str(path))} cannot be a folder's name: {error}") from None


# A forked worker inherits the descriptor, and a lock lives as long as any copy of its descriptor: without this, workers
# that outlive a killed run would keep its folder locked.
_held: weakref.WeakSet[RunFolder] = weakref.WeakSet()


def _release_in_child() -> None:
    for folder in list(_held):
        folder._release()


os.register_at_fork(after_in_child=_release_in_child)


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


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
    raise RecordError(f"{root / name}: a thousand runs began in this second; name a folder with --out DIR")


def _check_content(path: Path, *, resume: bool) -> None:
    """Refuse a folder that is not free for a new run or, with ``resume``, that holds no run."""
    if path.exists() and not path.is_dir():
        raise RecordError(f"{path}: this is a file; --out takes a folder")
    holds_run = (path / "config.json").exists()
    if resume:
        if not holds_run:
            raise RecordError(f"{path}: no run to go on with (no config.json); leave out --resume to begin one")
        return
    if holds_run:
        raise RecordError(f"{path}: holds a run already; name another folder with --out, or go on with it by --resume")
    if path.exists() and any(not _is_leftover(entry) for entry in path.iterdir()):
        raise RecordError(f"{path}: the folder is not empty; name a new or an empty one with --out")


def _is_leftover(entry: Path) -> bool:
    """What a run leaves that ended before its config.json was written: nothing that anyone would miss."""
    if entry.name == "checkpoints":
        return entry.is_dir() and not any(entry.iterdir())
    return entry.name in (_LOCK_NAME, "log.txt") or (entry.name.startswith(".") and entry.name.endswith(".tmp"))


def _remove_unfinished(path: Path) -> None:
    """Take away files that a killed run was writing; whoever holds the lock is the only one who writes."""
    for pattern in (".*.tmp", "checkpoints/*.partial"):
        for entry in path.glob(pattern):
            with contextlib.suppress(OSError):
                entry.unlink()


def _take_lock(path: Path) -> int:
    """Lock the folder and return the descriptor that holds the lock; the system drops it when the process ends."""
    lock = os.open(path / _LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        _flock(lock)
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
    except BlockingIOError:
        holder = os.pread(lock, 20, 0).decode("ascii", "replace").strip() or "unknown"
        os.close(lock)
        raise RecordError(
            f"{path}: another process (pid {holder}) is writing this run; wait until it ends, or name another --out"
        ) from None
    except BaseException:
        os.close(lock)
        raise
    return lock


def _flock(descriptor: int) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        _logger.warning("this file system has no locks: see to it that no second process writes this run")


def is_held(path: Path) -> bool:
    """Whether a process is writing the run in ``path`` now; no, where that cannot be known."""
    try:
        lock = os.open(path / _LOCK_NAME, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)  # let go of at once
        return False
    except OSError as error:
        return error.errno not in _NO_LOCKS
    finally:
        os.close(lock)


def read_config(path: Path) -> dict[str, Any]:
    """The ``config.json`` of the run in the folder ``path``. Raises ``RecordError`` where there is none of a run."""
    config = read_json(path / "config.json")
    if not isinstance(config, dict) or config.get("format") != FORMAT or config.get("version") != VERSION:
        raise RecordError(f"{path / 'config.json'}: not the config.json, version {VERSION}, of a retiarius run")
    if not isinstance(config.get("identity"), dict) or not isinstance(config.get("resumed", []), list):
        raise RecordError(f"{path / 'config.json'}: 'identity' must be an object and 'resumed' a list")
    return config


def stored_identity(out: Path | None) -> dict[str, Any]:
    """What the run in ``out`` noted of itself; nothing where there is none, which is refused later with a better word."""
    path = (out or Path()) / "config.json"
    config = read_json(path) if path.is_file() else {}
    identity = config.get("identity") if isinstance(config, dict) else None
    return identity if isinstance(identity, dict) else {}


def _check_identity(path: Path, identity: Mapping[str, Any]) -> None:
    difference = _find_difference(read_config(path)["identity"], identity)
    if difference:
        raise RecordError(f"{path}: cannot go on with this run: {difference}; use the same settings, or another --out")


def _find_difference(stored: Any, given: Any, name: str = "") -> str | None:
    if isinstance(stored, dict) and isinstance(given, dict):
        for key in [*stored, *(key for key in given if key not in stored)]:
            inner = f"{name}.{key}" if name else key
            if key not in stored:
                return f"{inner} is {show(given[key])} and was not set in the run"
            if key not in given:
                return f"{inner} was {show(stored[key])} and is not set now"
            found = _find_difference(stored[key], given[key], inner)
            if found:
                return found
        return None
    return None if stored == given else f"{name} was {show(stored)} and is {show(given)} now"
