"""The record of a run while it lasts: its ``config.json``, its log, its end."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from records.log import log_to
from records.run_folder import RunFolder


@contextmanager
def keep(folder: RunFolder, settings: Mapping[str, Any], command: str | None, *, can_resume: bool = True) -> Iterator[None]:
    """Write ``config.json``, keep the folder and its log open while the ``with`` block lasts, and note its end, if it comes to that.

    Parameters
    ----------
    settings
        What was asked for, as plain data.
    command
        The command line; None where the run was started from Python.
    can_resume
        Whether the run can be resumed after an interruption.

    Raises
    ------
    KeyboardInterrupt
        On an interruption: where the run is, and how to resume it.
    """
    folder.write_config(settings, command)
    try:
        with folder, log_to(folder.log_path):
            yield
            folder.note_end()
    except KeyboardInterrupt as error:
        if can_resume:
            raise KeyboardInterrupt(how_to_resume(folder.path, command)) from error
        raise KeyboardInterrupt(f"it is in {shlex.quote(str(folder.path))}; NNI's service cannot resume it") from error


def how_to_resume(path: Path, command: str | None) -> str:
    """Return what resumes the run in ``path``, in words; ``command`` as :func:`keep` takes it."""
    where = shlex.quote(str(path))
    again = f"the same command with --out {where} --resume" if command else f"the same call with out={where!r}, resume=True"
    return f"to resume, use {again}"
