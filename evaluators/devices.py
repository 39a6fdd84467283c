"""Where and in which precision a network trains."""

from __future__ import annotations

import ctypes
import math
import platform
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

import torch
from torch import nn

from common.errors import EvaluatorError, RecordError
from common.files import read_json, write_json_atomically
from common.text import show
from common.user_cache import user_cache
from evaluators import evaluator_name
from evaluators.names import check_precision_name
from kernels.build import kernels_for

_OMP_PAUSE_SOFT = 1  # of OpenMP 5.0
_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
CLEAR_GAIN = 0.85  # of the time in float32, which a tie does not give up: it buys nothing for the lost digits
KEPT_CHOICES = "precision.json"  # in the user's cache folder; without it, it is measured again
_FORMAT, _VERSION, _MOST_KEPT = "retiarius-precision", 1, 100
_UNUSABLE = (RuntimeError, AssertionError, NotImplementedError, ImportError)


def choose_device(name: str = "auto", warn: Callable[[str], object] = str) -> torch.device:
    """Return the device called ``name``.

    Parameters
    ----------
    name
        ``auto`` is a GPU where torch has one and can use it, else the CPU.
    warn
        Hears of a GPU that cannot be used.

    Raises
    ------
    EvaluatorError
        A device that was asked for by name cannot be used.
    """
    if name == "auto":
        if torch.cuda.is_available():
            try:
                return _tried("cuda")
            except _UNUSABLE as error:  # too old for this torch, full, or another user's alone
                warn(f"using the CPU, as the GPU cannot be used: {str(error).strip().splitlines()[0]}")
        return torch.device("cpu")
    try:
        return _tried(name)
    except _UNUSABLE as error:
        usable = "cpu, cuda" if torch.cuda.is_available() else "cpu"
        raise EvaluatorError(f"device {show(name)} cannot be used here; usable: auto, {usable}") from error


def _tried(name: str) -> torch.device:
    """Return the device called ``name``, on which a number was stored."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of names that torch has given up
        device = torch.device(name)
        torch.zeros(1, device=device).item()  # a meta tensor has no content
    return device


def choose_precision(name: str, device: torch.device, prepare: Callable[[nn.Module], object] | None = None) -> torch.dtype:
    """Return ``torch.float32`` or ``torch.bfloat16``.

    For ``auto`` it is bfloat16 where dense convolutions clearly train faster in it here. That is measured, in a fraction of a second, and
    nothing less tells: processors without bfloat16 units emulate them. What came out is kept for this machine, as two measurements may
    differ where the gain is at the margin. Grouped convolutions do not decide: on a CPU they stay in float32 (``kernels.grouped``).

    Parameters
    ----------
    name
        ``auto``, ``float32`` or ``bfloat16``.
    device
        Where networks will be trained.
    prepare
        Is done with the network that is measured, as it is with those that will be trained.

    Raises
    ------
    EvaluatorError
        There is no precision of this name.
    """
    check_precision_name(name)
    if name != "auto":
        return _DTYPES[name]
    machine = _describe_machine(device, prepare)
    kept = _read_choices().get(machine)
    if isinstance(kept, str) and kept in _DTYPES:
        return _DTYPES[kept]
    with torch.random.fork_rng(devices=[]):
        block, images = _dense_block(device)
    if prepare is not None:
        prepare(block)
    seconds = _seconds_of_steps(block, images)
    choice = "bfloat16" if seconds[torch.bfloat16] < CLEAR_GAIN * seconds[torch.float32] else "float32"
    _keep_choice(machine, choice)
    return _DTYPES[choice]


def _describe_machine(device: torch.device, prepare: Callable[[nn.Module], object] | None) -> str:
    """Return in words all that decides how fast a network trains in which precision."""
    on_gpu = device.type == "cuda"
    words = [torch.cuda.get_device_name(device)] if on_gpu else [_processor(), f"{torch.get_num_threads()} threads"]
    words += [device.type, f"torch {torch.__version__}"]
    if prepare is not None:
        compiled = device.type == "cpu" and kernels_for(torch.float32) is not None
        words.append(f"{evaluator_name(prepare)} {'with' if compiled else 'without'} compiled kernels")
    return ", ".join(words)


def _processor() -> str:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _read_choices() -> dict[str, str]:
    """Return what was measured before, by machine; nothing where the file is absent or damaged."""
    with suppress(RecordError, OSError, RuntimeError):
        document = read_json(user_cache() / KEPT_CHOICES)
        if isinstance(document, dict) and (document.get("format"), document.get("version")) == (_FORMAT, _VERSION):
            choices = document.get("choices")
            return choices if isinstance(choices, dict) else {}
    return {}


def _keep_choice(machine: str, choice: str) -> None:
    """Keep what was measured, where the user's cache folder can be written."""
    newest = [*_read_choices().items(), (machine, choice)][-_MOST_KEPT:]
    with suppress(OSError, RuntimeError):
        user_cache().mkdir(parents=True, exist_ok=True)
        write_json_atomically(user_cache() / KEPT_CHOICES, {"format": _FORMAT, "version": _VERSION, "choices": dict(newest)})


def gpus_of(device: torch.device | str) -> list[int]:
    """Return the GPUs from whose generators is drawn where ``device`` computes: what ``torch.random.fork_rng`` is to put back.

    By itself it asks every GPU there is, also one that belongs to another user, and warns of their number.
    """
    device = torch.device(device)
    if device.type != "cuda":
        return []
    return [torch.cuda.current_device() if device.index is None else device.index]


@contextmanager
def denormals_as_zero() -> Iterator[None]:
    """Let the processor take numbers below 1e-38 for 0, in this thread and those with which it computes, while the ``with`` block lasts.

    It computes with them a hundred times more slowly, and a network that has stopped to learn is full of them: a step of Adam on 11 million
    parameters takes 607 ms where it takes 20 (docs/measurements/2026-11-training-step.md).
    Not for good, as Python's own numbers are rounded, too.
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
    """Return the context in which the forward pass runs: convolutions and products in ``precision``, sums and norms in float32."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == torch.bfloat16)


def _dense_block(device: torch.device) -> tuple[nn.Module, torch.Tensor]:
    """Return convolutions and images [N, C, H, W] for them, on ``device``: enough to keep it busy, on a GPU beyond starting kernels."""
    channels, side = (32, 16) if device.type == "cpu" else (128, 32)
    layers: list[nn.Module] = []
    for _ in range(2):
        layers += [nn.ReLU(), nn.Conv2d(channels, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels)]
    images = torch.zeros(channels, channels, side, side, device=device)
    return nn.Sequential(*layers).to(device).to(memory_format=torch.channels_last), images.to(memory_format=torch.channels_last)


def _seconds_of_steps(block: nn.Module, images: torch.Tensor, rounds: int = 8) -> dict[torch.dtype, float]:
    """Return the shortest step in each precision: what else the machine does can only add to it, and by turns it hits both alike."""
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
