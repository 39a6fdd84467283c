"""What each element of the recipe ``fast`` is worth: trainings without it, on the validation split; the test set is not touched.

    python benchmarks/recipe_ablation.py            # convnet32, width 16, 3 epochs of CIFAR-10, 3 seeds each
    python benchmarks/recipe_ablation.py --quick    # two variants, 2,000 images, 1 seed; less than 50 s

One thing differs from the recipe in each row, which is told against the recipe with the same seed: the same initial weights and, where
augmentation draws nothing else, the same order of images. The last line is one JSON object of mean validation accuracies.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import torch

from benchmarks.arguments import count, refuse
from common.errors import EvaluatorError
from evaluators.data.dataset import Dataset, load_dataset
from evaluators.devices import choose_precision
from evaluators.training.loop import measure_accuracy, train
from evaluators.training.recipes import make_recipe, override, recipe_values
from kernels.winograd import use_winograd
from spaces.zoo.backbones import build_backbone

# What is said of a row, and what is other than in the recipe.
VARIANTS: dict[str, dict[str, Any]] = {
    "the recipe": {},
    "SGD 0.1, warm-up, decay 5e-4, for Muon": {"optimizer": "sgd", "initial_lr": 0.1, "warmup_epochs": 1.0, "momentum": 0.9},
    "SGD 0.3, warm-up, decay 5e-4, for Muon": {"optimizer": "sgd", "initial_lr": 0.3, "warmup_epochs": 1.0, "momentum": 0.9},
    "full size from the start": {"start_size": 1.0},
    "half a cosine for the line": {"schedule": "cosine"},
    "no label smoothing": {"label_smoothing": 0.0},
    "label smoothing 0.1": {"label_smoothing": 0.1},
    "black borders for reflected ones": {"crop_fill": "black"},
    "crops of 4 pixels for 2": {"crop_padding": 4},
    "random flips for alternating ones": {"flip": "random"},
    "cutout 8": {"cutout": 8},
    "rand_augment 9": {"rand_augment": 9},
    "cutmix 1": {"cutmix": 1.0},
    "mixup 0.2": {"mixup": 0.2},
    "averaged weights (ema_decay 0.99)": {"ema_decay": 0.99},
    "no flip averaging": {"flip_averaging": False},
    "momentum without Nesterov": {"nesterov": False},
    "half an epoch of warm-up": {"warmup_epochs": 0.5},
    "weight decay on norms and biases too": {"decay_norms": True},
    "no weight decay": {"weight_decay": 0.0},
    "batches of 128 for 256": {"batch_size": 128},
    "learning rate 0.02 for 0.03": {"initial_lr": 0.02},
    "learning rate 0.045 for 0.03": {"initial_lr": 0.045},
    "batches of 128 at 0.045": {"batch_size": 128, "initial_lr": 0.045},
    "batches of 64": {"batch_size": 64},
}
QUICK = ("the recipe", "SGD 0.1, warm-up, decay 5e-4, for Muon")


def measure(values: dict[str, Any], data: Dataset, width: int, epochs: int, seed: int, precision: torch.dtype) -> tuple[float, float]:
    """Validation accuracy and seconds of training."""
    recipe = make_recipe(override(recipe_values("fast"), values))
    torch.manual_seed(seed)
    network = build_backbone("convnet32", width=width, num_classes=data.num_classes)
    training = train(network, data.train, data, epochs=epochs, recipe=recipe, seed=seed, precision=precision)
    seconds = sum(epoch.seconds for epoch in training)
    return measure_accuracy(network, data.validation, data, precision=precision, flip_averaging=recipe.flip_averaging), seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="two variants, 2,000 images, 1 seed")
    parser.add_argument("--width", type=count, default=16)
    parser.add_argument("--epochs", type=count, default=3)
    parser.add_argument("--seeds", type=count, default=3)
    parser.add_argument("--rows", nargs="+", choices=VARIANTS, default=list(VARIANTS), help="these alone, beside the recipe's")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--dataset", default="auto")
    parser.add_argument("--data-dir", type=Path, default=Path("data"))
    arguments = parser.parse_args()
    limit = 2_000 if arguments.quick else None
    with refuse(EvaluatorError):
        precision = choose_precision(arguments.precision, torch.device("cpu"), use_winograd)
        data = load_dataset(arguments.dataset, data_dir=arguments.data_dir, limit=limit, warn=lambda line: print(line, file=sys.stderr))
    recipe = next(iter(VARIANTS))
    names, seeds = (QUICK, 1) if arguments.quick else ((recipe, *(row for row in arguments.rows if row != recipe)), arguments.seeds)
    size = f"convnet32 of width {arguments.width}, {arguments.epochs} epochs"
    print(f"{data.name}, {size}, {torch.get_num_threads()} threads, {str(precision).removeprefix('torch.')}")
    print("| variant | validation accuracy | against the recipe, by seed | n | seconds |\n|---|---|---|---|---|")
    means, by_recipe = {}, []
    for name in names:
        results = [measure(VARIANTS[name], data, arguments.width, arguments.epochs, seed, precision) for seed in range(seeds)]
        accuracies = [100 * accuracy for accuracy, _ in results]
        by_recipe = by_recipe or accuracies
        differences = ", ".join(f"{ours - recipes:+.2f}" for ours, recipes in zip(accuracies, by_recipe, strict=True))
        spread = f" ± {statistics.stdev(accuracies):.2f}" if seeds > 1 else ""
        means[name] = round(statistics.mean(accuracies) / 100, 4)
        seconds = statistics.mean(seconds for _, seconds in results)
        print(f"| {name} | {statistics.mean(accuracies):.2f}%{spread} | {differences} | {seeds} | {seconds:.0f} |", flush=True)
    print(json.dumps(means))


if __name__ == "__main__":
    main()
