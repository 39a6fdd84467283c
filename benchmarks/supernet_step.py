"""Seconds of a DARTS search step: NNI's supernet of its own DARTS cells, this project's fused one, and this project's unfused one.

    python benchmarks/supernet_step.py            # 8 and 16 channels, 8 cells, batches of 64 (about twenty minutes on two cores)
    python benchmarks/supernet_step.py --quick    # one small size, less than 50 s; the last line is one JSON object (of the CPU)

A step is what a search does with a pair of batches: an architecture step (Adam) and a step of the weights (SGD with momentum, gradients
clipped). NNI's is that of its ``DartsLightningModule``, which differentiates everything in both halves; ours differentiates in each half
what that half changes. All three see the same batches, NNI's laid out as its own loop does, and take turns, step by step, so that
whatever else the machine does hits all alike. The first step of each is reported apart and not counted. The loss difference is relative,
fused against unfused, before the first step, with the same weights and architecture parameters.
"""

# ruff: noqa: E402 (a script of the checkout, which need not be installed: the imports follow the path)
from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
warnings.filterwarnings("ignore", message=".*is found to be not a nn.Module")

import nni.nas.hub.pytorch as nni_hub
import nni.nas.strategy
import torch
from nni.nas.nn.pytorch import ModelSpace
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.arguments import count
from benchmarks.machine import machine
from benchmarks.process_memory import mebibytes
from spaces.adapter import find_space
from spaces.darts.space import DartsSpace
from strategies import OneShotFacts
from strategies.one_shot.darts import DartsStrategy

PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}
CONTENDERS = ("nni", "ours", "unfused")
QUICK = {"width": 8, "cells": 3, "batch": 32}
QUICK_SECONDS = 30.0  # of steps; the imports and the building of supernets come on top
SIDE, CLASSES, CLIP = 32, 10, 5.0


