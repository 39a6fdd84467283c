"""Checks of spaces and evaluators of anyone's, once the space is built: each is one line, before anything runs."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from common.errors import RecordError, SpaceError, StrategyError
from common.files import to_json
from common.text import show
from evaluators import find_evaluator
from evaluators.adapter import takes
from retiarius.settings import TRAIN, SearchSettings


def check_storable(space: str, choices: Mapping[str, Mapping[str, Any]]) -> None:
    """Raise ``SpaceError`` where a candidate is nothing that a file can hold, such as a class: no trial of it could be kept."""
    for label, choice in choices.items():
        for value in choice.get("values", ()):
            try:
                to_json(value)
            except RecordError:
                right = "use strings or numbers as candidates, and look them up in the constructor"
                raise SpaceError(f"{space}: a candidate of {show(label)} is {show(value)}, which cannot be stored; {right}") from None


def check_evaluator_fits(settings: SearchSettings, choices: Collection[str], recipe: Collection[str]) -> None:
    """Refuse what an evaluator of a person's own would pass over in silence, and two things under one label.

    Parameters
    ----------
    choices
        The labels of the space.
    recipe
        The names of our trainings' hyperparameters.

    Raises
    ------
    SpaceError, StrategyError
        One line.
    """
    if settings.evaluator == TRAIN or settings.table is not None:
        return
    evaluation = settings.nni_evaluation
    if evaluation is not None:
        if twice := [label for label in evaluation.hyperparameters if label in choices]:
            raise SpaceError(f"the evaluator and {settings.space.name} both have a choice {show(twice[0])}: rename one of them")
        if settings.epochs is not None:
            raise StrategyError(f"`epochs` has no effect on NNI's {settings.evaluator_name}, which sets its own: leave it out")
        if settings.recipe is not None:
            raise StrategyError(f"`recipe` has no effect on NNI's {settings.evaluator_name}, which sets its own: leave it out")
    function = find_evaluator(settings.evaluator)[1].load()
    idle = [label for label in settings.fixed if label in recipe and label not in choices and not takes(function, label)]
    if idle:
        raise StrategyError(f"`fixed['{idle[0]}']`: the evaluator {settings.evaluator_name} has no parameter {idle[0]}; leave it out")
