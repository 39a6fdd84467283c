"""What is known of the zoo's networks: by what each trains well, and which whole configurations are worth a try first.

Two files of data say it. ``networks.json``, for images of about 32 pixels and a training within an hour on two cores::

    {"format": "retiarius-networks", "version": 1,
     "sources": {"NAME": what measured it, in words},
     "networks": {BACKBONE: {"stem": "own" or "small",
                             "optimizers": {OPTIMIZER: {"initial_lr": its peak at batches of 128, "weight_decay": ..., "batch_size": ...,
                                                        "source": NAME, "n": trainings that stand behind it}}}}}

``portfolio.json``, the best expected gain a second first::

    {"format": "retiarius-portfolio", "version": 1, "source": what measured it, "n": trainings that stand behind it,
     "configurations": [{"architecture": {...}, "hyperparameters": {...}}]}

Nothing heavy is imported here.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from common.files import read_json
from spaces.zoo.vocabulary import RATES

NETWORKS, PORTFOLIO = (Path(__file__).with_name(name) for name in ("networks.json", "portfolio.json"))
BATCH = 128  # at which the learning rates of the file are
# With which power of the batch size the rate grows: SGD's in proportion (Goyal et al. 2017, arXiv 1706.02677), those that divide by the
# gradient's size by the root (Malladi et al. 2022, arXiv 2205.10782). Muon's: by no rule. Eight epochs at 0.03 and at 0.045 are level at
# batches of 128, where the recipe has 0.03 at 256 (docs/measurements/2026-11-recipe-fast.md).
POWERS = {"sgd": 1.0, "adam": 0.5, "rmsprop": 0.5, "muon": 0.0}


@dataclass(frozen=True)
class GoodTraining:
    """By what a backbone trains well with one optimizer.

    Attributes
    ----------
    initial_lr
        The learning rate at its peak, at batches of ``BATCH``.
    weight_decay, batch_size
        As the hyperparameters of these names.
    source
        What measured it, in words.
    n
        How many trainings stand behind it.
    """

    initial_lr: float
    weight_decay: float
    batch_size: int
    source: str
    n: int

    def rate_at(self, optimizer: str, batch_size: int) -> float:
        """Return the learning rate at batches of ``batch_size``."""
        return float(self.initial_lr * (batch_size / BATCH) ** POWERS[optimizer])


@dataclass(frozen=True)
class GoodNetwork:
    """What is known of a backbone.

    Attributes
    ----------
    stem
        ``own`` or ``small``: the one that gets further on images of about 32 pixels within an hour.
    optimizers
        By name of the optimizer, by what it trains well.
    """

    stem: str
    optimizers: Mapping[str, GoodTraining]


@cache
def good_networks() -> dict[str, GoodNetwork]:
    """Return what is known, by backbone."""
    document = read_json(NETWORKS)
    sources = document["sources"]
    return {
        backbone: GoodNetwork(
            told["stem"],
            {name: GoodTraining(**{**values, "source": sources[values["source"]]}) for name, values in told["optimizers"].items()},
        )
        for backbone, told in document["networks"].items()
    }


def usual_values(sample: Mapping[str, Any]) -> dict[str, float]:
    """Return the good learning rate and weight decay for the ``backbone``, ``optimizer`` and ``batch_size`` of ``sample``, by label."""
    optimizer = sample["optimizer"]
    good = good_networks()[sample["backbone"]].optimizers[optimizer]
    rate = min(RATES[1], max(RATES[0], good.rate_at(optimizer, sample["batch_size"])))
    return {"initial_lr": rate, "weight_decay": good.weight_decay}


def portfolio() -> list[dict[str, Any]]:
    """Return whole configurations that are worth a try first, in this order, each ``{"architecture": ..., "hyperparameters": ...}``."""
    return deepcopy(_configurations())


@cache
def _configurations() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = read_json(PORTFOLIO)["configurations"]
    return found
