"""A recipe that is named or handed over, as the values of a training's hyperparameters. Imports nothing heavy."""

from __future__ import annotations

from dataclasses import asdict, is_dataclass
from typing import Any

from evaluators.training.recipes import make_recipe, recipe_values


def recipe_values_of(recipe: Any, usual: str) -> dict[str, Any]:
    """Return the values of a recipe.

    Parameters
    ----------
    recipe
        Its name, a ``Recipe``, or values by name; None for the ``usual`` one, a name.

    Raises
    ------
    EvaluatorError
        There is no recipe of this name, or one of the values is illegal.
    """
    if recipe is None or isinstance(recipe, str):
        return recipe_values(recipe or usual)
    return asdict(recipe) if is_dataclass(recipe) and not isinstance(recipe, type) else asdict(make_recipe(recipe))
