"""The evaluator without a search, cell by cell: open this file in VS Code, Spyder or Jupyter (jupytext), or run it as it is."""

# %% Data: images in memory, a validation split cut from the training set. "auto" instead of "digits" would be CIFAR-10.
from pathlib import Path

import torch

from evaluators.complexity import measure_complexity
from evaluators.data.dataset import load_dataset
from evaluators.training.loop import train_and_validate
from evaluators.training.recipes import recipe_values
from spaces.zoo.backbones import build_backbone

data = load_dataset("digits", data_dir=Path("data"), limit=1000)
print(f"{data.name}: {len(data.train)} training and {len(data.validation)} validation images, {data.num_classes} classes")


# %% A network: a backbone of the zoo, its first weights drawn with a seed. Any torch module that takes images will do.
def build() -> torch.nn.Module:
    torch.manual_seed(0)
    return build_backbone("convnet32", stem="own", num_classes=data.num_classes, width=16, depth=2)


size = measure_complexity(build(), data.train.images.shape[1:])
print(f"{size['parameters']:,} parameters, {size['flops']:,} multiply-adds")

# %% The evaluator: a plain function, the one that scores the trials of a search. It trains the network in place.
curve: list[float] = []
fast = {**recipe_values("fast"), "batch_size": 64}
train_and_validate(build(), data=data, epochs=3, report=curve.append, **fast)
print("validation accuracy by epoch:", ", ".join(f"{accuracy:.1%}" for accuracy in curve))

# %% Hyperparameters are arguments, too: a search by hand. The same seed and arguments give the same accuracy.
for optimizer, rate in (("sgd", 0.1), ("muon", 0.1)):
    accuracy = train_and_validate(build(), data=data, epochs=1, **{**fast, "optimizer": optimizer, "initial_lr": rate})
    print(f"{optimizer}, initial_lr {rate}: {accuracy:.1%} after one epoch")
