"""A recipe that is named or handed over, as the values of a training's hyperparameters. Imports nothing heavy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from common.errors import EvaluatorError
from common.text import show
from evaluators.training.recipes import Recipe, make_recipe, recipe_values


def recipe_values_of(recipe: Any, usual: str) -> dict[str, Any]:
    """Return the values of a recipe.

    Parameters
    ----------
    recipe
        Its name, a ``Recipe``, or values by name, which take the place of those of the ``usual`` one; None for that one, a name.

    Raises
    ------
    EvaluatorError
        There is no recipe of this name, or one of the values is illegal.
    """
    if recipe is None or isinstance(recipe, str):
        return recipe_values(recipe or usual)
    if isinstance(recipe, Recipe):
        return asdict(make_recipe(asdict(recipe)))
    if not isinstance(recipe, Mapping):
        raise EvaluatorError(f"recipe: {show(recipe)} is not a name, a Recipe or a mapping of hyperparameters")
    return asdict(make_recipe({**recipe_values(usual), **recipe}))
