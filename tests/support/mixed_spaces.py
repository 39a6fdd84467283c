"""Spaces with each of NNI's kinds of choices, and small ones of its hub."""

from __future__ import annotations

import itertools
from collections import OrderedDict
from typing import Any

import nni
from nni.nas.nn.pytorch import Cell, LayerChoice, ModelSpace, MutableBatchNorm2d, MutableConv2d, MutableLayerNorm, MutableLinear, Repeat
from torch import Tensor, nn


class ValuesAndDepths(ModelSpace):
    """Values of channels (of a depthwise convolution, too), kernels and features, a layer choice, and a depth that may be 0."""

    def __init__(self, depths: tuple[int, ...] = (0, 1, 3)) -> None:
        super().__init__()
        width, kernel, hidden = nni.choice("width", [4, 8]), nni.choice("kernel", [1, 3, 5]), nni.choice("hidden", [6, 12])
        self.stem = nn.Sequential(MutableConv2d(3, width, 3, padding=1), MutableBatchNorm2d(width), nn.ReLU())
        self.depthwise = MutableConv2d(width, width, kernel, padding=kernel // 2, groups=width)
        self.mix = MutableConv2d(width, 8, 1)
        self.layer = LayerChoice({"wide": nn.Conv2d(8, 8, 3, padding=1), "none": nn.Identity()}, label="layer")
        self.body = Repeat(lambda index: nn.Sequential(nn.Conv2d(8, 8, 3, padding=1), nn.ReLU()), nni.choice("depth", list(depths)))
        self.head = nn.Sequential(MutableLinear(8, hidden), nn.ReLU(), MutableLayerNorm(hidden), MutableLinear(hidden, 3))

    def forward(self, images: Tensor) -> Tensor:
        x = self.body(self.layer(self.mix(self.depthwise(self.stem(images)))))
        return self.head(x.mean(dim=(2, 3)))


class Cells(ModelSpace):
    """Two cells of NNI's of one label, which share their architecture parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, padding=1)
        kinds = OrderedDict(wide=lambda *told: nn.Conv2d(4, 4, 3, padding=1), narrow=lambda *told: nn.Conv2d(4, 4, 1))
        self.cells = nn.ModuleList(Cell(kinds, num_nodes=2, num_ops_per_node=1, num_predecessors=1, label="cell") for _ in range(2))
        self.between = nn.Conv2d(8, 4, 1)
        self.classifier = nn.Linear(8, 3)

    def forward(self, images: Tensor) -> Tensor:
        first, second = self.cells
        return self.classifier(second([self.between(first([self.stem(images)]))]).mean(dim=(2, 3)))


def all_samples(space: ModelSpace) -> list[dict[str, Any]]:
    choices: dict[str, list[Any]] = {label: list(mutable.values) for label, mutable in space.simplify().items()}  # type: ignore[attr-defined]
    return [dict(zip(choices, values, strict=True)) for values in itertools.product(*choices.values())]


SMALL_CELLS = {"width": 4, "num_cells": 3}  # their number of classes follows from the data set that they are for
HUB: dict[str, dict[str, Any]] = {
    "NasBench101": {"stem_out_channels": 4, "num_stacks": 1, "num_modules_per_stack": 1, "num_labels": 3},
    "NasBench201": {"stem_out_channels": 4, "num_modules_per_stack": 1, "num_labels": 3},
    **dict.fromkeys(("NASNet", "ENAS", "AmoebaNet", "PNAS", "DARTS"), SMALL_CELLS),
    "ProxylessNAS": {"width_mult": 0.25, "num_labels": 3},
    "MobileNetV3Space": {"base_widths": (8,) * 9, "num_labels": 3},
    "ShuffleNetSpace": {"num_labels": 3},
    "AutoFormer": {
        **{"search_embed_dim": (8, 16), "search_mlp_ratio": (1.0, 2.0), "search_num_heads": (1, 2), "search_depth": (1, 2)},
        **{"img_size": 16, "patch_size": 8, "num_labels": 3},
    },
}
