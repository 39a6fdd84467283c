"""A trained network in a program of one's own: built from what --retrain wrote, its weights loaded, images classified.

python run_experiment.py --retrain convnet32 --set width=16 --dataset digits --precision float32 --out runs/small
python examples/trained_network.py runs/small digits                 # or cifar10, or the path of a folder of images
"""

from __future__ import annotations

import sys

import torch

import retiarius as rt


def main(run: str, dataset: str) -> None:
    """Say how many of the test images of each class the network knows: images as they are, computed in float32."""
    result = rt.open_run(run)
    if not isinstance(result, rt.RetrainResult):
        sys.exit(f"{run} is a search: name the folder of a --retrain")
    network, data = result.load_network(), rt.load_data(dataset)  # raw images go in: the normalisation is a part of the network
    with torch.no_grad():
        answers = torch.cat([network(images).argmax(1) for images in data.test.images.split(500)])
    right = answers == data.test.labels
    for number, name in enumerate(data.classes):
        print(f"{name:12} {right[data.test.labels == number].double().mean():7.2%}")
    print(f"{'all':12} {right.double().mean():7.2%}")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("trained_network.py takes the folder of a retraining and its data set: runs/small digits")
    try:
        main(*sys.argv[1:])
    except rt.RetiariusError as error:
        sys.exit(str(error))
