"""Multi-fidelity: a trial that cannot win ends early, by one of Optuna's pruners, whatever strategy proposed it.

To add a pruner: write one factory ``(epochs=...) -> BasePruner`` here, then one line in ``PRUNERS`` (``strategies/__init__.py``). Steps
are epochs, counted from 1. All trials follow the same schedule of learning rates, so that curves are compared epoch by epoch.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import optuna
from optuna.pruners import BasePruner, HyperbandPruner, MedianPruner, SuccessiveHalvingPruner
from optuna.trial import TrialState

from common.errors import StrategyError
from strategies import PRUNERS, pruner_entry

# The states of an engine's results, as Optuna calls them.
STATES = {"complete": TrialState.COMPLETE, "pruned": TrialState.PRUNED, "failed": TrialState.FAIL}


def median(*, epochs: int | None, start_step: int | None = None) -> MedianPruner:
    """Ends a trial whose best score so far is below the median of the completed trials at the same epoch (Golovin et al. 2017).

    Four trials come to their end first, and no trial is judged before ``start_step`` epochs (by default a quarter of all), where scores
    say little.
    """
    warmup = max(1, (epochs or 0) // 4) if start_step is None else max(1, start_step)
    return MedianPruner(n_startup_trials=4, n_warmup_steps=warmup)


def halving(*, epochs: int | None) -> SuccessiveHalvingPruner:
    """Asynchronous successive halving (Li et al. 2020, arXiv 1810.05934): after 1, 3, 9, ... epochs the best third goes on."""
    return SuccessiveHalvingPruner(min_resource=1, reduction_factor=3)


def hyperband(*, epochs: int | None) -> HyperbandPruner:
    """Hyperband (Li et al. 2018, arXiv 1603.06560): successive halving in brackets, of which some judge later than others.

    Raises ``StrategyError`` where nobody knows how many epochs trials have.
    """
    if epochs is None:
        raise StrategyError("--pruner hyperband needs to know how many results a trial reports: --epochs N; or take median or halving")
    return HyperbandPruner(min_resource=1, max_resource=epochs, reduction_factor=3)


def why_idle(name: str, *, scores: int | None, trials: int, start_step: int | None = None) -> str | None:
    """One line that says why the pruner ``name`` cannot end any trial of such a search, or ``None`` where it can.

    ``scores`` are how often a trial reports one, ``None`` where nobody knows: often enough, then. The last is not judged. ``start_step`` is
    Medianstop's.
    """
    entry = pruner_entry(name)
    first = max(1, start_step or 1) if entry is not None and entry.target == PRUNERS["median"].target else 1
    if entry is None or ((scores is None or scores > first) and trials > entry.after):
        return None
    needs = f"trials that report {first + 1} scores or more, and more than {entry.after} of them"
    there_are = f"{trials} trials" if scores is None else f"{trials} of {scores}"
    return f"--pruner {name} has no effect here: it needs {needs} (--epochs, --trials); there are {there_are}"


def make_pruning(name: str, *, epochs: int | None, start_step: int | None = None) -> Pruning | None:
    """What an engine takes for the pruner ``name``, nothing for ``none``; raises ``StrategyError`` on an unknown one.

    ``start_step`` is Medianstop's; other pruners have no such number and leave it.
    """
    entry = pruner_entry(name)
    if entry is None:
        return None
    options = {} if start_step is None or entry.target != PRUNERS["median"].target else {"start_step": start_step}
    return Pruning(entry.load()(epochs=epochs, **options), epochs=epochs)


class Judged:
    """One trial as the pruner sees it: its scores so far, and at last its end."""

    def __init__(self, study: optuna.Study, epochs: int | None) -> None:
        self._study, self._epochs = study, epochs
        self._trial, self._step = study.ask(), 0

    def stops(self, score: float) -> bool:
        """Note the trial's next score; whether the trial should end here. A score that is not finite is passed over."""
        self._step += 1
        if math.isfinite(score):
            self._trial.report(score, self._step)
        return (self._epochs is None or self._step < self._epochs) and self._trial.should_prune()

    def end(self, status: str, score: float | None) -> None:
        """The trial ended: ``complete`` with its score, ``pruned`` or ``failed``."""
        self._study.tell(self._trial, score, state=STATES[status])


class Pruning:
    """A pruner's view of a search: one Optuna trial for each trial of the engine, in the same order.

    It draws nothing at random: the same curves in the same order are judged the same, which is how a resumed search prunes as it would
    have without the interruption.

    Parameters
    ----------
    pruner
        Compares the trials; higher scores are better.
    epochs
        Scores that a trial reports when nothing stops it, ``None`` where nobody knows. The last one of a trial is not judged: there
        is nothing left to save.
    """

    def __init__(self, pruner: BasePruner, *, epochs: int | None) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        # Hyperband deals trials to its brackets by the study's name, which must be the same in every process.
        self._study = optuna.create_study(
            study_name="trials", direction="maximize", pruner=pruner, sampler=optuna.samplers.RandomSampler(seed=0)
        )
        self._epochs = epochs

    @property
    def study(self) -> optuna.Study:
        """The Optuna study of the pruner: curves and states, without parameters."""
        return self._study

    def begin(self, epochs: int | None = None) -> Judged:
        """A trial begins, of so many epochs where the search varies them; others may be running."""
        return Judged(self._study, self._epochs if self._epochs is None or epochs is None else min(epochs, self._epochs))

    def replay(self, curve: Iterable[float], status: str, score: float | None, epochs: int | None = None) -> None:
        """A whole trial from the record of an earlier run. What was decided then stays; later trials are judged by its curve."""
        judged = self.begin(epochs)
        for value in curve:
            judged.stops(value)
        judged.end(status, score)
