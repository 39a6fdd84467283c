"""Images per second of our training loop and of the lab's, on the same networks, in one run; and the time to an accuracy.

    python benchmarks/training_speed.py           # more rounds, and the time to 76.9% and to 87% test accuracy (CIFAR-10)
    python benchmarks/training_speed.py --quick   # less than 50 s; the last line is one JSON object

The lab's loop is a DataLoader with two workers and PIL transforms (crop, flip), float32 in torch's own memory layout; ours is
``evaluators.training.loop.train``. Both take the same images in batches of the same size and do the same SGD steps, on the same network
(for the lab without our kernels, and DARTS_V2 in the form of the DARTS authors' code). They take turns, round by round, each in a process
of its own, so that whatever else the machine does hits both alike; the first round is not counted. Ratios are of medians. Memory is the
peak of the training process beyond where it started, the lab's two workers left out; on a GPU that of the GPU.
"""

# ruff: noqa: E402 (a script of the checkout, which need not be installed: the imports follow the path)
from __future__ import annotations

import argparse
import contextlib
import json
import multiprocessing
import os
import statistics
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

sys.path.insert(0, str(Path(__file__).parents[1]))
warnings.filterwarnings("ignore", message=".*is found to be not a nn.Module")

import torch
from nni.nas.space import model_context
from PIL import Image
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset
from torchvision import transforms

from benchmarks.arguments import count, refuse
from benchmarks.authors_network import AuthorsNetwork
from benchmarks.machine import machine
from benchmarks.process_memory import mebibytes
from common.errors import EvaluatorError
from evaluators.data.dataset import Dataset, Split, load_dataset
from evaluators.devices import choose_device, choose_precision
from evaluators.training.loop import retrain, train
from evaluators.training.recipes import RECIPES, Recipe
from kernels.build import VARIABLE
from kernels.winograd import use_winograd
from spaces.darts.genotypes import GENOTYPES, architecture_from_genotype
from spaces.darts.space import DartsSpace
from spaces.zoo.backbones import build_backbone

SGD = Recipe(initial_lr=0.01, weight_decay=5e-4)
GOALS = {0.769: 2, 0.87: 4}  # test accuracy of the lab's table -> epochs of convnet32, width 32, by its curves on the validation split
THREADS = torch.get_num_threads()
SECONDS_TO_END = 10.0
LAB_EPOCHS, TRAINING_IMAGES = 30, 50_000
DARTS_V2, WIDTH, CELLS = architecture_from_genotype(GENOTYPES["DARTS_V2"]), 8, 20  # the cell, and the size of the network of it


def darts_v2() -> nn.Module:
    with model_context(DARTS_V2):
        return DartsSpace(width=WIDTH, num_cells=CELLS, auxiliary=True)


# name -> (how to build it, images a batch)
NETWORKS: dict[str, tuple[Callable[[], nn.Module], int]] = {
    "resnet18_own_stem": (lambda: build_backbone("resnet18"), 128),
    "resnet18_cifar_stem": (lambda: build_backbone("resnet18", stem="small"), 64),
    "convnet32": (lambda: build_backbone("convnet32"), 128),
    "darts_v2": (darts_v2, 64),
}
# name -> the same network as the lab has it, where that is another module
LABS_NETWORKS: dict[str, Callable[[], nn.Module]] = {"darts_v2": lambda: AuthorsNetwork(DARTS_V2, WIDTH, CELLS)}


class PilImages(TorchDataset[Any]):
    """The images as torchvision's CIFAR10 gives them: through PIL, one by one."""

    def __init__(self, split: Split, data: Dataset) -> None:
        self.images = split.images.permute(0, 2, 3, 1).contiguous().numpy()
        self.labels = split.labels.tolist()
        side = self.images.shape[1]
        steps = [transforms.RandomCrop(side, padding=4), transforms.RandomHorizontalFlip(), transforms.ToTensor()]
        self.transform = transforms.Compose([*steps, transforms.Normalize(data.mean, data.std)])

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> Any:
        return self.transform(Image.fromarray(self.images[index])), self.labels[index]


def ours(network: nn.Module, split: Split, data: Dataset, batch: int, where: dict[str, Any]) -> Iterator[float]:
    """Seconds of each pass over ``split``."""
    recipe = replace(SGD, batch_size=batch)
    for epoch in train(network, split, data, epochs=10**6, recipe=recipe, **where):
        yield epoch.seconds


