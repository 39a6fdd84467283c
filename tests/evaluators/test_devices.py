"""Where and how exactly it is computed: unknown names, a GPU that cannot be used, measured precision, memory."""

from __future__ import annotations

import json
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from common.errors import EvaluatorError
from evaluators import devices, evaluator_entry
from evaluators.devices import choose_device, choose_precision, gpus_of
from evaluators.training.recipes import recipe_values


def test_unknown_recipes_evaluators_devices_and_precisions_name_the_known_ones() -> None:
    for call, message in [
        (lambda: recipe_values("slow"), "unknown recipe 'slow'; known: fast, cells, lab"),
        (lambda: evaluator_entry("guess"), "unknown evaluator 'guess'; known: train"),
        (lambda: choose_device("abacus"), "device 'abacus' cannot be used here; usable: auto, cpu"),
        (lambda: choose_device("hpu"), "device 'hpu' cannot be used here; usable: auto, cpu"),
        (
            lambda: choose_precision("float64", torch.device("cpu")),
            r"unknown precision 'float64' \(did you mean bfloat16\?\); known: auto, float32, bfloat16",
        ),
    ]:
        with pytest.raises(EvaluatorError, match=message):
            call()
    assert choose_device("cpu") == torch.device("cpu")


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "retiarius" / "precision.json"


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
    choose_precision("auto", torch.device("cpu"), prepared.append)
    assert len(prepared) == 1, "what was measured is kept"


@pytest.mark.parametrize(("half", "chosen"), [(0.5, torch.bfloat16), (0.9, torch.float32), (2.0, torch.float32)])
def test_bfloat16_is_chosen_where_it_is_clearly_faster(half: float, chosen: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = {torch.float32: 1.0, torch.bfloat16: half}
    asked: list[torch.dtype] = []

    def measure(network: torch.nn.Module, images: torch.Tensor, precision: torch.dtype) -> float:
        asked.append(precision)
        return seconds[precision] + 9.0 * (len(asked) < 5)  # at first the machine is busy

    monkeypatch.setattr("evaluators.devices._seconds_of_a_step", measure)
    assert choose_precision("auto", torch.device("cpu")) is chosen
    assert asked[::2] == [torch.float32] * 8 and asked[1::2] == [torch.bfloat16] * 8, "by turns: what else runs hits both alike"


# What was measured is kept by machine


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What the next measurements say of bfloat16, in shares of the time in float32; the last one again and again."""
    shares: list[float] = []

    def measure(block: Any, images: Any) -> dict[torch.dtype, float]:
        return {torch.float32: 1.0, torch.bfloat16: shares.pop(0) if len(shares) > 1 else shares[0]}

    monkeypatch.setattr(devices, "_seconds_of_steps", measure)
    return shares


CPU = torch.device("cpu")


def test_two_runs_choose_alike_where_both_precisions_are_about_as_fast(measured: list[float], own_cache: Path) -> None:
    measured[:] = [0.84, 0.86]
    assert choose_precision("auto", CPU) is torch.bfloat16
    assert choose_precision("auto", CPU) is torch.bfloat16, "though it would come out otherwise now"
    assert measured == [0.86], "it was measured once"
    document = json.loads(own_cache.read_text())
    (machine,) = document["choices"]
    assert (document["format"], document["version"], document["choices"][machine]) == ("retiarius-precision", 1, "bfloat16")
    assert f"torch {torch.__version__}" in machine and f"{torch.get_num_threads()} threads" in machine
    own_cache.unlink()
    assert choose_precision("auto", CPU) is torch.float32, "not without a clear gain"


def test_another_machine_is_measured_for_itself(measured: list[float], own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    measured[:] = [0.5, 1.5, 0.5, 1.5, 0.5]
    assert choose_precision("auto", CPU) is torch.bfloat16
    assert choose_precision("auto", CPU, torch.nn.Module.eval) is torch.float32, "with networks that are prepared otherwise"
    monkeypatch.setattr(devices, "_processor", lambda: "another one")
    assert choose_precision("auto", CPU) is torch.bfloat16
    monkeypatch.setattr(torch, "get_num_threads", lambda: 77)
    assert choose_precision("auto", CPU) is torch.float32
    monkeypatch.setattr(torch, "__version__", "9.9")
    assert choose_precision("auto", CPU) is torch.bfloat16
    assert len(json.loads(own_cache.read_text())["choices"]) == 5


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"format": "x"}', "FORMAT [] }", 'FORMAT {"MACHINE": "float64"} }', 'FORMAT {"MACHINE": []} }']
)
def test_a_damaged_file_is_measured_again_and_replaced(measured: list[float], own_cache: Path, text: str) -> None:
    measured[:] = [0.5]
    own_cache.parent.mkdir()
    head, machine = '{"format": "retiarius-precision", "version": 1, "choices":', devices._describe_machine(CPU, None)
    own_cache.write_text(text.replace("FORMAT", head).replace("MACHINE", machine))
    assert choose_precision("auto", CPU) is torch.bfloat16
    assert json.loads(own_cache.read_text())["choices"] == {machine: "bfloat16"}
    measured[:] = [1.5]
    assert choose_precision("auto", CPU) is torch.bfloat16


def test_a_cache_that_cannot_be_written_costs_the_measurement_alone(
    measured: list[float], own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured[:] = [0.5, 1.5]
    own_cache.parent.write_text("in the way")
    assert [choose_precision("auto", CPU) for _ in range(2)] == [torch.bfloat16, torch.float32]
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(Path, "home", raise_no_home)
    assert choose_precision("auto", CPU) is torch.float32


def raise_no_home() -> Path:
    raise RuntimeError("Could not determine home directory.")


def test_the_file_does_not_grow_without_end(measured: list[float], own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    measured[:] = [0.5]
    own_cache.parent.mkdir()
    many = {f"machine {number}": "float32" for number in range(120)}
    own_cache.write_text(json.dumps({"format": "retiarius-precision", "version": 1, "choices": many}))
    choose_precision("auto", CPU)
    choices = json.loads(own_cache.read_text())["choices"]
    assert len(choices) == 100 and next(iter(choices)) == "machine 21" and list(choices.values())[-1] == "bfloat16"


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
    assert said == ["using the CPU, as the GPU cannot be used: CUDA error: no kernel image is available for execution on the device"]
    with pytest.raises(EvaluatorError, match="device 'cuda' cannot be used here"):
        choose_device("cuda")


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc alone can be told to")
@pytest.mark.slow
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
