"""Presets: how large a run is. What a space's networks look like in each is the space's own affair (its ``SIZES``)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Preset:
    """Sizes of a run.

    Attributes
    ----------
    summary
        What the preset is for.
    images
        Training images that are used, None for all; the test set is cut to as many.
    search_epochs
        Epochs of a one-shot search.
    trials, trial_epochs
        Number of trials of a multi-trial search, and the epochs of each.
    retrain_epochs
        Epochs of a retraining.
    """

    summary: str
    images: int | None
    search_epochs: int
    trials: int
    trial_epochs: int
    retrain_epochs: int


DEFAULT_PRESET = "quick"
PRESETS: dict[str, Preset] = {
    "quick": Preset("a first look: about two minutes on two CPU cores", 4_000, 2, 6, 2, 4),
    "lab": Preset("the lab's sizes, all images", None, 30, 20, 8, 30),
    "paper": Preset("the DARTS paper's sizes, all images (a GPU)", None, 50, 100, 12, 600),
}


def image_limit(preset: str, data: Any) -> int | None:
    """Return how many training images of ``data`` a run of ``preset`` uses, None for all; a ``Dataset`` stays as its maker made it."""
    from evaluators.data.splits import Dataset

    return None if isinstance(data, Dataset) else PRESETS[preset].images
