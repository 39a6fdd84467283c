"""How the trials of a search with a time budget are paced: each has the same seconds, waits on its way, and goes on if it is good."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from evaluators import find_evaluator
from evaluators.adapter import takes_by_name
from records.run_folder import stored_identity
from retiarius.context import RunContext
from retiarius.ray_cluster import cluster_of
from retiarius.settings import TRAIN, SearchSettings
from strategies.nni_strategy import NniTrials
from strategies.rungs import Length

if TYPE_CHECKING:
    from retiarius.search_plan import SearchPlan
    from strategies.engines.recording import Rejection

SHARES = 8  # whole trials that the budget would pay for
ABOUT_SO_MANY = 24  # trials that are begun: a third of the budget each for the ninth, the next two and the last six of each share
MOST_EPOCHS = 100  # of a trial, where images are few
LEG = ("checkpoint", "since", "until")  # what an evaluator takes whose trainings can wait
AVERAGED = {"ema_decay": 0.99}  # a network that waits is scored by its average: its rate has not fallen yet
SHARE = "seconds_per_trial"  # in the record of a run


def share_of(settings: SearchSettings, searched: Mapping[str, Any]) -> float | None:
    """Return how many seconds a whole trial has; None where trials do not wait.

    They do in a search with a time budget, one after another, by an evaluator that can wait, unless a pruner ends them.

    Parameters
    ----------
    searched
        The hyperparameters that are searched, by label.
    """
    strategy = settings.strategy
    is_plain = settings.pruner is None and not strategy.several_objectives and not strategy.one_shot and not isinstance(strategy, NniTrials)
    if settings.time_budget is None or not is_plain or settings.table is not None or settings.storage is not None:
        return None
    if cluster_of(settings.workers) is not None or "epochs" in searched or settings.nni_evaluation is not None:
        return None
    if not takes_by_name(find_evaluator(settings.evaluator)[1].load(), LEG):
        return None
    stored = stored_identity(settings.out).get(SHARE) if settings.resume else None  # a search that is extended keeps its trials' length
    return float(stored) if isinstance(stored, int | float) else settings.time_budget / SHARES


class Pace:
    """How long each trial is, by what an epoch of its network costs here: measured once a network, batch size and optimizer.

    Parameters
    ----------
    context, settings, plan
        Of the search; ``plan`` has a share.
    """

    def __init__(self, context: RunContext, settings: SearchSettings, plan: SearchPlan) -> None:
        assert plan.share is not None
        self._context, self._settings, self._plan, self._share = context, settings, plan, plan.share
        self._costs: dict[str, float] = {}

    def length(self, sample: Mapping[str, Any]) -> Length:
        """Return how long the trial of ``sample`` is."""
        cost = self._cost(sample)
        if self._settings.epochs is not None or cost == 0.0:
            return Length(self._context.epochs, cost)
        return Length(max(1, min(MOST_EPOCHS, int(self._share / cost))), cost)

    def reject(self, sample: Mapping[str, Any]) -> Rejection | None:
        """Return why ``sample`` is not tried: it would hardly get anywhere in its share; None where it is."""
        from strategies.engines.recording import Rejection

        length = self.length(sample)
        needed = length.seconds_per_epoch * max(2, length.epochs)
        if needed <= (self._share if self._settings.epochs is None else self._share * SHARES):
            return None
        told = f"{needed:.0f} s for {max(2, length.epochs)} epochs, more than the {self._share:.0f} s of a trial"
        return Rejection(math.log(needed / self._share), told, fault="too slow")

    def _cost(self, sample: Mapping[str, Any]) -> float:
        """Return about how many seconds an epoch takes; 0 where nobody can know."""
        if self._settings.evaluator != TRAIN:
            return 0.0
        labels = [*self._plan.searched.architecture, "batch_size", "optimizer"]
        key = json.dumps({label: sample.get(label) for label in labels}, sort_keys=True)
        if key not in self._costs:
            self._costs[key] = self._measure(sample)
        return self._costs[key]

    def _measure(self, sample: Mapping[str, Any]) -> float:
        from evaluators.training.cost import measure_epoch
        from evaluators.training.recipes import make_recipe

        context, architecture = self._context, self._plan.searched.architecture
        recipe = make_recipe({**context.recipe, **{label: value for label, value in sample.items() if label not in architecture}})
        network = context.build({label: sample[label] for label in architecture})
        return measure_epoch(network, context.data, recipe, device=context.device, precision=context.precision)
