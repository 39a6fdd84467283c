"""The benchmark of a single-path step: both contenders compute the same architecture, and the last line has both ratios."""

from __future__ import annotations

import pytest
import torch

from benchmarks import single_path_step
from benchmarks.single_path_step import DRAWS, Pair, make_batch, measure, measure_memory


def test_both_compute_the_same_operations() -> None:
    pair = Pair(4, 3)
    architecture = pair.draw()
    found, (images, labels) = pair.found(architecture), make_batch(2)
    with pair.on(architecture):
        pair.path.step(images, labels)
    found.step(images, labels)
    kernels = [
        sorted(tuple(kernel.shape) for kernel in trained.network.parameters() if kernel.grad is not None and kernel.dim() == 4)
        for trained in (pair.path, found)
    ]
    assert kernels[0] == kernels[1], "the convolutions that have learnt"


def test_the_ratios_are_those_of_what_was_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(single_path_step, "measure_memory", lambda *_: {"path": 30.0, "found": 20.0})
    threads = torch.get_num_threads()
    told = measure(2, 3, 2)
    assert told["memory_ratio"] == 1.5 and told["single_path"]["found_mib"] == 20
    steps = {name: told["single_path"][f"{name}_steps_s"] for name in ("path", "found")}
    assert {len(taken) for taken in steps.values()} == {DRAWS - 1} and told["single_path_ratio"] > 0
    assert torch.get_num_threads() == threads


@pytest.mark.slow
def test_memory_is_that_of_a_process_of_each() -> None:
    told = measure_memory(8, 3, 32)
    assert set(told) == {"path", "found"} and min(told.values()) > 0
