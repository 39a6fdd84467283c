"""What a step of a single-path supernet costs by a step of a found network of the same cells: seconds and peak memory.

    python benchmarks/single_path_step.py         # 20 cells of 16 channels, batches of 64; about half a minute on one core

Both take the same step in float32 on one thread: forward, backward, gradients clipped, SGD with momentum. The found network is the drawn
architecture as ``--retrain`` trains it, without the auxiliary head. Both take turns, and CPU time is counted, so that other processes do
not matter. Memory is the most that a process of its own holds, beyond what it held before the network was made, over two steps: in that of
the supernet they are steps on two architectures.
"""

# ruff: noqa: E402 (a script of the checkout, which need not be installed: the imports follow the path)
from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
import warnings
from collections.abc import Mapping
from contextlib import AbstractContextManager
from functools import cached_property
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
warnings.filterwarnings("ignore", message=".*is found to be not a nn.Module")

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from benchmarks.arguments import count
from benchmarks.process_memory import mebibytes
from spaces.adapter import find_space
from strategies import OneShotFacts
from strategies.one_shot.darts import DartsStrategy
from strategies.one_shot.single_path import UniformPath

CONTENDERS = ("path", "found")
WIDTH, CELLS, BATCH = 16, 20, 64
DRAWS = 4  # the first is not counted


class Trained:
    """A network in training, and its optimizer."""

    def __init__(self, network: nn.Module) -> None:
        self.network = network.train().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.optimizer = torch.optim.SGD(network.parameters(), lr=0.025, momentum=0.9, weight_decay=3e-4)

    def step(self, images: torch.Tensor, labels: torch.Tensor) -> float:
        """One step; CPU seconds."""
        start = time.process_time()
        self.optimizer.zero_grad()
        functional.cross_entropy(self.network(images), labels).backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), 5.0)
        self.optimizer.step()
        return time.process_time() - start


class Pair:
    """A supernet, made when it is first asked for, and networks of architectures that are drawn from its space."""

    def __init__(self, width: int, cells: int) -> None:
        self.space, self.arguments = find_space("darts"), {"width": width, "num_cells": cells}
        self.choices = {str(label): mutable for label, mutable in self.space.make({**self.arguments, "width": 2}).simplify().items()}
        self.sampler = UniformPath(seed=0)
        self._state = np.random.RandomState(0)

    @cached_property
    def path(self) -> Trained:
        """The supernet."""
        model = self.space.make(self.arguments)
        facts = OneShotFacts(**vars(self.space.one_shot(model)))
        return Trained(DartsStrategy(sampler=self.sampler, facts=facts).mutate_model(model))

    def draw(self) -> dict[str, Any]:
        """An architecture."""
        drawn: dict[str, Any] = {}
        for mutable in self.choices.values():
            mutable.random(drawn, self._state)
        return {str(label): value for label, value in drawn.items()}

    def found(self, architecture: Mapping[str, Any]) -> Trained:
        """Its network."""
        return Trained(self.space.network(self.arguments, architecture))

    def on(self, architecture: Mapping[str, Any]) -> AbstractContextManager[None]:
        """The supernet computes it while the ``with`` block lasts."""
        chosen = {label: value if isinstance(value, list) else [value] for label, value in architecture.items()}
        names = {label: mutable.values for label, mutable in self.choices.items()}
        return self.sampler.holding({label: torch.tensor([float(name in chosen[label]) for name in names[label]]) for label in names})


def make_batch(batch: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(batch, 3, 32, 32, generator=generator).contiguous(memory_format=torch.channels_last)
    return images, torch.randint(10, (batch,), generator=generator)


def race(width: int, cells: int, batch: int) -> dict[str, list[float]]:
    """CPU seconds of the counted steps of both, by turns, a step for each draw."""
    pair, images = Pair(width, cells), make_batch(batch)
    seconds: dict[str, list[float]] = {name: [] for name in CONTENDERS}
    for _ in range(DRAWS):
        architecture = pair.draw()
        found = pair.found(architecture)
        with pair.on(architecture):
            seconds["path"].append(pair.path.step(*images))
        seconds["found"].append(found.step(*images))
    return {name: taken[1:] for name, taken in seconds.items()}


def report_memory(name: str, width: int, cells: int, batch: int) -> None:
    """What ``measure_memory`` runs: the last word of the output is the number."""
    pair, images = Pair(width, cells), make_batch(batch)
    before, draws = mebibytes("VmRSS"), (pair.draw(), pair.draw())
    trained = pair.path if name == "path" else pair.found(draws[0])
    for architecture in draws:
        with pair.on(architecture):  # of which a found network knows nothing
            trained.step(*images)
    print(mebibytes("VmHWM") - before)


def measure_memory(width: int, cells: int, batch: int) -> dict[str, float]:
    """MiB of a process of each, side by side."""
    sizes = ["--width", str(width), "--cells", str(cells), "--batch", str(batch)]
    started = {
        name: subprocess.Popen([sys.executable, __file__, "--memory-of", name, *sizes], stdout=subprocess.PIPE, text=True)
        for name in CONTENDERS
    }
    told = {name: process.communicate()[0] for name, process in started.items()}
    if any(process.returncode for process in started.values()):
        raise RuntimeError("a process that measures memory ended early; its last words are above")
    return {name: float(text.split()[-1]) for name, text in told.items()}


def measure(width: int = WIDTH, cells: int = CELLS, batch: int = BATCH) -> dict[str, Any]:
    """Both ratios, a step on a path by a step of its network, and what they are made of."""
    memory = measure_memory(width, cells, batch)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        seconds = race(width, cells, batch)
    finally:
        torch.set_num_threads(threads)
    return {
        "single_path_ratio": round(sum(seconds["path"]) / sum(seconds["found"]), 3),
        "memory_ratio": round(memory["path"] / memory["found"], 3),
        "single_path": {
            **{f"{name}_steps_s": [round(taken, 3) for taken in seconds[name]] for name in CONTENDERS},
            **{f"{name}_mib": round(memory[name]) for name in CONTENDERS},
            **{"width": width, "cells": cells, "batch": batch},
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--width", type=count, default=WIDTH, help=f"channels of the first cells (default: {WIDTH})")
    parser.add_argument("--cells", type=count, default=CELLS, help=f"default: {CELLS}")
    parser.add_argument("--batch", type=count, default=BATCH, help=f"default: {BATCH}")
    parser.add_argument("--memory-of", choices=CONTENDERS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    size = (arguments.width, arguments.cells, arguments.batch)
    if arguments.memory_of:
        torch.set_num_threads(1)
        report_memory(arguments.memory_of, *size)
    else:
        print(json.dumps(measure(*size)))


if __name__ == "__main__":
    main()
