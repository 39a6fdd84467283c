"""How the trials of a search with a time budget are paced: each has the same seconds, waits on its way, and goes on if it is good."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common.errors import RecordError
from common.reporter import Reporter
from common.trial import sample_key
from evaluators import find_evaluator
from evaluators.adapter import takes_by_name
from records.run_config import SECONDS_PER_TRIAL, read_config
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
FINALS_SHARE = 0.25  # of the budget, where the best networks are compared at their full size
MOST_EPOCHS = 100  # of a trial, where images are few
FEWEST_EPOCHS = 3  # of a trial: of fewer a third is none, and a network that has no more in its share is not tried
EXPECTED = 2  # of the first networks, the default and the best of the portfolio: one of these has to fit into a share
ROUNDING = 1e-6  # of an epoch: a share of three epochs holds three
LEG = ("checkpoint", "since", "until")  # what an evaluator takes whose trainings can wait


def share_of(settings: SearchSettings, searched: Mapping[str, Any]) -> float | None:
    """Return how many seconds a whole trial has; None where trials do not wait.

    They do in a search with a time budget, one after another, by an evaluator that can wait, unless a pruner ends them or the strategy has
    no use for scores so far.

    Parameters
    ----------
    searched
        The hyperparameters that are searched, by label.
    """
    before = _config_of(settings.out) if settings.resume and settings.time_budget is not None else {}
    if (before.get("settings") or {}).get("time_budget"):
        stored = before["identity"].get(SECONDS_PER_TRIAL)  # trials are as long as they were, and wait if they did
        return float(stored) if isinstance(stored, int | float) else None
    strategy = settings.strategy
    is_plain = settings.pruner is None and not strategy.several_objectives and not strategy.one_shot and not isinstance(strategy, NniTrials)
    is_plain = is_plain and strategy.takes_scores_so_far
    if settings.time_budget is None or not is_plain or settings.table is not None or settings.storage is not None:
        return None
    if cluster_of(settings.workers) is not None or "epochs" in searched or settings.nni_evaluation is not None:
        return None
    if not takes_by_name(find_evaluator(settings.evaluator)[1].load(), LEG):
        return None
    return settings.time_budget * (1 - FINALS_SHARE if has_finals(settings, 0.0) else 1) / SHARES


def _config_of(folder: Path | None) -> dict[str, Any]:
    """Return the ``config.json`` of the run that is resumed; nothing where there is none."""
    try:
        return read_config(folder or Path())
    except RecordError:  # refused later with a better word
        return {}


def tell_if_not(settings: SearchSettings, share: float | None, reporter: Reporter) -> None:
    """Say where trainings have a time budget and do not wait, as several of them run at a time."""
    if share is None and settings.time_budget is not None and settings.evaluator == TRAIN and cluster_of(settings.workers) is not None:
        reporter.say("trials side by side do not wait for one another: each comes to its end, and none begins after `time_budget`")


def has_finals(settings: SearchSettings, share: float | None) -> bool:
    """Return whether the best networks of a search whose trials have a ``share`` are compared once more, at the size of a retraining."""
    if share is None or settings.evaluator != TRAIN:
        return False
    small, full = (settings.space.sized_arguments(settings.preset, phase, settings.fixed) for phase in ("search", "retrain"))
    return any(name in full and full[name] != value for name, value in small.items())


def epoch_cost(context: RunContext, network: Any, hyperparameters: Mapping[str, Any], enough: float = math.inf) -> float:
    """Return about how many seconds an epoch of ``network`` takes here by the recipe of ``context`` with these values in it.

    One that takes longer than ``enough`` is measured no further.
    """
    from evaluators.training.cost import measure_epoch
    from evaluators.training.recipes import make_recipe

    recipe = make_recipe({**context.recipe, **hyperparameters})
    return measure_epoch(network, context.data, recipe, device=context.device, precision=context.precision, enough=enough)


class Pace:
    """How long each trial is, by what an epoch of its network costs here: measured once a network, batch size and optimizer.

    Parameters
    ----------
    context, settings, plan
        Of the search; ``plan`` has a share.

    Attributes
    ----------
    share
        Seconds of a whole trial: that of the plan or, where a search begins, what the cheaper of the first ``EXPECTED`` networks needs.
    seconds
        How long it took to find that out.
    """

    def __init__(self, context: RunContext, settings: SearchSettings, plan: SearchPlan) -> None:
        assert plan.share is not None
        self._context, self._settings, self._plan = context, settings, plan
        self._costs: dict[str, float] = {}
        self._at_one_go: dict[str, tuple[str, int | None]] = {}
        self.share = plan.share
        begin = time.monotonic()
        if SECONDS_PER_TRIAL not in context.stored:  # a search that is resumed, or extended, keeps its trials' length
            self.share = max(self.share, min((settings.time_budget or 0.0) / 2, FEWEST_EPOCHS * self._least_cost()))
        self.seconds = time.monotonic() - begin

    def _least_cost(self) -> float:
        """Return what an epoch of the cheapest of the first networks costs; 0 where there is none.

        Later ones do not count: one that is cheap and bad would leave no time for good ones.
        """
        costs = [self.known_cost(sample) for sample in islice(self._plan.starts.values(), EXPECTED)]
        return min(cost for cost in costs if cost) if any(costs) else 0.0

    def known_cost(self, sample: Mapping[str, Any]) -> float:
        """Return about how many seconds an epoch takes; 0 where nobody can know, or where the network fails."""
        try:
            return self._cost(self._plan.searched.canonical(dict(sample)), math.inf)
        except Exception:  # it fails again when it is tried, and then says why
            return 0.0

    def let_go(self, sample: Mapping[str, Any], why: str, epochs: int | None = None) -> None:
        """Let the trial of ``sample`` not wait; ``epochs`` are given to it however slow its network is, None: those of a share."""
        self._at_one_go[sample_key(self._plan.searched.canonical(dict(sample)))] = why, epochs

    def length(self, sample: Mapping[str, Any]) -> Length:
        """Return how long the trial of ``sample`` is."""
        cost = self._cost(sample, self._limit)
        why, epochs = self._at_one_go.get(sample_key(sample), (None, None))
        if epochs is not None:
            return Length(epochs, cost, why)
        if self._settings.epochs is not None or cost == 0.0:
            return Length(self._context.epochs, cost)
        return Length(max(1, min(MOST_EPOCHS, int(self.share / cost + ROUNDING))), cost, why)

    def reject(self, sample: Mapping[str, Any]) -> Rejection | None:
        """Return why ``sample`` is not tried: it would hardly get anywhere in its share; None where it is."""
        from strategies.engines.recording import Rejection

        length = self.length(sample)
        if length.at_one_go is not None:
            return None
        needed = length.seconds_per_epoch * max(FEWEST_EPOCHS, length.epochs)
        if needed <= self._limit:
            return None
        whole = "a trial" if self._settings.epochs is None else "the search"
        told = f"{needed:.0f} s for {max(FEWEST_EPOCHS, length.epochs)} epochs, more than the {self._limit:.0f} s of {whole}"
        return Rejection(math.log(needed / self._limit), told, fault="too slow")

    @property
    def _limit(self) -> float:
        """The seconds that a trial may take at most: its share or, where a person says how many epochs it has, the whole budget."""
        return self.share if self._settings.epochs is None else self._settings.time_budget or math.inf

    def _cost(self, sample: Mapping[str, Any], enough: float) -> float:
        """Return about how many seconds an epoch takes, measured no further than ``enough``; 0 where nobody can know."""
        if self._settings.evaluator != TRAIN:
            return 0.0
        labels = [*self._plan.searched.architecture, "batch_size", "optimizer"]
        key = sample_key({label: sample.get(label) for label in labels})
        if key not in self._costs:
            self._costs[key] = self._measure(sample, enough)
        return self._costs[key]

    def _measure(self, sample: Mapping[str, Any], enough: float) -> float:
        architecture = self._plan.searched.architecture
        hyperparameters = {label: value for label, value in sample.items() if label not in architecture}
        network = self._context.build({label: sample[label] for label in architecture})
        return epoch_cost(self._context, network, hyperparameters, enough)
