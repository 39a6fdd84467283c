"""``log.txt``: what the project's loggers, ``retiarius.<room>``, say during one run."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path

from common.errors import RecordError
from common.passwords import hide_passwords

LOGGER_NAME = "retiarius"
_LOGGED = "_retiarius_logged"


class _SilentFileHandler(logging.FileHandler):
    """A file handler that prints no traceback a line when the disk is full; the run's own writes report that."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802, the name is logging's
        return


class _Formatter(logging.Formatter):
    """What libraries say of a database may name its URL."""

    def format(self, record: logging.LogRecord) -> str:
        return hide_passwords(super().format(record))


def is_logged(error: Exception) -> bool:
    """Whether a log has the traceback of ``error``."""
    return _LOGGED in error.__dict__


@contextlib.contextmanager
def log_to(path: Path, level: int = logging.INFO) -> Iterator[logging.Logger]:
    """Add what the logger ``retiarius`` and its children say to the file ``path`` while the ``with`` block lasts.

    Their lines go to the file only, not on to handlers that libraries hang on the root logger.

    Raises
    ------
        RecordError: the file cannot be opened.
    """
    try:
        handler = _SilentFileHandler(path, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise RecordError(f"{path}: cannot be written: {error.strerror}") from None
    handler.setFormatter(_Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logger = logging.getLogger(LOGGER_NAME)
    previous = (logger.level, logger.propagate)
    logger.setLevel(level)
    logger.propagate = False
    logger.addHandler(handler)
    try:
        yield logger
    except Exception as error:
        logger.exception("the run ended by this")
        error.__dict__[_LOGGED] = True
        raise
    finally:
        logger.removeHandler(handler)
        logger.level, logger.propagate = previous
        with contextlib.suppress(OSError):
            handler.close()