def labs(network: nn.Module, split: Split, data: Dataset, batch: int, where: dict[str, Any]) -> Iterator[float]:
    """Seconds of each pass over ``split``, the starting of the workers left out."""
    network.to(where["device"])
    warnings.filterwarnings("ignore", message="This DataLoader will create", category=UserWarning)  # two, as the lab has it
    loader = DataLoader(PilImages(split, data), batch, shuffle=True, num_workers=2, drop_last=True, persistent_workers=True)
    optimizer = torch.optim.SGD(network.parameters(), SGD.initial_lr, momentum=SGD.momentum, weight_decay=SGD.weight_decay)
    network.train()
    while True:
        start = None
        for images, labels in loader:
            start = start or time.perf_counter()  # the lab's loop loads ahead: its loading is hidden, as long as it is the faster one
            output = network(images.to(where["device"]))
            logits, auxiliary = output if isinstance(output, tuple) else (output, None)
            loss = functional.cross_entropy(logits, labels.to(where["device"]))
            if auxiliary is not None:
                loss = loss + 0.4 * functional.cross_entropy(auxiliary, labels.to(where["device"]))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            loss.item()
        yield time.perf_counter() - (start or 0.0)


CONTENDERS = {"ours": ours, "lab": labs}


class Contender:
    """A training loop in a process of its own, which goes a round when it is told to: none changes the other's allocator or threads."""

    def __init__(self, contender: str, name: str, data: Dataset, where: dict[str, Any], steps: int) -> None:
        # Forked, it has the images already; one that has asked for a GPU cannot be forked.
        context: Any = multiprocessing.get_context("fork" if where["device"].type == "cpu" else "spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=self._run, args=(theirs, contender, name, data, where, steps))
        self.process.start()

    @staticmethod
    def _run(pipe: Any, contender: str, name: str, data: Dataset, where: dict[str, Any], steps: int) -> None:
        torch.set_num_threads(THREADS)
        build, batch = NETWORKS[name]
        split = Split(data.train.images[: steps * batch], data.train.labels[: steps * batch])
        torch.manual_seed(0)
        if contender == "lab":
            os.environ[VARIABLE] = "torch"  # no kernels of ours in its network
        network = LABS_NETWORKS.get(name, build)() if contender == "lab" else build()
        rounds = CONTENDERS[contender](network, split, data, batch, where)
        before = mebibytes("VmRSS")
        while pipe.recv():
            speed = steps * batch / next(rounds)
            is_on_gpu = where["device"].type == "cuda"
            pipe.send((speed, torch.cuda.max_memory_allocated() / 2**20 if is_on_gpu else mebibytes("VmHWM") - before))
        os._exit(0)  # the lab's workers and our generator need no farewell

    def round(self) -> tuple[float, float]:
        """Images a second of one round, and the MiB that the training has taken at its peak so far."""
        self.pipe.send(True)
        return cast(tuple[float, float], self.pipe.recv())

    def close(self) -> None:
        """End the process, whatever it does: it is not a daemon, as those may not have workers."""
        with contextlib.suppress(OSError):
            self.pipe.send(False)
        self.process.join(SECONDS_TO_END)
        self.process.kill()
        self.process.join()


def race(name: str, data: Dataset, where: dict[str, Any], steps: int, rounds: int) -> tuple[dict[str, list[float]], dict[str, float]]:
    """Images a second of each contender in each counted round, and each one's peak memory."""
    runs: dict[str, Contender] = {}
    speeds: dict[str, list[float]] = {contender: [] for contender in CONTENDERS}
    memory: dict[str, float] = {}
    try:
        runs |= {contender: Contender(contender, name, data, where, steps) for contender in CONTENDERS}
        for number in range(rounds + 1):
            for contender, run in runs.items():
                speed, memory[contender] = run.round()
                if number > 0:
                    speeds[contender].append(speed)
    finally:
        for run in runs.values():
            run.close()
    return speeds, memory


def time_to(goal: float, epochs: int, data: Dataset, where: dict[str, Any], seeds: int) -> dict[str, Any]:
    """Seconds and test accuracy of ``epochs`` of convnet32, width 32, by the recipe ``fast``; whether every seed reached ``goal``.

    One training a seed, scored once, at its end: a schedule of learning rates cannot be stopped where the goal is reached.
    """
    recipe = RECIPES["fast"]
    results = []
    for seed in range(seeds):
        torch.manual_seed(seed)
        network = build_backbone("convnet32", width=32, num_classes=data.num_classes)
        results.append(retrain(network, data=data, epochs=epochs, recipe=recipe, **{**where, "seed": seed}))
        accuracy = f"{results[-1]['test_accuracy']:.2%} (image and mirror image averaged)"
        print(f"  {goal:.1%}: seed {seed}, {accuracy} after {results[-1]['seconds']:.0f} s", flush=True)
    seconds, accuracies = [r["seconds"] for r in results], [r["test_accuracy"] for r in results]
    told = {"epochs": epochs, "seconds": round(statistics.mean(seconds), 1), "test_accuracies": accuracies}
    return {**told, "reached": min(accuracies) >= goal, "flip_averaging": recipe.flip_averaging}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="speeds alone, few rounds, less than 50 s")
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    parser.add_argument("--rounds", type=count, default=5, help="counted rounds of each (default: 5)")
    parser.add_argument("--seeds", type=count, default=3, help="trainings to each accuracy (default: 3)")
    parser.add_argument("--dataset", default="auto")
    parser.add_argument("--data-dir", default="data")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precision", default="auto")
    arguments = parser.parse_args()
    torch.set_num_threads(1)  # a process that has computed with several threads cannot be forked: its children would wait for ever
    with refuse(EvaluatorError):
        device = choose_device(arguments.device)
        where = {"device": device, "precision": choose_precision_apart(arguments.precision, device)}
        data = load_dataset(arguments.dataset, data_dir=Path(arguments.data_dir), warn=lambda line: print(line, file=sys.stderr))
    summary: dict[str, Any] = {"images_per_second": {}, "memory_mib": {}, "processor": machine(device.type), "threads": THREADS}
    summary |= {"device": device.type, "precision": str(where["precision"]).removeprefix("torch."), "dataset": data.name}
    where_and_how = f"{summary['processor']}, {summary['threads']} threads, {summary['precision']}"
    print(f"{where_and_how}, torch {torch.__version__}, {data.name}")
    print(f"  {'images a second':20} {'ours':>24} {'lab':>24} {'ratio':>6}   MiB beyond the start")
    steps, rounds = (2, 1) if arguments.quick else (4, arguments.rounds)  # the memory of a training has grown to its size after two
    for name in arguments.networks:
        speeds, memory = race(name, data, where, steps, rounds)
        middle = {contender: statistics.median(values) for contender, values in speeds.items()}
        ratio = middle["ours"] / middle["lab"]
        columns = [f"{middle[c]:8.1f} ({min(v):.1f}...{max(v):.1f})" for c, v in speeds.items()]
        megabytes = "  ".join(f"{memory[contender]:5.0f}" for contender in CONTENDERS)
        print(f"  {name:20} {columns[0]:>24} {columns[1]:>24} {ratio:6.2f}   {megabytes}", flush=True)
        each = {f"{contender}_rounds": [round(value, 1) for value in values] for contender, values in speeds.items()}
        summary["images_per_second"][name] = {**{c: round(v, 1) for c, v in middle.items()}, "ratio": round(ratio, 2), **each}
        summary["memory_mib"][name] = {contender: round(value) for contender, value in memory.items()}
    if not arguments.quick:
        add_times(summary, arguments, data, where)
    print(json.dumps(summary))


def choose_precision_apart(name: str, device: torch.device) -> torch.dtype:
    """In a process of its own: one that has computed with threads cannot be forked."""
    if name != "auto" or device.type != "cpu":
        return choose_precision(name, device, use_winograd)
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("fork")) as pool:
        return pool.submit(choose_precision, name, device, use_winograd).result()


def add_times(summary: dict[str, Any], arguments: argparse.Namespace, data: Dataset, where: dict[str, Any]) -> None:
    if data.name != "cifar10":
        print("  no time to an accuracy: those of the lab's table are of CIFAR-10")
        return
    torch.set_num_threads(THREADS)
    summary["time_to"] = {str(goal): time_to(goal, epochs, data, where, arguments.seeds) for goal, epochs in GOALS.items()}
    lab = summary["images_per_second"].get("resnet18_own_stem")
    if lab:
        seconds = LAB_EPOCHS * TRAINING_IMAGES / lab["lab"]
        summary["lab_30_epochs_s"] = round(seconds)
        print(f"  the lab's 30 epochs of resnet18, at its speed above: {seconds:.0f} s")


if __name__ == "__main__":
    main()
