"""A search space of one's own: any model space of NNI's, searched and retrained without a change to this project.

python examples/own_space.py                                          # from Python
python examples/own_space.py --space tiny --strategy tpe --trials 10  # or any command of the program: here the space has a name
PYTHONPATH=examples python run_experiment.py --space own_space:TinySpace --strategy tpe --trials 10  # the same without one
"""

from __future__ import annotations

import sys

import retiarius as rt
from common.libraries import quiet_libraries

quiet_libraries()  # NNI warns of a newer torch as it is imported
import nni.nas.nn.pytorch as nas  # noqa: E402
from nni.mutable import Categorical, LabeledMutable  # noqa: E402
from torch import Tensor, nn  # noqa: E402


class TinySpace(nas.ModelSpace):
    """Images [N, 3, H, W] -> logits [N, num_classes]: a convolution and an activation to choose."""

    def __init__(self, *, num_classes: int = 10, width: int = 16) -> None:
        super().__init__()
        kernels = {f"conv_{size}x{size}": nn.Conv2d(3, width, size, stride=2, padding=size // 2) for size in (3, 5, 7)}
        self.convolution = nas.LayerChoice(kernels, label="convolution")
        self.activation = nas.LayerChoice({"relu": nn.ReLU(), "silu": nn.SiLU()}, label="activation")
        self.head = nn.Sequential(nn.BatchNorm2d(width), nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(16 * width, num_classes))

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.activation(self.convolution(images)))

    # That would do. What else a space may tell of itself stands in spaces/__init__.py, such as hyperparameters to search with it:
    @staticmethod
    def hyperparameters() -> dict[str, LabeledMutable]:
        return {"initial_lr": Categorical([0.01, 0.05, 0.2], label="initial_lr")}


def search_and_retrain() -> None:
    """Try three networks of the space on the digits, then train the best one longer."""
    found = rt.search(TinySpace, "random", data="digits", recipe="lab", trials=3, epochs=2)
    for trial in found.trials:
        print(f"trial {trial.number}: {trial.score:.1%} {trial.sample['convolution']}, {trial.sample['activation']}")
    final = rt.retrain(found.best, epochs=4)
    print(f"test accuracy of the best: {final.test_accuracy:.1%}; all is in {found.path} and {final.path}")


if __name__ == "__main__":
    if not sys.argv[1:]:
        sys.exit(search_and_retrain())
    import run_experiment

    rt.SPACES["tiny"] = rt.SpaceEntry("own_space:TinySpace", "one convolution", frozenset({"hyperparameters"}), "lab")
    sys.exit(run_experiment.main())
