"""Where and in which precision a network trains."""

from __future__ import annotations

import ctypes
import math
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import torch
from torch import nn

from common.errors import EvaluatorError

_OMP_PAUSE_SOFT = 1  # of OpenMP 5.0
PRECISIONS = ("auto", "float32", "bfloat16")
_UNUSABLE = (RuntimeError, AssertionError, NotImplementedError, ImportError)


def choose_device(name: str = "auto", warn: Callable[[str], object] = str) -> torch.device:
    """The device called ``name``; ``auto`` is a GPU where torch finds one and can use it, of which ``warn`` hears where it cannot.

    Raises ``EvaluatorError`` where a device that was asked for by name cannot be used.
    """
    if name == "auto":
        if torch.cuda.is_available():
            try:
                return _tried("cuda")
            except _UNUSABLE as error:  # too old for this torch, full, or somebody's alone
                warn(f"the GPU cannot be used, so the CPU computes: {str(error).strip().splitlines()[0]}")
        return torch.device("cpu")
    try:
        return _tried(name)
    except _UNUSABLE as error:
        usable = "cpu, cuda" if torch.cuda.is_available() else "cpu"
        raise EvaluatorError(f"device {name!r} cannot be used here; usable: auto, {usable}") from error


def _tried(name: str) -> torch.device:
    """The device called ``name``, on which a number was stored."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of names that torch has given up
        device = torch.device(name)
        torch.zeros(1, device=device).item()  # a meta tensor has no content
    return device


def check_precision(name: str) -> None:
    """Raise ``EvaluatorError`` where there is no precision of this name."""
    if name not in PRECISIONS:
        raise EvaluatorError(f"unknown precision {name!r}; known: {', '.join(PRECISIONS)}")


def choose_precision(name: str, device: torch.device, prepare: Callable[[nn.Module], object] | None = None) -> torch.dtype:
    """``float32`` or ``bfloat16``; for ``auto`` the latter where dense convolutions really train faster in it here.

    ``prepare`` is done with the network that is measured, as it is with those that will be trained. The measurement takes a fraction of a
    second. Nothing less tells: processors without bfloat16 units emulate them. Grouped convolutions do not decide, as on a CPU they stay in
    float32 (``kernels.grouped``).
    """
    check_precision(name)
    if name != "auto":
        return torch.float32 if name == "float32" else torch.bfloat16
    with torch.random.fork_rng(devices=[]):
        block, images = _dense_block(device)
    if prepare is not None:
        prepare(block)
    seconds = _seconds_of_steps(block, images)
    # float32 unless the gain is clear: a tie buys nothing for the lost digits.
    return torch.bfloat16 if seconds[torch.bfloat16] < 0.85 * seconds[torch.float32] else torch.float32


def gpus_of(device: torch.device | str) -> list[int]:
    """The GPUs from whose generators is drawn where ``device`` computes: what ``torch.random.fork_rng`` is to put back.

    By itself it asks every GPU there is, also one that belongs to somebody else, and warns of their number.
    """
    device = torch.device(device)
    if device.type != "cuda":
        return []
    return [torch.cuda.current_device() if device.index is None else device.index]


@contextmanager
def denormals_as_zero() -> Iterator[None]:
    """Let the processor take numbers below 1e-38 for 0, in this thread and those with which it computes, while the ``with`` block lasts.

    It computes with them a hundred times more slowly, and a network that has stopped to learn is full of them: a step of Adam on 11 million
    parameters takes 607 ms where it takes 20 (docs/results.md). Not for good, as Python's own numbers are rounded, too.
    """
    before = not torch.full((1,), 1e-40).mul(1.0).any()
    _flush_denormals(True)
    try:
        yield
    finally:
        _flush_denormals(before)


def _flush_denormals(flush: bool) -> None:
    torch.set_flush_denormal(flush)
    # It is a register of each thread, which a new thread takes over from that which starts it: let OpenMP end those that it keeps.
    pause = getattr(ctypes.CDLL(None), "omp_pause_resource_all", None)
    if pause is not None:
        pause(_OMP_PAUSE_SOFT)


def autocast(device: torch.device, precision: torch.dtype) -> AbstractContextManager[None]:
    """The context in which the forward pass runs: convolutions and products in ``precision``, sums and norms in float32."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == torch.bfloat16)


def _dense_block(device: torch.device) -> tuple[nn.Module, torch.Tensor]:
    """Convolutions and images [N, C, H, W] for them, on ``device``: as much work as keeps it busy, on a GPU beyond starting kernels."""
    channels, side = (32, 16) if device.type == "cpu" else (128, 32)
    layers: list[nn.Module] = []
    for _ in range(2):
        layers += [nn.ReLU(), nn.Conv2d(channels, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels)]
    images = torch.zeros(channels, channels, side, side, device=device)
    return nn.Sequential(*layers).to(device).to(memory_format=torch.channels_last), images.to(memory_format=torch.channels_last)


def _seconds_of_steps(block: nn.Module, images: torch.Tensor, rounds: int = 8) -> dict[torch.dtype, float]:
    """The shortest step in each precision: what else the machine does can only add to it, and by turns it hits both alike."""
    seconds = {torch.float32: math.inf, torch.bfloat16: math.inf}
    for _ in range(rounds):
        for precision in seconds:
            seconds[precision] = min(seconds[precision], _seconds_of_a_step(block, images, precision))
    return seconds


def _seconds_of_a_step(network: nn.Module, images: torch.Tensor, precision: torch.dtype) -> float:
    device = images.device
    _wait_for(device)
    start = time.perf_counter()
    with autocast(device, precision):
        loss = network(images).float().square().mean()
    loss.backward()
    _wait_for(device)
    return time.perf_counter() - start


def _wait_for(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
