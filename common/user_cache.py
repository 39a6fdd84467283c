"""The folder in which a user keeps what can be made again: decoded images, compiled kernels, measurements of the machine."""

from __future__ import annotations

import os
from pathlib import Path


def user_cache() -> Path:
    """Return the folder for caches of this user; it may not exist yet.

    It is ``retiarius`` in ``$XDG_CACHE_HOME``, or in ``~/.cache`` where that is no absolute path.

    Raises
    ------
    RuntimeError
        The user has no home folder.
    """
    configured = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (configured if configured.is_absolute() else Path.home() / ".cache") / "retiarius"
