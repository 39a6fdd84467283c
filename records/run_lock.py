"""The lock on a run's folder, which keeps a second process out and lasts as long as its process.

Why not ``filelock``: a child process that has inherited its lock and lets it go unlocks it for the parent, too; it empties the file that
says who holds the lock; and whether a lock is held it can only find out by taking it.
"""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import weakref
from pathlib import Path

from common.errors import RecordError
from common.files import errors_name

LOCK_NAME = ".lock"
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)  # some network file systems of clusters
_logger = logging.getLogger("retiarius.records")


class RunLock:
    """The lock on one folder, held from here on until :meth:`release` or the end of the process.

    Parameters
    ----------
    folder
        The folder of a run; the lock is a file in it.

    Raises
    ------
    RecordError
        Another process holds the folder.
    OSError
        The folder cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        self._descriptor: int | None = None
        with errors_name(folder / LOCK_NAME):
            self._descriptor = os.open(folder / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
            try:
                _flock(self._descriptor)
                os.ftruncate(self._descriptor, 0)
                os.pwrite(self._descriptor, f"{os.getpid()}\n".encode(), 0)
            except BlockingIOError:
                holder = os.pread(self._descriptor, 20, 0).decode("ascii", "replace").strip() or "unknown"
                self.release()
                raise RecordError(
                    f"{folder}: another process (pid {holder}) is writing this run; wait until it ends, or set `out` to another folder"
                ) from None
            except BaseException:
                self.release()
                raise
        _held.add(self)

    @property
    def is_held(self) -> bool:
        """Whether this object holds the lock."""
        return self._descriptor is not None

    def release(self) -> None:
        """Let go of the folder; in a child process that inherited the lock, without taking it from the parent."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


# A forked worker inherits the descriptor, and a lock lives as long as any copy of its descriptor: without this, workers
# that outlive a killed run would keep its folder locked.
_held: weakref.WeakSet[RunLock] = weakref.WeakSet()


def _release_in_child() -> None:
    for lock in list(_held):
        lock.release()


os.register_at_fork(after_in_child=_release_in_child)


def _flock(descriptor: int) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        _logger.warning("this file system has no locks: make sure that no second process writes to this run")


def is_locked(folder: Path) -> bool:
    """Return whether a process is writing the run in ``folder`` now; no, where that cannot be known."""
    try:
        descriptor = os.open(folder / LOCK_NAME, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)  # let go of at once
        return False
    except OSError as error:
        return error.errno not in _NO_LOCKS
    finally:
        os.close(descriptor)
