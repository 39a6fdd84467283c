"""The end of a search in small networks with a time budget: the best are trained once more at full size, and the best of those counts."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from common.errors import describe_error
from common.reporter import Reporter
from common.trial import PLANNED_EPOCHS, Trial, sample_key
from records.trials import FINALS, TrialLog
from retiarius.context import RunContext
from retiarius.engines import make_trial_run, size_limits
from retiarius.pacing import FEWEST_EPOCHS, FINALS_SHARE, MOST_EPOCHS, epoch_cost, has_finals
from retiarius.search_plan import SearchPlan
from retiarius.settings import SearchSettings

FINALISTS = 3
MEASURED = 3  # architectures, of which the costliest says whether there is time

RunAgain = Callable[[Trial, int, Callable[[float], Any], Callable[[dict[str, Any]], Any]], float]


def seconds_for_finals(context: RunContext, settings: SearchSettings, plan: SearchPlan, before: float) -> float:
    """Return what of the time budget is kept for the finals: a quarter, or nothing where that would be too few epochs to tell by.

    There are none where trials have the size of a retraining already. What will be found may take longer than the default architecture,
    whose operations may be the cheapest: some random ones are measured, too. Where finals took ``before`` seconds already, there was time.
    """
    if not has_finals(settings, plan.share):
        return 0.0
    seconds = (settings.time_budget or 0.0) * FINALS_SHARE
    if before:
        return seconds
    enough = seconds / FINALISTS / FEWEST_EPOCHS
    costs = (_known_cost(context, settings, architecture, enough) for architecture in _some_architectures(context, settings, plan))
    if all(cost <= enough for cost in costs):
        return seconds
    context.reporter.say("a quarter of `time_budget` is too short to compare networks at the size of a retraining: trials have all of it")
    return 0.0


def _some_architectures(context: RunContext, settings: SearchSettings, plan: SearchPlan) -> Iterator[Mapping[str, Any]]:
    """Yield the default architecture, then random ones, as far as the search allows them."""
    from numpy.random import RandomState

    searched, random, rejects = plan.searched, RandomState(settings.seed % 2**32), size_limits(context, settings, plan)
    drawn = [{label: mutable.default() for label, mutable in searched.architecture.items()}]
    domain = context.domain(searched)
    drawn += [found for found in (domain.draw(random, ()) for _ in range(MEASURED - 1)) if found is not None]
    yield from (architecture for architecture in drawn if rejects(architecture) is None)


def seconds_of_finals(folder: Path) -> float:
    """Return how long the finals took that are on record in a run's folder."""
    return sum(trial.seconds for trial in TrialLog(folder / FINALS).read())


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
    recorded = TrialLog(folder / FINALS).read()
    costs = [_cost(context, settings, trial.architecture, hyperparameters=_searched(plan, trial)) for trial in chosen]
    done = {final.number for final in recorded}
    count, epochs = fit_finals(costs, seconds, [trial.number in done for trial in chosen])
    if count < 2:
        context.reporter.say("no networks are compared at the size of a retraining: there is no time for three epochs of each")
        return
    chosen = chosen[:count]
    context.reporter.say(f"the best {count} networks are compared at the size of a retraining: {folder / FINALS}")
    run = replace(make_trial_run(context, settings, plan), build=partial(context.space.network, full_arguments(context, settings)))

    def run_again(trial: Trial, epochs: int, *heard: Any) -> float:
        return run({**_searched(plan, trial), "epochs": epochs}, *heard)

    finals = train_each(run_again, chosen, folder, epochs, context.reporter)
    if finals:
        earlier = [final for final in recorded if final.planned_epochs == finals[0].planned_epochs]  # before an extension
        save_best(max([*earlier, *finals], key=lambda trial: trial.score or 0.0))


def fit_finals(costs: Sequence[float], seconds: float, done: Sequence[bool] = ()) -> tuple[int, int]:
    """Return how many networks, the first of these, can be compared in so many seconds, and for how many epochs each; (0, 0) for none.

    Parameters
    ----------
    costs
        Seconds of an epoch of each, the best first.
    done
        Which are compared already: as many are, whatever epochs seem to cost now.
    """
    least = max((place for place, is_done in enumerate(done, 1) if is_done), default=0)
    for count in range(len(costs), max(1, least - 1), -1):
        epochs = min(MOST_EPOCHS, int(seconds / sum(costs[:count])))
        if epochs >= FEWEST_EPOCHS:
            return count, epochs
    return least, FEWEST_EPOCHS * (least > 0)


def train_each(run: RunAgain, chosen: list[Trial], folder: Path, epochs: int, reporter: Reporter) -> list[Trial]:
    """Return those of the ``chosen`` trials that could be trained once more, as they are then, in their order.

    Parameters
    ----------
    run
        Trains the network of a trial for so many epochs; takes ``report`` and ``note`` as ``RunTrial`` does, and returns the score.
    folder
        Of the run, whose ``finals.jsonl`` keeps them; those of an interrupted run are not repeated, where the networks are the same.
    epochs
        Of each; where some are done, as many as those have.
    """
    log = TrialLog(folder / FINALS)
    networks = {trial.number: sample_key(trial.architecture) for trial in chosen}
    done = {trial.number: trial for trial in log.read() if networks.get(trial.number) == sample_key(trial.architecture)}
    waiting = [trial for trial in chosen if trial.number not in done]
    with reporter.progress(len(chosen), "networks", "finals", completed=len(chosen) - len(waiting)) as shown:
        epochs = next((trial.planned_epochs for trial in done.values() if trial.planned_epochs), epochs)
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


def _cost(
    context: RunContext,
    settings: SearchSettings,
    architecture: Mapping[str, Any],
    enough: float = math.inf,
    hyperparameters: Mapping[str, Any] | None = None,
) -> float:
    """Return about how many seconds an epoch of the network takes at full size, as ``epoch_cost`` does."""
    values = {label: value for label, value in (hyperparameters or {}).items() if label not in architecture}
    return epoch_cost(context, context.space.network(full_arguments(context, settings), architecture), values, enough)


def _known_cost(*told: Any) -> float:
    """Return that, or 0 for a network that fails: as a trial it fails again, and then says why."""
    try:
        return _cost(*told)
    except Exception:
        return 0.0


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
