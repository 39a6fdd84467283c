"""A run's folder, kept locked and logged to while the run lasts."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from records.log import log_to
from records.run_folder import RunFolder


@contextmanager
def keep(folder: RunFolder, settings: Mapping[str, Any], *, can_resume: bool = True) -> Iterator[None]:
    """Write ``config.json``, keep the folder and its log open while the ``with`` block lasts, and note its end, if it comes to that.

    Parameters
    ----------
    settings
        What was asked for, as plain data.
    can_resume
        Whether the run can be resumed after an interruption.

    Raises
    ------
    KeyboardInterrupt
        On an interruption: where the run is, and how to resume it.
    """
    folder.write_config(settings)
    try:
        with folder, log_to(folder.log_path):
            yield
            folder.note_end()
    except KeyboardInterrupt as error:
        where = shlex.quote(str(folder.path))
        again = f"the same command with --out {where} --resume goes on"
        raise KeyboardInterrupt(again if can_resume else f"{where} has it; NNI's service begins anew") from error
