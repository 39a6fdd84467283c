"""The training that follows a search, in a folder of its own within that of the search."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from common.trial import Trial
from records.best import BestArchitecture

RETRAINED = "retrain"  # that folder
_FITTED = frozenset({"start_size"})  # what a training may change of the recipe, where the network rejects small images


def is_training_of(identity: Mapping[str, Any], best: Trial | BestArchitecture) -> bool:
    """Return whether the training that noted this ``identity`` of itself is one of this network with these hyperparameters."""
    recipe = identity.get("recipe")
    recipe = recipe if isinstance(recipe, dict) else {}
    return identity.get("architecture") == best.architecture and all(
        recipe[label] == value for label, value in best.hyperparameters.items() if label in recipe and label not in _FITTED
    )
