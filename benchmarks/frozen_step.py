"""Images per second of training a found DARTS network: the authors' form of it, our plain modules in channels_last, and our fast pass.

    python benchmarks/frozen_step.py            # DARTS_V2, 8 channels, 20 cells, batches of 64, auxiliary head and drop-path, float32
    python benchmarks/frozen_step.py --quick    # 8 cells, less than 50 s; the last line is one JSON object

A step is forward, loss with the auxiliary head's, backward, clipping, and SGD with momentum. All start from the same weights, see the
same batch and take turns, step by step, so that whatever else the machine does hits all alike. The first step of each is not counted.
"""

# ruff: noqa: E402 (a script of the checkout, which need not be installed: the imports follow the path)
from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
import warnings
from pathlib import Path
from typing import Any
from unittest import mock

sys.path.insert(0, str(Path(__file__).parents[1]))
warnings.filterwarnings("ignore", message=".*is found to be not a nn.Module")

import torch
from nni.nas.space import model_context
from torch import Tensor, nn
from torch.nn import functional
from torchvision.ops import StochasticDepth

from benchmarks.arguments import count
from benchmarks.authors_network import AuthorsNetwork
from evaluators.memory import keep_freed_memory
from spaces.darts import space as darts
from spaces.darts.genotypes import GENOTYPES, architecture_from_genotype

GENOTYPE, DROP_PATH, QUICK_CELLS, QUICK_SECONDS = "DARTS_V2", 0.1, 8, 12.0


class Contender:
    """A network with its optimizer. ``fast`` is None for the authors' network, else whether ours may take its fast pass."""

    def __init__(self, network: nn.Module, fast: bool | None) -> None:
        self.network, self.fast = network.train(), fast
        self.format = torch.contiguous_format if fast is None else torch.channels_last
        self.network.to(memory_format=self.format)  # type: ignore[call-overload]
        self.optimizer = torch.optim.SGD(network.parameters(), lr=0.025, momentum=0.9, weight_decay=3e-4)
        self.seconds: list[float] = []

    def step(self, images: Tensor, labels: Tensor) -> float:
        """One step; the loss before it."""
        images = images.contiguous(memory_format=self.format)
        start = time.perf_counter()
        self.optimizer.zero_grad()
        torch.manual_seed(0)
        with mock.patch.object(darts, "runs_fast", darts.runs_fast if self.fast else lambda *_: False):
            logits, auxiliary = self.network(images)
        loss = functional.cross_entropy(logits, labels) + 0.4 * functional.cross_entropy(auxiliary, labels)
        loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), 5.0)
        self.optimizer.step()
        self.seconds.append(time.perf_counter() - start)
        return loss.item()


def make_contenders(width: int, cells: int) -> dict[str, Contender]:
    architecture = architecture_from_genotype(GENOTYPES[GENOTYPE])
    torch.manual_seed(0)
    authors = AuthorsNetwork(architecture, width, cells)
    authors.drop_path = DROP_PATH
    contenders = {"authors": Contender(authors, None)}
    for name, fast in (("plain", False), ("ours", True)):
        with model_context(architecture):
            network = darts.DartsSpace(width=width, num_cells=cells, auxiliary=True)
        network.load_state_dict(dict(zip(network.state_dict(), authors.state_dict().values(), strict=True)))
        for module in network.modules():
            if isinstance(module, StochasticDepth):
                module.p = DROP_PATH
        contenders[name] = Contender(network, fast)
    return contenders


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_CELLS} cells, less than 50 s")
    parser.add_argument("--width", type=count, default=8)
    parser.add_argument("--cells", type=count, default=20)
    parser.add_argument("--batch", type=count, default=64)
    parser.add_argument("--rounds", type=count, default=8, help="counted steps of each")
    parser.add_argument("--stock-allocator", action="store_true", help="leave the C library's allocator as it is")
    arguments = parser.parse_args()
    cells, limit = (QUICK_CELLS, QUICK_SECONDS) if arguments.quick else (arguments.cells, float("inf"))
    if not arguments.stock_allocator:
        keep_freed_memory()
    print(f"cpu, {torch.get_num_threads()} threads, {os.cpu_count()} cores, torch {torch.__version__}")
    contenders = make_contenders(arguments.width, cells)
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(arguments.batch, 3, 32, 32, generator=generator)
    labels = torch.randint(10, (arguments.batch,), generator=generator)
    first = {name: contender.step(images, labels) for name, contender in contenders.items()}
    difference = abs(first["ours"] - first["authors"]) / first["authors"]
    begun = time.monotonic()
    for number in range(arguments.rounds):
        if number >= 2 and time.monotonic() - begun > limit:
            break
        for contender in contenders.values():
            contender.step(images, labels)
    print(f"{GENOTYPE}, {arguments.width} channels, {cells} cells, batches of {arguments.batch}, float32")
    result: dict[str, Any] = {"cells": cells}
    for name, contender in contenders.items():
        steps = contender.seconds[1:]
        result[name] = round(arguments.batch / statistics.median(steps), 2)
        spread = f"{min(steps):.3f} ... {max(steps):.3f}"
        print(f"  {name:8} {result[name]:8.2f} images/s, {statistics.median(steps):.3f} s a step ({spread}, n = {len(steps)})")
    result |= {"ratio": round(result["ours"] / result["authors"], 2), "loss_difference": difference}
    result |= {f"{name}_steps_s": [round(seconds, 4) for seconds in contender.seconds[1:]] for name, contender in contenders.items()}
    print(json.dumps(result))


if __name__ == "__main__":
    main()
