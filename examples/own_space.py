"""A search space of one's own: every run_experiment.py command works on it through this script.

python examples/own_space.py                                          # a random search of it on the digits
python examples/own_space.py --space tiny --strategy tpe --trials 10  # or any other command
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import run_experiment
from common.libraries import quiet_libraries
from spaces import SPACES, SpaceEntry

quiet_libraries()  # NNI warns of a newer torch as it is imported
import nni.nas.nn.pytorch as nas  # noqa: E402
from nni.mutable import Categorical, LabeledMutable  # noqa: E402
from torch import Tensor, nn  # noqa: E402


class TinySpace(nas.ModelSpace):
    """Images [N, 3, H, W] -> logits [N, num_classes]: a convolution and an activation to choose, and a rate of learning."""

    def __init__(self, *, num_classes: int = 10, width: int = 16) -> None:
        super().__init__()
        kernels = {f"conv_{size}x{size}": nn.Conv2d(3, width, size, stride=2, padding=size // 2) for size in (3, 5, 7)}
        self.convolution = nas.LayerChoice(kernels, label="convolution")
        self.activation = nas.LayerChoice({"relu": nn.ReLU(), "silu": nn.SiLU()}, label="activation")
        self.head = nn.Sequential(nn.BatchNorm2d(width), nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(16 * width, num_classes))

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.activation(self.convolution(images)))

    # What spaces/__init__.py asks of a space:

    @staticmethod
    def canonical(sample: Mapping[str, Any]) -> dict[str, Any]:
        return dict(sample)  # no two samples build the same network

    @staticmethod
    def describe(architecture: Mapping[str, Any]) -> dict[str, str]:
        return {label: str(value) for label, value in architecture.items()}

    @staticmethod
    def default_architecture() -> dict[str, Any]:
        return {"convolution": "conv_3x3", "activation": "relu"}

    @staticmethod
    def hyperparameters() -> dict[str, LabeledMutable]:
        return {"initial_lr": Categorical([0.01, 0.05, 0.2], label="initial_lr")}


if __name__ == "__main__":
    SPACES["tiny"] = SpaceEntry("own_space:TinySpace", "one convolution", frozenset({"hyperparameters"}), "lab")
    search = ["--space", "tiny", "--strategy", "random", "--trials", "3", "--epochs", "2", "--dataset", "digits"]
    sys.argv[1:] = sys.argv[1:] or search  # the run notes from there by which command it goes on
    sys.exit(run_experiment.main())
