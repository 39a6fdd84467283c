"""States as plain data, which is what NNI's checkpoints bring back: PyTorch reads nothing else from a file that it does not trust."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np


def as_plain(state: Any) -> Any:
    """Return a state of dicts, lists, texts and numbers in Python's own types: a label of NNI's is a text of its own kind."""
    if isinstance(state, str):
        return str.__str__(state)
    if isinstance(state, Mapping):
        return {as_plain(name): as_plain(value) for name, value in state.items()}
    if isinstance(state, np.generic | np.ndarray):
        return state.tolist()
    return [as_plain(value) for value in state] if isinstance(state, Collection) else state


def generator_state(random: np.random.RandomState) -> Any:
    """Return the state of a generator as plain data."""
    return as_plain(random.get_state(legacy=False))


def restore_generator(random: np.random.RandomState, state: dict[str, Any]) -> None:
    """Put a generator where another was when it gave ``state``."""
    random.set_state({**state, "state": {**state["state"], "key": np.array(state["state"]["key"], dtype=np.uint32)}})
