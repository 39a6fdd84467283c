"""Small supernets, and searches of them."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import torch
from bright_bars import make_data
from nni.nas.execution import SequentialExecutionEngine
from nni.nas.nn.pytorch import InputChoice, LayerChoice, ModelSpace
from nni.nas.space import RawFormatModelSpace
from torch import Tensor, nn

from evaluators.data.dataset import Dataset
from evaluators.training.inherited import inherited_accuracy, supernet_halves
from evaluators.training.recipes import make_recipe
from evaluators.training.supernet import make_supernet_evaluator
from spaces import make_space
from spaces.adapter import find_space
from strategies import OneShotFacts, SearchContext, make_strategy
from strategies.one_shot.search_epoch import SearchEpoch

SMALL = {"width": 2, "num_cells": 3, "num_nodes": 2, "num_classes": 3}


class Counted(nn.Module):
    """Multiplies by a number of its own, and counts its passes."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor, self.passes = nn.Parameter(torch.tensor(factor)), 0

    def forward(self, x: Tensor) -> Tensor:
        self.passes += 1
        return self.factor * x


class CountedSpace(ModelSpace):
    """One layer choice, and a choice of two of four inputs."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = LayerChoice([Counted(1.0), Counted(2.0), Counted(3.0)], label="layer")
        self.inputs = InputChoice(4, n_chosen=2, reduction="mean", label="inputs")

    def forward(self, x: Tensor) -> Tensor:
        x = self.layer(x)
        return self.inputs([x, 10 * x, 100 * x, 1000 * x])


class PlainSpace(ModelSpace):
    """A space that knows nothing of cells: one layer choice, and two of three inputs."""

    def __init__(self, reduction: str = "sum") -> None:
        super().__init__()
        self.layer = LayerChoice({"wide": nn.Conv2d(3, 4, 3, padding=1), "narrow": nn.Conv2d(3, 4, 1)}, label="layer")
        self.inputs = InputChoice(3, n_chosen=2, reduction=reduction, label="inputs")
        self.classifier = nn.Linear(4, 3)

    def forward(self, images: Tensor) -> Tensor:
        x = self.layer(images)
        return self.classifier(self.inputs([x, 2 * x, 3 * x]).mean(dim=(2, 3)))


def seeded(space: type[ModelSpace], arguments: dict[str, Any]) -> ModelSpace:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return make_space(space, arguments)


def facts_of(space: ModelSpace) -> OneShotFacts:
    """What a space tells a one-shot strategy."""
    return OneShotFacts(**vars(find_space(type(space)).one_shot(space)))


def evaluator(
    folder: Path, epochs: int, seed: int = 0, precision: torch.dtype = torch.float32, data: Dataset | None = None, batch_size: int = 20
) -> Any:
    recipe, device = make_recipe({"initial_lr": 0.05, "batch_size": batch_size, "grad_clip": 5.0}), torch.device("cpu")
    settings = {"data": data or make_data(), "epochs": epochs, "recipe": recipe, "seed": seed, "device": device, "precision": precision}
    return make_supernet_evaluator(**settings, checkpoints=folder, uses_all=False)


def search(
    space: ModelSpace, folder: Path, *, epochs: int = 1, seed: int = 0, name: str = "darts", on_step: Any = None, **settings: Any
) -> tuple[Any, list[SearchEpoch]]:
    seen: list[SearchEpoch] = []
    told: dict[str, Any] = {"gradient_clip": 5.0, "one_shot": facts_of(space), "on_step": on_step, "on_epoch": seen.append}
    told |= {"score": partial(inherited_accuracy, data=supernet_halves(make_data(), seed))}
    strategy = make_strategy(name, **settings).build(SearchContext(seed=seed, **told))
    strategy(RawFormatModelSpace(space, evaluator(folder, epochs, seed)), SequentialExecutionEngine())
    return strategy, seen


class Enough(Exception):
    """Ends a search in its middle."""


def resumed_and_whole(make: Any, space: Any, arguments: dict[str, Any], folder: Path, epochs: int) -> list[list[SearchEpoch]]:
    """The epochs of a search that was cut off before the checkpoint of its second, and of one that was not; ``make`` takes ``on_epoch``."""

    def run(name: str, stop: int | None) -> list[SearchEpoch]:
        (folder / name).mkdir(exist_ok=True)
        seen: list[SearchEpoch] = []

        def note(epoch: SearchEpoch) -> None:
            if epoch.number == stop:
                raise Enough
            seen.append(epoch)

        supernet = seeded(space, arguments)
        with suppress(Enough):
            make(supernet, note)(RawFormatModelSpace(supernet, evaluator(folder / name, epochs)), SequentialExecutionEngine())
        return seen

    return [run("parted", 2) + run("parted", None), run("whole", None)]
