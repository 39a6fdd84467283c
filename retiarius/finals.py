"""The end of a search in small networks with a time budget: the best are trained once more at full size, and the best of those counts."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from common.errors import describe_error
from common.reporter import Reporter
from common.trial import PLANNED_EPOCHS, Trial, sample_key
from records.trials import TrialLog
from retiarius.context import RunContext
from retiarius.engines import make_trial_run
from retiarius.pacing import FEWEST_EPOCHS, FINALS_SHARE, MOST_EPOCHS, epoch_cost, has_finals
from retiarius.search_plan import SearchPlan
from retiarius.settings import SearchSettings

FINALS = "finals.jsonl"  # in the folder of a run: the same lines as in trials.jsonl
FINALISTS = 3

RunAgain = Callable[[Trial, int, Callable[[float], Any], Callable[[dict[str, Any]], Any]], float]


def seconds_for_finals(context: RunContext, settings: SearchSettings, plan: SearchPlan) -> float:
    """Return what of the time budget is kept for the finals: a quarter, or nothing where that would be too few epochs to tell by.

    There are none where trials have the size of a retraining already.
    """
    if not has_finals(settings, plan.share) or full_arguments(context, settings) == context.arguments:
        return 0.0
    seconds = (settings.time_budget or 0.0) * FINALS_SHARE
    architecture = {label: mutable.default() for label, mutable in plan.searched.architecture.items()}
    return seconds if seconds / FINALISTS >= FEWEST_EPOCHS * _cost(context, settings, architecture) else 0.0


def choose_at_full_size(
    context: RunContext,
    settings: SearchSettings,
    plan: SearchPlan,
    folder: Path,
    trials: list[Trial],
    seconds: float,
    save_best: Callable[[Trial], None],
) -> None:
    """Train the best of ``trials`` at the size of a retraining, for as many epochs each, and save the best of them.

    Parameters
    ----------
    folder
        Of the run; finals of an interrupted run are not repeated.
    seconds
        What ``seconds_for_finals`` gave; 0: nothing happens.
    save_best
        Called with the winner: the trial, with the score that it has at full size.
    """
    chosen = _best_of(trials, FINALISTS)
    if not seconds or len(chosen) < 2:
        return
    context.reporter.say(f"the best {len(chosen)} networks are compared at the size of a retraining: {folder / FINALS}")
    run = replace(make_trial_run(context, settings, plan), build=partial(context.space.network, full_arguments(context, settings)))

    def epochs_of(done: list[Trial], waiting: list[Trial]) -> int:
        costs = [_cost(context, settings, trial.architecture) for trial in waiting]
        known = next((trial.planned_epochs for trial in done if trial.planned_epochs), None)
        return known or max(1, min(MOST_EPOCHS, int(seconds / len(chosen) / max(costs))))

    def run_again(trial: Trial, epochs: int, *heard: Any) -> float:
        return run({**_searched(plan, trial), "epochs": epochs}, *heard)

    finals = train_each(run_again, chosen, folder, epochs_of, context.reporter)
    if finals:
        save_best(max(finals, key=lambda trial: trial.score or 0.0))


def train_each(
    run: RunAgain, chosen: list[Trial], folder: Path, epochs_of: Callable[[list[Trial], list[Trial]], int], reporter: Reporter
) -> list[Trial]:
    """Return those of the ``chosen`` trials that could be trained once more, as they are then, in their order.

    Parameters
    ----------
    run
        Trains the network of a trial for so many epochs; takes ``report`` and ``note`` as ``RunTrial`` does, and returns the score.
    folder
        Of the run, whose ``finals.jsonl`` keeps them; those of an interrupted run are not repeated, where the networks are the same.
    epochs_of
        From those that are done, and those that wait, to the epochs of each; asked only where some wait.
    """
    log = TrialLog(folder / FINALS)
    networks = {trial.number: sample_key(trial.architecture) for trial in chosen}
    done = {trial.number: trial for trial in log.read() if networks.get(trial.number) == sample_key(trial.architecture)}
    waiting = [trial for trial in chosen if trial.number not in done]
    with reporter.progress(len(chosen), "networks", "finals", completed=len(chosen) - len(waiting)) as shown:
        epochs = epochs_of(list(done.values()), waiting) if waiting else 0
        for trial in waiting:
            done[trial.number] = _train(run, trial, epochs)
            log.append(done[trial.number])
            shown.update(1, best=done[trial.number].score)
    return [done[trial.number] for trial in chosen if done[trial.number].score is not None]


def full_arguments(context: RunContext, settings: SearchSettings) -> dict[str, Any]:
    """Return the arguments of the space's constructor that a retraining has."""
    return {**context.arguments, **context.space.sized_arguments(settings.preset, "retrain", settings.fixed)}


def _best_of(trials: list[Trial], count: int) -> list[Trial]:
    """Return the trials of the highest scores, no two of one architecture."""
    first: dict[str, Trial] = {}
    for trial in sorted((trial for trial in trials if trial.score is not None), key=lambda trial: -(trial.score or 0.0)):
        first.setdefault(sample_key(trial.architecture), trial)
    return list(first.values())[:count]


def _cost(context: RunContext, settings: SearchSettings, architecture: Mapping[str, Any]) -> float:
    """Return about how many seconds an epoch of the network takes at full size."""
    return epoch_cost(context, context.space.network(full_arguments(context, settings), architecture), {})


def _train(run: RunAgain, trial: Trial, epochs: int) -> Trial:
    """Return ``trial`` as it is by ``run``, after so many epochs."""
    curve: list[float] = []
    facts: dict[str, Any] = {PLANNED_EPOCHS: epochs}
    begin = time.monotonic()
    told: dict[str, Any] = {"state": "complete", "error": None}
    try:
        score: float | None = run(trial, epochs, curve.append, facts.update)
    except Exception as error:
        score, told = None, {"state": "failed", "error": describe_error(error)}
    return replace(trial, score=score, curve=curve, facts=facts, seconds=time.monotonic() - begin, **told)


def _searched(plan: SearchPlan, trial: Trial) -> dict[str, Any]:
    """Return the sample of a recorded trial as the search has it."""
    return {**trial.architecture, **{label: trial.sample[label] for label in plan.searched.hyperparameters}}
