"""A model space and an evaluator as people write them: nothing of them is registered, nothing knows retiarius."""

from __future__ import annotations

import nni.nas.nn.pytorch as nas
from torch import Tensor, nn


class TwoLayers(nas.ModelSpace):
    """Images [N, 3, H, W] -> logits [N, num_classes]; no method is added for retiarius."""

    def __init__(self, num_classes: int = 3, width: int = 4) -> None:
        super().__init__()
        kernels = {"small": nn.Conv2d(3, width, 1), "large": nn.Conv2d(3, width, 3, padding=1)}
        self.convolution = nas.LayerChoice(kernels, label="convolution")
        self.activation = nas.LayerChoice({"relu": nn.ReLU(), "silu": nn.SiLU()}, label="activation")
        self.head = nn.Sequential(nn.BatchNorm2d(width), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, num_classes))

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.activation(self.convolution(images)))


def count_weights(network: nn.Module) -> float:
    """The more parameters the better."""
    return float(sum(parameter.numel() for parameter in network.parameters()))
