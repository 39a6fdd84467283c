"""Whether the packages beside this one are those of this library. Nothing heavy is imported here."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from pathlib import Path

ROOMS = ("common", "evaluators", "kernels", "nni_compat", "records", "spaces", "strategies")


@cache
def require_rooms() -> None:
    """Raise ``ImportError`` where a file of the person's own, such as a ``spaces.py`` beside their script, hides one of them."""
    root = Path(__file__).resolve().parents[1]
    for room in ROOMS:
        try:
            spec = find_spec(room)
        except ValueError:  # a module that was made by hand
            continue
        if spec is not None and spec.origin is not None and Path(spec.origin).resolve() != root / room / "__init__.py":
            raise ImportError(f"{spec.origin} hides the package {room!r} of retiarius: give it another name")
