"""Two model spaces as a person writes them, with nothing of this project in them: ``any_space.py`` searches them by their names."""

from __future__ import annotations

from collections import OrderedDict

import nni
from nni.nas.nn.pytorch import Cell, LayerChoice, ModelSpace, MutableDropout, MutableLinear, Repeat
from torch import Tensor, nn


class DepthwiseSeparable(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(inputs, inputs, 3, padding=1, groups=inputs)
        self.pointwise = nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.pointwise(self.depthwise(x))


class ValuesOfLayers(ModelSpace):
    """A choice of layers, and values of a linear layer and of dropout, one of them from a range."""

    def __init__(self, num_classes: int = 10) -> None:
        super().__init__()
        features = nni.choice("features", [32, 64, 128])
        self.stem = nn.Conv2d(3, 16, 3, padding=1)
        self.body = LayerChoice([nn.Conv2d(16, 32, 3, padding=1), DepthwiseSeparable(16, 32)], label="body")
        self.pool = nn.AdaptiveAvgPool2d(2)
        self.early_dropout = MutableDropout(nni.choice("early_dropout", [0.25, 0.5, 0.75]))
        self.hidden = MutableLinear(128, features)
        self.late_dropout = MutableDropout(nni.uniform("late_dropout", 0.0, 0.5))
        self.classifier = MutableLinear(features, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        x = self.pool(self.body(self.stem(images).relu()).relu()).flatten(1)
        return self.classifier(self.late_dropout(self.hidden(self.early_dropout(x)).relu()))


class CellsAndDepths(ModelSpace):
    """Blocks that are repeated, from none to three times, and a cell."""

    def __init__(self, width: int, num_classes: int = 10) -> None:  # the width has no default: --set width=8
        super().__init__()
        kinds = OrderedDict(
            wide=lambda *where: nn.Conv2d(width, width, 3, padding=1),
            narrow=lambda *where: nn.Conv2d(width, width, 1),
            pool=lambda *where: nn.MaxPool2d(3, 1, 1),
        )
        self.stem = nn.Conv2d(3, width, 3, padding=1)
        self.blocks = Repeat(lambda index: nn.Sequential(nn.Conv2d(width, width, 3, padding=1), nn.ReLU()), (0, 3), label="depth")
        self.cell = Cell(kinds, num_nodes=3, num_ops_per_node=2, num_predecessors=1, label="cell")
        self.classifier = nn.Linear(3 * width, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        return self.classifier(self.cell([self.blocks(self.stem(images).relu())]).mean(dim=(2, 3)))
