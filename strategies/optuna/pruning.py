"""Multi-fidelity: a trial that cannot win ends early, by one of Optuna's pruners, whatever strategy proposed it."""

from __future__ import annotations

import math
from collections.abc import Iterable

import optuna
from optuna.pruners import BasePruner
from optuna.trial import TrialState

from strategies.pruners import Pruner

# The states of a trial, as Optuna calls them.
STATES = {"complete": TrialState.COMPLETE, "pruned": TrialState.PRUNED, "failed": TrialState.FAIL}


def why_idle(pruner: Pruner | None, *, scores: int | None, trials: int) -> str | None:
    """Return one line that says why ``pruner`` cannot end any trial of a search, or ``None`` where it can.

    Parameters
    ----------
    pruner
        ``None``: there is none, which cannot be idle.
    scores
        How often a trial reports one, the last of which is not judged; ``None`` where nobody knows: often enough, then.
    trials
        Number of trials of the search.
    """
    if pruner is None or ((scores is None or scores > pruner.first_step) and trials > pruner.after):
        return None
    needs = f"more than {pruner.after} trials (`trials`) of at least {pruner.first_step + 1} scores each (`epochs`)"
    there_are = f"{trials} trials" if scores is None else f"{trials} trials of {scores}"
    return f"the pruner {pruner.name} has no effect: it needs {needs}, and there are {there_are}"


def make_pruning(pruner: Pruner | None, *, epochs: int | None) -> Pruning | None:
    """Return what an engine takes for ``pruner``, nothing for ``None``.

    Parameters
    ----------
    pruner
        One of ``PRUNERS``, or of one's own.
    epochs
        As :class:`Pruning` takes them.

    Raises
    ------
    StrategyError
        The pruner has to know the number of epochs, and nobody does.
    """
    return None if pruner is None else Pruning(pruner.build(epochs), epochs=epochs)


class Judged:
    """One trial as the pruner sees it: its scores so far, and at last its end."""

    def __init__(self, study: optuna.Study, epochs: int | None) -> None:
        self._study, self._epochs = study, epochs
        self._trial, self._step = study.ask(), 0

    def stops(self, score: float) -> bool:
        """Note the trial's next score; return whether the trial should end here. A score that is not finite is passed over."""
        self._step += 1
        if math.isfinite(score):
            self._trial.report(score, self._step)
        return (self._epochs is None or self._step < self._epochs) and self._trial.should_prune()

    def end(self, state: str, score: float | None) -> None:
        """Note that the trial ended: ``complete`` with its score, ``pruned`` or ``failed``."""
        self._study.tell(self._trial, score, state=STATES[state])


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
        """Note that a trial begins, of so many epochs where the search varies them; others may be running."""
        return Judged(self._study, self._epochs if self._epochs is None or epochs is None else min(epochs, self._epochs))

    def replay(self, curve: Iterable[float], state: str, score: float | None, epochs: int | None = None) -> None:
        """Note a whole trial of the record. What was decided then stays; later trials are judged by its curve."""
        judged = self.begin(epochs)
        for value in curve:
            judged.stops(value)
        judged.end(state, score)
