"""A trial as a function of its sample alone, which can be sent to another process."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from evaluators.devices import gpus_of


@dataclass(frozen=True)
class TrialRun:
    """Builds the network of a sample and scores it, as the engine does that runs trials in its own process.

    Attributes
    ----------
    build
        The network of an architecture.
    evaluate
        ``evaluate(network, report=..., **training, **hyperparameters) -> score``, such as ``train_and_validate``.
    measure
        What else is to be known of the network.
    labels
        The labels of a sample that belong to the architecture; the others are hyperparameters.
    training
        Arguments of every evaluation, where the sample says nothing else.
    seed
        Of torch's generator, from which first weights and dropout are drawn.
    """

    build: Callable[[Mapping[str, Any]], Any]
    evaluate: Callable[..., float]
    measure: Callable[[Any], Mapping[str, Any]]
    labels: Collection[str]
    training: Mapping[str, Any]
    seed: int

    def __call__(self, sample: Mapping[str, Any], report: Callable[[float], None], note: Callable[[dict[str, Any]], None]) -> float:
        """The score of ``sample``; ``note`` is told what ``measure`` says of its network. Raises what building and evaluating raise."""
        hyperparameters = {label: value for label, value in sample.items() if label not in self.labels}
        with torch.random.fork_rng(devices=gpus_of(self.training.get("device", "cpu"))):
            torch.manual_seed(self.seed)
            network = self.build({label: sample[label] for label in self.labels})
            note(dict(self.measure(network)))
            return float(self.evaluate(network, report=report, **{**self.training, **hyperparameters}))
