"""What of a retraining can be wrong in its file or beside it, and the recipe that comes of both."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from common.errors import EvaluatorError, RecordError, SpaceError, closest
from common.reporter import Reporter
from evaluators.training.recipes import HYPERPARAMETERS, Recipe, check_hyperparameter, complete_recipe, make_recipe, override
from records.best import check_architecture
from records.metric import SCORE
from retiarius.architectures import Architecture
from retiarius.recipe_values import recipe_values_of
from retiarius.retrain_settings import RetrainSettings
from spaces.adapter import Space
from spaces.named import choices_left


def arguments_of(chosen: Architecture, space: Space, settings: RetrainSettings) -> dict[str, Any]:
    """Return those of the space's constructor: the file's, held to their ranges, then those of the preset and of ``settings.fixed``.

    Raises
    ------
    SpaceError
        One of them is illegal.
    """
    try:
        space.check_arguments(chosen.record.space_arguments)
    except SpaceError as error:
        raise SpaceError(f"{chosen.name}: {error}") from None
    return {**chosen.record.space_arguments, **space.sized_arguments(settings.preset, "retrain", settings.fixed)}


def check_before_imports(chosen: Architecture, space: Space, settings: RetrainSettings) -> None:
    """Refuse wrong values before the heavy imports, as far as they are known by then.

    Raises
    ------
    EvaluatorError, RecordError
        The architecture, a hyperparameter, or what is fixed is illegal.
    """
    for label, value in settings.fixed.items():
        if label in HYPERPARAMETERS:
            check_hyperparameter(label, value)
    known = {label: value for label, value in chosen.record.hyperparameters.items() if label in HYPERPARAMETERS}
    _recipe_in_file(chosen, known)  # what is wrong in the file, before what is set beside it
    if settings.recipe is None and "optimizer" not in settings.fixed:
        complete_recipe(known, where=chosen.name)
    if space.answers_at_once:
        _refuse_illegal(chosen, space.choices(chosen.record.space_arguments))
        _check_fixed(chosen, space, settings)


def check_architecture_of(chosen: Architecture, space: Space) -> None:
    """Refuse an architecture that the space does not hold, and arguments that it cannot be built with.

    Raises
    ------
    RecordError
        The message names the file.
    """
    from spaces.choices import legal_choices

    try:
        choices = legal_choices(space.make(chosen.record.space_arguments).simplify())
    except SpaceError as error:
        raise RecordError(f"{chosen.name}: {error}") from None
    _refuse_illegal(chosen, choices)


def recipe_of(chosen: Architecture, space: Space, settings: RetrainSettings, reporter: Reporter) -> Recipe:
    """Return the recipe of the retraining: the one that is asked for, else the file's hyperparameters, else the space's.

    Raises
    ------
    EvaluatorError, RecordError
        A hyperparameter, or what is fixed is illegal.
    """
    if not space.answers_at_once:
        _check_fixed(chosen, space, settings)
    # What was found with an evaluator of a person's own has that one's hyperparameters, too.
    known = chosen.record.hyperparameters if chosen.metric == SCORE.name else space.hyperparameters()
    own = [label for label in chosen.record.hyperparameters if label in known and label not in HYPERPARAMETERS]
    if own:
        reporter.warn(f"ignored, as retraining has no such hyperparameter: {', '.join(own)}, which {chosen.name} has for its own evaluator")
    stored = {label: value for label, value in chosen.record.hyperparameters.items() if label not in own}
    _recipe_in_file(chosen, stored)
    usual = space.recipe_for(settings.preset)
    values = recipe_values_of(settings.recipe, usual) if settings.recipe is not None else stored or recipe_values_of(None, usual)
    return make_recipe(override(values, settings.fixed))


def _recipe_in_file(chosen: Architecture, hyperparameters: Mapping[str, Any]) -> None:
    """Refuse illegal values in the file; the message names it."""
    try:
        make_recipe(hyperparameters)
    except EvaluatorError as error:
        raise EvaluatorError(f"{chosen.name}: {error}") from None


def _refuse_illegal(chosen: Architecture, choices: Mapping[str, Any]) -> None:
    try:
        check_architecture(chosen.record.architecture, choices)
    except RecordError as error:
        raise RecordError(f"{chosen.name}: {error}") from None


def _check_fixed(chosen: Architecture, space: Space, settings: RetrainSettings) -> None:
    """Refuse ``settings.fixed`` of what cannot be set in a retraining."""
    architecture, name = chosen.record.architecture, chosen.name
    can_be_set, left = (*space.settable("retrain"), *HYPERPARAMETERS), choices_left(name)
    for label, value in settings.fixed.items():
        if label not in can_be_set and (label not in architecture or architecture[label] != value):
            known = [*left, *can_be_set]
            near = [name for name in closest(label, known, 1) if name != label]
            hint = f"did you mean {near[0]}? " if near else ""
            raise RecordError(f"`fixed['{label}']`: {hint}retraining keeps the architecture; what can be set: {', '.join(known)}")
    of_architecture = [label for label in settings.fixed if label in architecture]
    read = space.canonical(architecture) if of_architecture else {}
    for label in of_architecture:
        if read[label] != architecture[label]:
            raise RecordError(f"`fixed['{label}']` has no effect on {name}: leave it out")
