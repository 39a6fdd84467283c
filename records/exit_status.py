"""What a program says and returns when something went wrong: one line, and a status that scripts can tell apart."""

from __future__ import annotations

import errno

BAD_INPUT, FAILED, INTERRUPTED = 2, 1, 130
Kinds = tuple[type[Exception], ...]


def explain(error: Exception | KeyboardInterrupt, bad_input: Kinds, failed: Kinds) -> tuple[int, str]:
    """The exit status and the line for ``error``; those of ``bad_input`` are the person's to mend, those of ``failed`` the run's."""
    if isinstance(error, bad_input):
        return BAD_INPUT, str(error)
    if isinstance(error, PermissionError | FileNotFoundError | NotADirectoryError):
        return BAD_INPUT, f"{error.filename}: {error.strerror}; name another folder with --out or --data-dir"
    if isinstance(error, OSError):
        where = "" if error.filename is None else f"{error.filename}: "
        hint = "; free some space, then go on with --resume" if error.errno == errno.ENOSPC else ""
        return FAILED, f"{where}{error.strerror or error}{hint}"
    if isinstance(error, failed):
        return FAILED, str(error)
    if isinstance(error, KeyboardInterrupt):
        how = error.args[0] if error.args else "the same command with --out DIR --resume goes on"
        return INTERRUPTED, f"interrupted; what was finished is kept: {how}"
    # A fault of ours or of a library, such as memory that runs out: log.txt has where.
    message = str(error).strip().splitlines()
    return FAILED, f"{type(error).__name__}: {message[0] if message else 'no message'} (log.txt in the run's folder says where)"
