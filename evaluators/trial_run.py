"""A trial as a function of its sample alone: in this process, in another one, or for one architecture by itself."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from evaluators.adapter import adapt
from evaluators.devices import gpus_of


def _measure_nothing(network: Any) -> Mapping[str, Any]:
    return {}


@dataclass(frozen=True)
class TrialRun:
    """Builds the network of a sample and scores it: a ``common.trial.RunTrial``. cloudpickle sends it to another process.

    Torch's generator, from which first weights, dropout and drop-path are drawn, is seeded for each trial and put back afterwards, so that
    a trial does not depend on those before it.

    Attributes
    ----------
    build
        ``build(architecture) -> network``.
    evaluate
        Any function that ``evaluators.adapter.adapt`` takes, such as ``train_and_validate``.
    labels
        The labels of a sample that belong to the architecture; the others are hyperparameters.
    training
        Arguments of every evaluation, where the sample says nothing else: ``data``, ``epochs``, ``seed``, ``device``, ``precision`` and
        hyperparameters. The evaluator gets those that its signature takes.
    seed
        Of torch's generator.
    measure
        ``measure(network) -> facts``, what else is to be known of the network; it is noted before the evaluation begins.
    """

    build: Callable[[Mapping[str, Any]], Any]
    evaluate: Callable[..., Any]
    labels: Collection[str]
    training: Mapping[str, Any]
    seed: int = 0
    measure: Callable[[Any], Mapping[str, Any]] = _measure_nothing

    def __call__(self, sample: Mapping[str, Any], report: Callable[[float], Any], note: Callable[[dict[str, Any]], Any]) -> float:
        """Return the score of ``sample``.

        Parameters
        ----------
        sample
            Label to value, those of the architecture all of them.
        report
            Called with the score after each epoch; what it raises ends the trial.
        note
            Called once, with what ``measure`` says of the network.

        Raises
        ------
        Exception
            What building, measuring and evaluating raise.
        """
        evaluate = adapt(self.evaluate)
        hyperparameters = {label: value for label, value in sample.items() if label not in self.labels}
        with torch.random.fork_rng(devices=gpus_of(self.training.get("device", "cpu"))):
            torch.manual_seed(self.seed)
            network = self.build({label: sample[label] for label in self.labels})
            note(dict(self.measure(network)))
            told = {**self.training, **hyperparameters}
            whole = {"checkpoint": None, "since": 0, "until": told.get("epochs")}  # an evaluator that can wait goes to the end at once
            return evaluate(network, report=report, **{**whole, **told})
