"""The state of a training on disk: written after every epoch, so that an interrupted training goes on bit for bit."""

from __future__ import annotations

import os
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import torch

from evaluators import EvaluatorError


class Stateful(Protocol):
    """What a checkpoint can hold: networks, optimizers, schedulers."""

    def state_dict(self) -> Any: ...

    def load_state_dict(self, state_dict: Any) -> Any: ...


def save_checkpoint(path: Path, parts: Mapping[str, Stateful], generator: torch.Generator, history: list[dict[str, Any]]) -> None:
    """Write the state of ``parts``, the generators' (ours and torch's own) and the ``history`` of epochs; replaces ``path`` atomically."""
    random = {"own": generator.get_state(), "torch": torch.get_rng_state()}
    if torch.cuda.is_available():
        random["cuda"] = torch.cuda.get_rng_state()
    content = {"parts": {name: part.state_dict() for name, part in parts.items()}, "random": random, "history": history}
    partial = path.with_name(path.name + ".partial")
    try:
        with partial.open("wb") as file:
            torch.save(content, file)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def load_checkpoint(path: Path, parts: Mapping[str, Stateful], generator: torch.Generator) -> list[dict[str, Any]]:
    """Restore what ``save_checkpoint`` wrote and return the history of epochs; an absent file changes nothing and returns ``[]``.

    The file is read as plain tensors and values (``weights_only``): it can run no code. Raises ``EvaluatorError`` where it is broken
    or belongs to another network.
    """
    if not path.exists():
        return []
    try:
        content = torch.load(path, weights_only=True, map_location="cpu")
        for name, part in parts.items():
            part.load_state_dict(content["parts"][name])
        random, history = content["random"], content["history"]
    except (RuntimeError, ValueError, KeyError, EOFError, pickle.UnpicklingError) as error:
        raise EvaluatorError(f"{path}: not a checkpoint of this training; remove it to start over") from error
    generator.set_state(random["own"])
    torch.set_rng_state(random["torch"])
    if "cuda" in random and torch.cuda.is_available():
        torch.cuda.set_rng_state(random["cuda"])
    return history