class Search:
    """A supernet with its two optimizers, at the paper's settings."""

    def __init__(self, name: str, width: int, cells: int, precision: torch.dtype, device: torch.device) -> None:
        self.precision, self.device, self.apart = precision, device, name != "nni"
        self.layout = torch.channels_last if self.apart else torch.contiguous_format  # NNI's own loop knows no other
        with torch.random.fork_rng():
            torch.manual_seed(0)
            space: ModelSpace
            if name == "nni":
                space, strategy = nni_hub.DARTS(width=width, num_cells=cells, dataset="cifar"), nni.nas.strategy.DARTS()
            else:
                space = DartsSpace(num_classes=CLASSES, width=width, num_cells=cells)
                told = find_space("darts").one_shot(space)
                facts = OneShotFacts(**vars(told))
                strategy = DartsStrategy(supernet="fused" if name == "ours" else "stock", facts=facts)
            self.weights = list(space.parameters())
            torch.manual_seed(1)
            self.supernet: nn.Module = strategy.mutate_model(space).to(device)
        self.supernet.to(memory_format=self.layout)
        known = {id(weight) for weight in self.weights}
        self.alphas = [parameter for parameter in self.supernet.parameters() if id(parameter) not in known]
        self.weight_optimizer = torch.optim.SGD(self.weights, lr=0.025, momentum=0.9, weight_decay=3e-4)
        self.alpha_optimizer = torch.optim.Adam(self.alphas, lr=3e-4, betas=(0.5, 0.999), weight_decay=1e-3)

    def loss(self, images: Tensor, labels: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
        """The cross-entropy, computed in ``dtype`` from the logits."""
        with torch.autocast(self.device.type, self.precision, enabled=self.precision != torch.float32):
            logits = self.supernet(images)
        return functional.cross_entropy(logits.to(dtype), labels)

    def step(self, train: tuple[Tensor, Tensor], validation: tuple[Tensor, Tensor]) -> float:
        """One step; seconds."""
        start = time.perf_counter()
        self._want(self.alphas, self.weights)
        self.alpha_optimizer.zero_grad()
        self.loss(*validation).backward()
        self.alpha_optimizer.step()
        self._want(self.weights, self.alphas)
        self.weight_optimizer.zero_grad()
        self.loss(*train).backward()
        nn.utils.clip_grad_norm_(self.weights, CLIP)
        self.weight_optimizer.step()
        if self.device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - start

    def _want(self, these: Sequence[nn.Parameter], not_those: Sequence[nn.Parameter]) -> None:
        if self.apart:
            for parameters, wanted in ((these, True), (not_those, False)):
                for parameter in parameters:
                    parameter.requires_grad_(wanted)


def make_batches(batch: int, device: torch.device, layout: torch.memory_format) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Two batches of noise: the arithmetic does not depend on what is in the images."""
    generator = torch.Generator().manual_seed(0)
    pairs = []
    for _ in range(2):
        images = torch.randn(batch, 3, SIDE, SIDE, generator=generator).to(device, memory_format=layout)
        pairs.append((images, torch.randint(CLASSES, (batch,), generator=generator).to(device)))
    return pairs[0], pairs[1]


def race(
    names: Sequence[str], width: int, cells: int, batch: int, precision: torch.dtype, device: torch.device, rounds: int, seconds: float
) -> dict[str, list[float]]:
    """Seconds of each step of each contender, the first step first; at least two rounds, and as many as asked for fit into ``seconds``."""
    start = time.monotonic()
    searches = {name: Search(name, width, cells, precision, device) for name in names}
    batches = {name: make_batches(batch, device, search.layout) for name, search in searches.items()}
    times: dict[str, list[float]] = {name: [] for name in names}
    longest = 0.0
    for number in range(rounds + 1):
        begun = time.monotonic()
        if number >= 2 and begun - start + longest > seconds:
            break
        for name, search in searches.items():
            times[name].append(search.step(*batches[name]))
        longest = time.monotonic() - begun
    return times


def loss_difference(width: int, cells: int, batch: int, precision: torch.dtype, device: torch.device) -> float:
    """|fused - unfused| / unfused at the same weights and architecture parameters, of losses computed in float64 from the logits."""
    train, _ = make_batches(batch, device, torch.channels_last)
    with torch.no_grad():
        searches = (Search(name, width, cells, precision, device) for name in ("ours", "unfused"))
        fused, unfused = (search.loss(*train, torch.float64).item() for search in searches)
    return abs(fused - unfused) / unfused


def peak_memory(name: str, arguments: argparse.Namespace, width: int, precision: str) -> float:
    """MiB of a process that does two steps of one contender, on a GPU those of the GPU."""
    command = [sys.executable, __file__, "--memory-of", name, "--width", str(width), "--precision", precision]
    command += ["--cells", str(arguments.cells), "--batch", str(arguments.batch), "--device", arguments.device]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1])


def report_memory(name: str, arguments: argparse.Namespace) -> None:
    """What ``peak_memory`` runs: the last word of the output is the number."""
    device = torch.device(arguments.device)
    search = Search(name, arguments.width, arguments.cells, PRECISIONS[arguments.precision], device)
    batches = make_batches(arguments.batch, device, search.layout)
    before = mebibytes("VmRSS")
    for _ in range(2):
        search.step(*batches)
    if device.type == "cuda":
        print(torch.cuda.max_memory_allocated() / 2**20)
    else:
        print(mebibytes("VmHWM") - before)


def show(title: str, times: dict[str, list[float]], memory: dict[str, float]) -> None:
    print(title)
    print(f"  {'':8} {'s a step':>9} {'spread':>17} {'first':>7} {'NNI / it':>9} {'steps':>6} {'MiB':>7}")
    reference = statistics.median(times["nni"][1:])
    for name, (first, *steps) in times.items():
        middle = statistics.median(steps)
        used = f"{memory[name]:7.0f}" if name in memory else ""
        spread = f"{min(steps):.3f} ... {max(steps):.3f}"
        print(f"  {name:8} {middle:9.3f} {spread:>17} {first:7.3f} {reference / middle:9.2f} {len(steps):6} {used}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one small size, less than 50 s")
    parser.add_argument("--width", type=count, help="channels (default: 8 and 16)")
    parser.add_argument("--cells", type=count, default=8)
    parser.add_argument("--batch", type=count, default=64)
    parser.add_argument("--rounds", type=count, default=5, help="counted steps of each")
    parser.add_argument("--device", help="default: the CPU, and a GPU too where there is one")
    parser.add_argument("--precision", choices=PRECISIONS, help="default: both")
    parser.add_argument("--memory-of", choices=CONTENDERS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.memory_of:
        report_memory(arguments.memory_of, arguments)
        return
    if arguments.quick:
        arguments.width, arguments.cells, arguments.batch = QUICK["width"], QUICK["cells"], QUICK["batch"]
    devices = [arguments.device] if arguments.device else ["cpu", *(["cuda"] if torch.cuda.is_available() and not arguments.quick else [])]
    summary: dict[str, Any] = {}
    for name in devices:
        arguments.device = name
        summary = {**measure(arguments), **summary}  # of the CPU, where there are two
    print(json.dumps(summary))


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Race on one device, at every width and in every precision that is asked for; by precision the figures of the smaller width."""
    device = torch.device(arguments.device)
    precisions = [arguments.precision] if arguments.precision else list(PRECISIONS)
    print(f"{device.type}, {machine(arguments.device)}, {torch.get_num_threads()} threads, torch {torch.__version__}")
    summary: dict[str, Any] = {}
    for width in [arguments.width] if arguments.width else [8, 16]:
        for name in precisions:
            size = (width, arguments.cells, arguments.batch, PRECISIONS[name], device)
            difference = loss_difference(*size)
            if arguments.quick:
                times, memory = race(("nni", "ours"), *size, arguments.rounds, QUICK_SECONDS / len(precisions)), {}
            else:
                times = race(CONTENDERS, *size, arguments.rounds, float("inf"))
                memory = {contender: peak_memory(contender, arguments, width, name) for contender in CONTENDERS}
            show(f"{name}, {width} channels, {arguments.cells} cells, batches of {arguments.batch}", times, memory)
            print(f"  loss, fused against unfused: {difference:.1e} apart", flush=True)
            ours, theirs = (statistics.median(times[contender][1:]) for contender in ("ours", "nni"))
            result: dict[str, Any] = {"ours_s": round(ours, 4), "nni_s": round(theirs, 4), "ratio": round(theirs / ours, 2)}
            result |= {f"{contender}_steps_s": [round(seconds, 4) for seconds in times[contender][1:]] for contender in ("ours", "nni")}
            result["loss_difference"] = difference
            if memory:
                result |= {f"{contender}_mib": round(memory[contender]) for contender in ("ours", "nni")}
            summary.setdefault(name, result)
    return summary


if __name__ == "__main__":
    main()
