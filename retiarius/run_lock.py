"""A run's folder, held and logged to while the run goes on."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import contextmanager

from records.log import log_to
from records.run_folder import RunFolder
from retiarius.cli.settings import Settings


@contextmanager
def hold(folder: RunFolder, settings: Settings) -> Iterator[None]:
    """Write ``config.json``, keep the folder and its log open while the ``with`` block lasts, and note its end, if it comes to that.

    An interruption is raised anew as a ``KeyboardInterrupt`` that says where the run was and how to go on with it.
    """
    folder.write_config(settings.describe())
    try:
        with folder, log_to(folder.log_path):
            yield
            folder.note_end()
    except KeyboardInterrupt as error:
        where = shlex.quote(str(folder.path))
        how = f"{where} has it; NNI's service begins anew" if settings.portal else f"the same command with --out {where} --resume goes on"
        raise KeyboardInterrupt(how) from error
