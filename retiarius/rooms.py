"""Whether the packages beside this one are those of this library. Nothing heavy is imported here."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from pathlib import Path

ROOMS = ("common", "evaluators", "kernels", "nni_compat", "records", "spaces", "strategies")


@cache
def require_rooms() -> None:
    """Raise ``ImportError`` where a file of the person's own, such as a ``spaces.py`` beside their script, hides one of them."""
    for room in ROOMS:
        spec = find_spec(room)
        where = None if spec is None or spec.origin is None else Path(spec.origin)
        if where is not None and where.resolve().parents[1] != Path(__file__).resolve().parents[1]:
            raise ImportError(f"{where} hides the package {room!r} of retiarius: give that file another name")
