"""Which configurations of the zoo ``benchmarks/zoo_trainings.py`` trains on which data: listed by a seed before the first is trained.

There are two plans: ``plan`` mixes everything, ``plan_rates`` has lighter backbones at three learning rates and nothing else.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from typing import Any

from spaces.zoo.networks import BATCH, POWERS
from spaces.zoo.vocabulary import BACKBONES, DEFAULT, DEPTHS, SIZED, WIDTHS

Configuration = dict[str, Any]
RATES = {"sgd": 0.1, "adam": 0.001, "rmsprop": 0.0005, "muon": 0.03}  # usual learning rates, by optimizer
SPREAD = 10  # they are drawn from a tenth to ten times the usual one
OTHERS: dict[str, tuple[Any, ...]] = {
    "batch_size": (64, 128, 256),
    "label_smoothing": (0.0, 0.1, 0.2),
    "cutout": (0, 8, 16),
    "flip": ("random", "alternating"),
}
ARCHITECTURE = ("backbone", "stem", "width", "depth")
HYPERPARAMETERS = ("optimizer", "initial_lr", *OTHERS)
# Of these an epoch of 4,000 images with the small stem takes 9 to 14 seconds, on one core of the machine of the trainings.
LIGHT_WITH_SMALL_STEM = ("mobilenetv3_small_100", "mobilenetv4_conv_small", "tinynet_e", "regnetx_002", "squeezenet1_1")
# Of these an epoch of 4,000 images with their own stem takes 7 seconds or more: they come last.
HEAVY = (
    *("resnet50", "vgg16", "vgg16_bn", "densenet121", "mobilenet_v2", "resnext50_32x4d", "mnasnet1_0", "resnet14t"),
    *("mobilenetv3_large_100", "efficientnet_lite0", "efficientnet_b0", "ghostnet_100", "mobileone_s0"),
)
SHARED, SPARSE = ("cifar10", "digits"), "fashion"  # all configurations are trained on the first two, every second one on the last
# Learning rates in common use for small images, at batches of 128.
COMMON = {"sgd": 0.1, "adam": 0.001, "rmsprop": 0.0003, "muon": 0.045}
WITHOUT_NORMS = dict.fromkeys(("vgg16", "squeezenet1_1"), "without norms")
DEPTHWISE = dict.fromkeys(
    (
        *("shufflenet_v2_x1_0", "mobilenet_v2", "mnasnet1_0", "mobilenetv3_small_100", "mobilenetv3_large_100", "mobilenetv4_conv_small"),
        *("efficientnet_lite0", "efficientnet_b0", "tinynet_e", "ghostnet_100", "mobileone_s0"),
    ),
    "depthwise",
)
KINDS = {**WITHOUT_NORMS, **DEPTHWISE, SIZED: "our own"}
OF_KIND = {
    "without norms": {"sgd": 0.02, "adam": 0.0003, "rmsprop": 0.0001, "muon": 0.02},
    "depthwise": {**COMMON, "adam": 0.002, "rmsprop": 0.0005},
    "our own": {**COMMON, "sgd": 0.15, "adam": 0.003, "rmsprop": 0.0005},
}
FACTOR = 4  # of the rates of ``plan_rates``: usual, by this less, by this more
STEPPED = {"batch_size": 64, "label_smoothing": 0.1, "cutout": 0, "flip": "random"}  # many steps in a short time


def plan(seed: int = 0) -> list[tuple[str, Configuration]]:
    """Return the trainings in their order: the name of a data set and a configuration, which has its ``number``.

    Every backbone is trained by every optimizer with its own stem; the light ones by two of them with the small stem; ``convnet32`` in all
    its sizes. The learning rates of an optimizer are spread evenly over their logarithm, the other values are equally frequent. The order
    is drawn, but for those that are ``HEAVY``, so that a part of the plan is mixed, too.
    """
    generator = random.Random(seed)
    chosen = list(_networks())
    rates = {name: _spread_rates(rate, sum(one["optimizer"] == name for one in chosen), generator) for name, rate in RATES.items()}
    columns = {label: _equally_often(values, len(chosen), generator) for label, values in OTHERS.items()}
    for place, configuration in enumerate(chosen):
        configuration["initial_lr"] = rates[configuration["optimizer"]].pop()
        configuration |= {label: column[place] for label, column in columns.items()}
    numbered = [({"number": place, **configuration}, place % 2 == place // len(RATES) % 2) for place, configuration in enumerate(chosen)]
    generator.shuffle(numbered)
    numbered.sort(key=lambda one: one[0]["backbone"] in HEAVY)
    return [(name, one) for one, everywhere in numbered for name in (*SHARED, *([SPARSE] * everywhere))]


def usual_rate(backbone: str, optimizer: str) -> float:
    """Return the learning rate at batches of 128 that is in common use for such networks."""
    return OF_KIND.get(KINDS.get(backbone, ""), COMMON)[optimizer]


def plan_rates(seed: int = 0) -> list[tuple[str, Configuration]]:
    """Return trainings on CIFAR-10 of backbones by every optimizer, at the usual rate, a quarter of it and four times as much.

    Those that are ``HEAVY`` are left out. The three of a pair follow one another; the pairs are in a drawn order.
    """
    pairs = [(backbone, optimizer) for backbone in BACKBONES for optimizer in RATES if backbone not in HEAVY]
    random.Random(seed).shuffle(pairs)
    chosen: list[Configuration] = []
    for backbone, optimizer in pairs:
        scale = (STEPPED["batch_size"] / BATCH) ** POWERS[optimizer]
        for factor in (1, 1 / FACTOR, FACTOR):
            rate = float(f"{usual_rate(backbone, optimizer) * factor * scale:.4g}")
            told = {**DEFAULT, "backbone": backbone, "optimizer": optimizer, "initial_lr": rate, **STEPPED}
            chosen.append({"number": len(chosen), **told})
    return [(SHARED[0], one) for one in chosen]


def _networks() -> Iterable[Configuration]:
    """Yield backbone, stem, size and optimizer of each configuration."""
    sizes = [(WIDTHS[(place + depth) % len(WIDTHS)], depth) for place in range(len(WIDTHS)) for depth in DEPTHS]
    optimizers = tuple(RATES)
    for backbone in BACKBONES:
        for optimizer in optimizers:
            width, depth = sizes.pop() if backbone == SIZED else (DEFAULT["width"], DEFAULT["depth"])
            yield {"backbone": backbone, "stem": "own", "width": width, "depth": depth, "optimizer": optimizer}
    for place, (width, depth) in enumerate(sizes):
        yield {"backbone": SIZED, "stem": "own", "width": width, "depth": depth, "optimizer": optimizers[place % len(optimizers)]}
    for place, backbone in enumerate(LIGHT_WITH_SMALL_STEM):
        for other in (0, 2):
            optimizer = optimizers[(place + other) % len(optimizers)]
            yield {**DEFAULT, "backbone": backbone, "stem": "small", "optimizer": optimizer}


def _spread_rates(usual: float, count: int, generator: random.Random) -> list[float]:
    """Return ``count`` rates in a drawn order, one from each of as many equal parts of the logarithmic range."""
    rates = [usual * SPREAD ** (2 * (place + generator.random()) / count - 1) for place in range(count)]
    generator.shuffle(rates)
    return [float(f"{rate:.3g}") for rate in rates]


def _equally_often(values: Sequence[Any], count: int, generator: random.Random) -> list[Any]:
    """Return ``count`` of ``values`` in a drawn order, each as often as the others, or once more."""
    column = [values[place % len(values)] for place in range(count)]
    generator.shuffle(column)
    return column
