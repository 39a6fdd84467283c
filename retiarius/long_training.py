"""What a search reckons with where a long training follows: of short trials the small networks win, of long trainings the larger ones."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from common.files import read_json
from common.reporter import Reporter
from common.trial import AT_ONE_GO, FIRST, LAST, Sample, Trial
from records.formats import count_of, format_accuracy
from records.trial_keeper import TrialKeeper
from retiarius.pacing import FEWEST_EPOCHS, MOST_EPOCHS, Pace, has_finals
from retiarius.search_plan import SearchPlan
from retiarius.settings import TRAIN, SearchSettings
from retiarius.warm_start import DEFAULT, WORDS

if TYPE_CHECKING:
    from nni.nas.space import ExecutableModelSpace

    from strategies.engines.paced import PacedEngine

LATE_SHARE = 0.25  # of the time budget, for one network that needs longer than a share
LATE_MOST = 1 / 3  # where its few epochs need more
RESERVE = 0.1  # of that time, so that it comes to its end
TELLING_EPOCHS = 6  # of a trial: fewer say little of a training that is several times as long
LONG_EPOCHS = 8  # of the training that follows: with fewer there, a network is too slow for it too
ERRORS = Path(__file__).with_name("usual_errors.json")  # by epochs, with what they were measured on


@dataclass(frozen=True)
class LateTrial:
    """A trial that is trained last, at one go.

    Attributes
    ----------
    name
        What it is called in messages.
    sample
        As the search has it.
    cost
        Seconds of an epoch, about.
    seconds
        What of the time budget is kept for it.
    pace
        Of the search.
    """

    name: str
    sample: Sample
    cost: float
    seconds: float
    pace: Pace

    def epochs_within(self, seconds: float) -> int:
        """Return how long it is trained in so many seconds; 0 where these are too few to tell anything."""
        epochs = seconds / self.cost
        return max(FEWEST_EPOCHS, min(MOST_EPOCHS, int(epochs * (1 - RESERVE)))) if epochs >= FEWEST_EPOCHS else 0


def looks_ahead(settings: SearchSettings, plan: SearchPlan) -> bool:
    """Return whether the trials of a search have lengths of their own, and a training of the best follows that is to be the best then."""
    has_lengths = plan.share is not None and settings.epochs is None and settings.evaluator == TRAIN
    return has_lengths and settings.then_retrain is not None and not has_finals(settings, plan.share)


def choose_late_trial(
    settings: SearchSettings, plan: SearchPlan, pace: Pace, unfinished: Iterable[Trial], is_out: Callable[[Sample], bool]
) -> LateTrial | None:
    """Return the first of the plan's starts whose share is too short to tell how it would do in the training that follows.

    It costs more than the first one that has its few epochs in a share: that one is tried in its turn, and the strategy learns from it.
    The default configuration is asked last. None where there is none, where a person counts the trials or names those that come first, and
    where an interruption cut such a trial off, which then goes on.

    Parameters
    ----------
    unfinished
        Trials that were cut off.
    is_out
        Says whether a sample is not to be tried any more.
    """
    is_told = settings.trials is not None or any(word not in WORDS for word in settings.start_with)
    is_begun = any(trial.facts.get(AT_ONE_GO) == LAST for trial in unfinished)
    if is_told or is_begun or not looks_ahead(settings, plan):
        return None
    assert settings.time_budget is not None and settings.then_retrain is not None
    usual = 0.0
    for name, sample in sorted(plan.starts.items(), key=lambda start: start[0] == DEFAULT):
        cost = pace.known_cost(sample)
        if usual == 0.0 and 0 < FEWEST_EPOCHS * cost <= pace.share:
            usual = cost
        if cost > usual and pace.share / cost < TELLING_EPOCHS and settings.then_retrain / cost >= LONG_EPOCHS:
            seconds = max(LATE_SHARE * settings.time_budget, FEWEST_EPOCHS * cost * (1 + RESERVE))
            if seconds <= LATE_MOST * settings.time_budget and not is_out(sample):
                return LateTrial(name, sample, cost, seconds, pace)
    return None


def let_first_go(
    settings: SearchSettings, plan: SearchPlan, pace: Pace, known: Iterable[Trial], is_too_large: Callable[[Sample], bool]
) -> None:
    """Let the first of the plan's starts that is not too slow come to its end without waiting, unless a trial of the run did so before.

    What is best known beforehand is then not pushed out by what learns faster at first. The default configuration is not meant, nor what
    was best untrained.
    """
    if settings.epochs is not None or settings.evaluator != TRAIN or any(trial.facts.get(AT_ONE_GO) == FIRST for trial in known):
        return
    for name, sample in plan.starts.items():
        fits = name != DEFAULT and name not in plan.screened and 0 < FEWEST_EPOCHS * pace.known_cost(sample) <= pace.share
        if fits and not is_too_large(sample):
            pace.let_go(sample, FIRST)
            return


def try_last(late: LateTrial, explored: ExecutableModelSpace, engine: PacedEngine, reporter: Reporter) -> None:
    """Try ``late`` in the time that is kept for it, unless an interrupted run has spent that already."""
    engine.give_time(late.seconds)
    epochs = late.epochs_within(engine.seconds_left)
    if epochs:
        reporter.say(f"{late.name} is tried last, for {count_of(epochs, 'epoch')}: a share is too short to judge it")
        late.pace.let_go(late.sample, LAST, epochs)
        engine.submit_models(explored.freeze(dict(late.sample)))


def expected_error(error: float, epochs: float, later: float) -> float:
    """Return the error to expect after ``later`` epochs of a network that has ``error`` after ``epochs``, in trainings of their own.

    It falls by the same factor as that of ``ERRORS``, by which larger networks are judged too low rather than too high.
    """
    return error * _usual_error(later) / _usual_error(epochs)


@cache
def _usual_errors(path: Path) -> list[tuple[int, float]]:
    """Return the errors that were measured, each with its number of epochs, in their order."""
    return [(epochs, error) for epochs, error in read_json(path)["errors"]]


def _usual_error(epochs: float) -> float:
    """Return the error of ``ERRORS`` after so many epochs: between its points, and beyond them as between the nearest two, a power."""
    errors = _usual_errors(ERRORS)
    (first, before), (last, after) = next((pair for pair in pairwise(errors) if epochs < pair[1][0]), errors[-2:])
    power = math.log(after / before) / math.log(last / first)
    return float(before * (epochs / first) ** power)


def best_for_training(trials: Iterable[Trial], seconds: float, images: int) -> tuple[Trial, float] | None:
    """Return which of the trials would be the best after a training of so many seconds, and its error then.

    Candidates are the trials within a standard error of the smallest expected error, by the ``images`` on which they were scored. The
    network with the most multiply-adds wins, as errors of larger networks are expected too high. Among its trials the one with the smallest
    expected error wins. Trials that wait are no candidates: their learning rates have not decayed yet. None where all wait.
    """
    from evaluators.training.cost import MOST_EPOCHS as MOST_OF_A_TRAINING

    expected = []
    for trial in trials:
        epochs = len(trial.curve)
        if trial.state == "complete" and trial.score is not None and epochs:
            later = min(MOST_OF_A_TRAINING, max(1.0, seconds * epochs / trial.seconds))
            expected.append((trial, expected_error(1 - trial.score, epochs, later)))
    if not expected:
        return None
    least = min(error for _, error in expected)
    limit = least + math.sqrt(max(0.0, least * (1 - least)) / images)
    return max((each for each in expected if each[1] <= limit), key=lambda each: (each[0].flops or 0, -each[1]))


def save_best_for_training(
    settings: SearchSettings, keeper: TrialKeeper, images: int, save_best: Callable[..., None], reporter: Reporter
) -> None:
    """Save the trial that would be the best after the training that follows, and say so where it is not the best by its score.

    Parameters
    ----------
    images
        On how many trials are scored.
    save_best
        Takes the trial, and ``expected_accuracy``, in [0, 1], which ``best.json`` then has beside the trial's number.
    """
    found, best = best_for_training(keeper.trials, settings.then_retrain or 0.0, images), keeper.best
    if found is None or best is None:
        return
    trial, accuracy = found[0], 1 - found[1]
    if accuracy < (best.score or 0.0):  # of one that waits, say, before others came to an end
        return
    if trial.number != best.number:
        told = f"{format_accuracy(trial.score)} after {count_of(len(trial.curve), 'epoch')}"
        reporter.say(f"trial {trial.number} is chosen for the training that follows: {told}, and then about {format_accuracy(accuracy)}")
    save_best(trial, expected_accuracy=round(accuracy, 4))
