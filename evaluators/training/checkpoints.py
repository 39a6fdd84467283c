"""The state of a training on disk: written after every epoch, so that an interrupted training is resumed bit for bit."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import torch
from safetensors import SafetensorError
from safetensors.torch import save_model
from torch import nn

from common.errors import EvaluatorError
from common.files import replace_atomically


class Stateful(Protocol):
    """What a checkpoint can hold: networks, optimizers, schedulers."""

    def state_dict(self) -> Any:
        """Return the state, as plain tensors and values."""
        ...

    def load_state_dict(self, state_dict: Any) -> Any:
        """Take over what ``state_dict`` gave."""
        ...


def save_checkpoint(path: Path, parts: Mapping[str, Stateful], generator: torch.Generator, history: list[dict[str, Any]]) -> None:
    """Write the state of ``parts``, of the generators (ours and torch's own) and the ``history`` of epochs; replace ``path`` atomically."""
    random = {"own": generator.get_state(), **random_state()}
    content = {"parts": {name: part.state_dict() for name, part in parts.items()}, "random": random, "history": history}
    write_checkpoint(path, content)


def random_state() -> dict[str, Any]:
    """Return the states of torch's own generators, on every device that is in use: to ask a GPU would start it."""
    return {"torch": torch.get_rng_state()} | ({"cuda": torch.cuda.get_rng_state_all()} if torch.cuda.is_initialized() else {})


def restore_random_state(states: Mapping[str, Any]) -> None:
    """Put back what ``random_state`` gave; older checkpoints have that of one GPU, or of none."""
    torch.set_rng_state(states["torch"])
    if "cuda" in states and torch.cuda.is_available():
        of_gpus = states["cuda"] if isinstance(states["cuda"], list) else [states["cuda"]]
        torch.cuda.set_rng_state_all(of_gpus[: torch.cuda.device_count()])


def write_checkpoint(path: Path, content: Mapping[str, Any]) -> None:
    """Replace ``path`` by ``content``, atomically; raise ``OSError`` where there is no room.

    Torch itself would say of a full disk that a position in its file is unexpected.
    """
    buffer = io.BytesIO()
    torch.save(content, buffer)
    # A run folder is swept of checkpoints that a killed process has left under this name.
    unfinished = path.with_name(path.name + ".partial")
    replace_atomically(path, lambda file: file.write_bytes(buffer.getbuffer()), unfinished=unfinished)


def save_weights(network: nn.Module, path: Path) -> None:
    """Write the weights of ``network`` to ``path`` (safetensors), atomically.

    Raises
    ------
    OSError
        There is no room, or the folder cannot be written.
    """
    try:
        replace_atomically(path, lambda unfinished: save_model(network, str(unfinished)))
    except SafetensorError as error:  # of the file system: full, read-only
        raise OSError(f"{path}: {error}") from error


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Return what a checkpoint holds, read as plain tensors and values; raise ``EvaluatorError`` where the file is broken."""
    try:
        content = torch.load(path, weights_only=True, map_location="cpu")
        if not isinstance(content, dict):
            raise TypeError("not a dict")
    except OSError:
        raise
    except Exception as error:  # torch reports a broken file in many ways
        raise broken(path) from error
    return content


def broken(path: Path) -> EvaluatorError:
    """Return the error for a file that is no checkpoint of this training."""
    return EvaluatorError(f"{path}: not a checkpoint of this training; remove it to start again")


def load_checkpoint(path: Path, parts: Mapping[str, Stateful], generator: torch.Generator) -> list[dict[str, Any]]:
    """Restore what ``save_checkpoint`` wrote and return the history of epochs; an absent file changes nothing and returns ``[]``.

    The file is read as plain tensors and values (``weights_only``): it can run no code.

    Raises
    ------
    EvaluatorError
        The file is broken or belongs to another network.
    """
    if not path.exists():
        return []
    content = read_checkpoint(path)
    try:
        for name, part in parts.items():
            part.load_state_dict(content["parts"][name])
        generator.set_state(content["random"]["own"])
        restore_random_state(content["random"])
        history: list[dict[str, Any]] = content["history"]
    except (RuntimeError, ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        raise broken(path) from error
    return history
