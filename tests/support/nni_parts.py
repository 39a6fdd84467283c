"""A space and evaluators as NNI's tutorials have them, small: what nobody who wrote them knew of this project."""

from __future__ import annotations

from typing import Any

import nni
import torch
from nni.nas.evaluator.pytorch import Classification, DataLoader
from nni.nas.nn.pytorch import LayerChoice, ModelSpace, MutableDropout, MutableLinear
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from common.libraries import quiet_libraries

quiet_libraries()


class Widths(ModelSpace):
    """A layer of two kinds, and a width of two."""

    def __init__(self, side: int = 8) -> None:
        super().__init__()
        self.conv = LayerChoice([nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(3, 4, 1)], label="conv")
        width = nni.choice("width", [4, 8])
        self.first, self.last = MutableLinear(4 * side * side, width), MutableLinear(width, 10)

    def forward(self, images: Tensor) -> Tensor:
        return self.last(torch.relu(self.first(torch.flatten(self.conv(images), 1))))


class Dropping(Widths):
    """With a dropout from a range, which no supernet can mix."""

    def __init__(self, side: int = 8) -> None:
        super().__init__(side)
        self.drop = MutableDropout(nni.uniform("dropout", 0.1, 0.9))

    def forward(self, images: Tensor) -> Tensor:
        return super().forward(self.drop(images))


def loader(count: int = 32) -> Any:
    """Return random images of 8x8 pixels and labels, in batches of 16."""
    generator = torch.Generator().manual_seed(0)
    images, labels = torch.rand(count, 3, 8, 8, generator=generator), torch.randint(10, (count,), generator=generator)
    return DataLoader(TensorDataset(images, labels), 16)


def classification(**options: Any) -> Any:
    """Return NNI's evaluator by Lightning, for two epochs."""
    told = {"num_classes": 10, "max_epochs": 2, "accelerator": "cpu", **options}
    return Classification(train_dataloaders=loader(), val_dataloaders=loader(), **told)


def reports(model: Any, rate: float = 0.5) -> None:
    """Tell NNI a score that the rate alone decides, and return nothing."""
    nni.report_intermediate_result(rate / 2)
    nni.report_final_result(rate)
