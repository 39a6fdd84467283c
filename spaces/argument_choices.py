"""Which arguments of a constructor are choices of the space, too: known once it is built with those arguments at their defaults."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any
from weakref import WeakKeyDictionary

from common.errors import SpaceError
from spaces.origins import Origin

# By class and arguments: the networks may be large, and a run asks several times.
_KNOWN: WeakKeyDictionary[Any, dict[str, dict[str, list[Any]]]] = WeakKeyDictionary()


def candidates_by_label(origin: Origin, arguments: Mapping[str, Any]) -> dict[str, list[Any]]:
    """Return by label the candidates of each choice of one, in the space with these ``arguments``.

    A class is built once for the same arguments. Nothing is returned where it cannot be built of them alone.
    """
    if not inspect.isclass(origin.build):
        return _look(origin, arguments)
    known = _KNOWN.setdefault(origin.build, {})
    key = repr((sorted((origin.given or {}).items()), sorted(arguments.items())))
    if key not in known:
        known[key] = _look(origin, arguments)
    return known[key]


def _look(origin: Origin, arguments: Mapping[str, Any]) -> dict[str, list[Any]]:
    import torch

    from spaces.choices import legal_choices

    # Weights cost nothing on the first of these, but not every constructor can do without their values.
    places: tuple[AbstractContextManager[Any], ...] = (torch.device("meta"), nullcontext())
    for place in places:
        try:
            with place:
                choices = legal_choices(origin.make(arguments).simplify())
        except SpaceError:
            continue
        return {label: choice["values"] for label, choice in choices.items() if choice["kind"] == "one"}
    return {}
