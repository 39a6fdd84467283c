"""A trial as one writes it for NNI: it knows nothing of retiarius. NNI's own `nnictl create` runs it, too, where setuptools is
older than 81.

python run_experiment.py --config examples/nni_trial/config.yml
"""

import nni
import torch
from sklearn.datasets import load_digits
from torch import nn

parameters = {"lr": 0.01, "hidden": 32, "optimizer": "sgd", "epochs": 3}
parameters.update(nni.get_next_parameter())
torch.manual_seed(0)

images, labels = load_digits(return_X_y=True)
order = torch.randperm(len(labels))
inputs, targets = torch.tensor(images / 16, dtype=torch.float32)[order], torch.tensor(labels)[order]
train, test = slice(0, 1400), slice(1400, None)

network = nn.Sequential(nn.Linear(64, parameters["hidden"]), nn.ReLU(), nn.Linear(parameters["hidden"], 10))
make = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam}[parameters["optimizer"]]
optimizer = make(network.parameters(), lr=parameters["lr"])

accuracy = 0.0
for _ in range(parameters["epochs"]):
    for first in range(0, 1400, 50):
        batch = slice(first, first + 50)
        loss = nn.functional.cross_entropy(network(inputs[train][batch]), targets[train][batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        accuracy = (network(inputs[test]).argmax(1) == targets[test]).float().mean().item()
    nni.report_intermediate_result(accuracy)
nni.report_final_result(accuracy)
