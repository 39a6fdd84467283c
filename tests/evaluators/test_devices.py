"""Where and how exactly it is computed: unknown names, a GPU that cannot be used, measured precision, memory."""

from __future__ import annotations

import platform
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from common.errors import EvaluatorError
from evaluators import evaluator_entry
from evaluators.devices import choose_device, choose_precision, gpus_of
from evaluators.training.recipes import recipe_values


def test_unknown_recipes_evaluators_devices_and_precisions_name_the_known_ones() -> None:
    for call, message in [
        (lambda: recipe_values("slow"), "unknown recipe 'slow'; known: fast, cells, lab"),
        (lambda: evaluator_entry("guess"), "unknown evaluator 'guess'; known: train"),
        (lambda: choose_device("abacus"), "device 'abacus' cannot be used here; usable: auto, cpu"),
        (lambda: choose_device("hpu"), "device 'hpu' cannot be used here; usable: auto, cpu"),
        (lambda: choose_precision("float64", torch.device("cpu")), "unknown precision 'float64'; known: auto, float32, bfloat16"),
    ]:
        with pytest.raises(EvaluatorError, match=message):
            call()
    assert choose_device("cpu") == torch.device("cpu")


def test_measuring_which_precision_is_faster_leaves_torchs_generator_alone() -> None:
    state = torch.get_rng_state()
    assert choose_precision("auto", torch.device("cpu")) in (torch.float32, torch.bfloat16)
    assert torch.equal(torch.get_rng_state(), state)


def test_the_network_that_is_measured_is_prepared_as_those_to_be_trained() -> None:
    prepared: list[torch.nn.Module] = []
    choose_precision("auto", torch.device("cpu"), prepared.append)
    assert [type(layer).__name__ for layer in prepared[0].children()].count("Conv2d") == 2
    choose_precision("float32", torch.device("cpu"), prepared.append)
    assert len(prepared) == 1


def test_generators_are_put_back_of_the_gpu_in_use_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    assert gpus_of("cpu") == gpus_of(torch.device("meta")) == []
    assert gpus_of("cuda:3") == [3]
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 1)
    assert gpus_of(torch.device("cuda")) == [1]


def test_a_gpu_that_cannot_be_used_is_told_and_left(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)

    def refuse(*sizes: int, device: torch.device) -> torch.Tensor:
        assert device.type == "cuda"
        raise RuntimeError("CUDA error: no kernel image is available for execution on the device\nCompile with more")

    monkeypatch.setattr(torch, "zeros", refuse)
    assert choose_device("auto", said.append) == torch.device("cpu")
    assert said == ["the GPU cannot be used, so the CPU computes: CUDA error: no kernel image is available for execution on the device"]
    with pytest.raises(EvaluatorError, match="device 'cuda' cannot be used here"):
        choose_device("cuda")


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc alone can be told to")
def test_freed_memory_is_kept_on_linux() -> None:
    code = """
import resource, torch
from evaluators.memory import keep_freed_memory
assert keep_freed_memory()
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        torch.ones(2**22)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
faults()
print(faults())
"""
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2])
    assert int(process.stdout) < 100, "20 tensors of 16 MiB, 4,096 pages each"
