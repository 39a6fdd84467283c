"""A trained network in a program of one's own: built from what --retrain wrote, its weights loaded, images classified.

python run_experiment.py --retrain convnet32 --set width=16 --dataset digits --out runs/small
python examples/trained_network.py runs/small digits                 # or cifar10, or the path of a folder of images
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
from safetensors.torch import load_model

from evaluators.data.dataset import load_dataset
from evaluators.training.augmentation import Normalizer
from spaces import build_network, space_entry


def load_network(run: Path) -> torch.nn.Module:
    """The network of a retraining's folder, ready to classify: normalised images [N, 3, H, W] -> logits [N, classes]."""
    if not (run / "retrained.json").exists():
        sys.exit(f"{run} has no retrained.json: name the folder of a --retrain")
    told = json.loads((run / "retrained.json").read_text(encoding="utf-8"))
    network = build_network(space_entry(told["space"]["name"]).load(), told["space"]["arguments"], told["architecture"])
    load_model(network, run / "weights.safetensors")
    return network.eval()


def main(run: str, dataset: str) -> None:
    """Say how many of the test images of each class the network knows: all of them, without mirror images, unlike a quick --retrain."""
    data = load_dataset(dataset, data_dir=Path("data"))
    network, normalize = load_network(Path(run)), Normalizer(data.mean, data.std)
    with torch.no_grad():
        answers = torch.cat([network(normalize(images)).argmax(1) for images in data.test.images.split(500)])
    right = answers == data.test.labels
    for number, name in enumerate(data.classes):
        print(f"{name:12} {right[data.test.labels == number].double().mean():7.2%}")
    print(f"{'all':12} {right.double().mean():7.2%}")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("trained_network.py takes the folder of a retraining and its data set: runs/small digits")
    main(*sys.argv[1:])
