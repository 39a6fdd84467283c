"""What a program says and returns when something went wrong: one line, and a status that scripts can tell apart."""

from __future__ import annotations

import errno
import signal
import tempfile
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

from common.passwords import hide_passwords
from common.text import show
from records.log import is_logged

BAD_INPUT, FAILED, INTERRUPTED = 2, 1, 130
Kinds = tuple[type[Exception], ...]


@contextmanager
def end_on_sigterm() -> Iterator[None]:
    """Within it SIGTERM (``kill``, ``docker stop``, a batch system at its limit) ends the program as Ctrl-C does.

    What other code has set for SIGTERM is left alone, and so are threads, which Python lets set nothing.
    """
    is_free = signal.getsignal(signal.SIGTERM) is signal.SIG_DFL and threading.current_thread() is threading.main_thread()
    if is_free:
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        if is_free:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)


def explain(error: Exception | KeyboardInterrupt, bad_input: Kinds, failed: Kinds) -> tuple[int, str]:
    """Return the exit status and the line for ``error``; those of ``bad_input`` are the person's to mend, those of ``failed`` the run's."""
    if isinstance(error, bad_input):
        return BAD_INPUT, str(error)
    if isinstance(error, PermissionError | FileNotFoundError | NotADirectoryError):
        return BAD_INPUT, f"{error.filename}: {error.strerror}; name another folder with --out or --data-dir"
    if isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG:
        return BAD_INPUT, f"{show(str(error.filename))} is too long to be a path: name a file or a folder"
    if isinstance(error, OSError):
        where = "" if error.filename is None else f"{error.filename}: "
        hint = "; free some space, then continue with --resume" if error.errno == errno.ENOSPC else ""
        return FAILED, f"{where}{error.strerror or error}{hint}"
    if isinstance(error, failed):
        return FAILED, str(error)
    if isinstance(error, KeyboardInterrupt):
        if not error.args:  # whoever holds a run's folder tells how to resume the run
            return INTERRUPTED, "interrupted before the run began: repeat the same command"
        return INTERRUPTED, f"interrupted; finished work is kept: {error.args[0]}"
    # A fault of ours or of a library, such as memory that runs out.
    message = str(error).strip().splitlines()
    return FAILED, f"{type(error).__name__}: {message[0] if message else 'no message'}{_find_traceback(error)}"


def _find_traceback(error: Exception) -> str:
    """Where it can be read: in the run's log, or in a file that is written for it, where there was no run yet."""
    if is_logged(error):
        return " (traceback: log.txt in the run's folder)"
    text = hide_passwords("".join(traceback.format_exception(type(error), error, error.__traceback__)))
    try:
        with tempfile.NamedTemporaryFile("w", prefix="retiarius-", suffix=".txt", delete=False, encoding="utf-8", errors="replace") as file:
            file.write(text)
    except OSError:
        return ""
    return f" (traceback: {file.name})"
