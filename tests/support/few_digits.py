"""The digits, but fewer: for whole runs of which it does not matter how many images they see."""

from __future__ import annotations

from typing import Any

import pytest
import sklearn.datasets

from evaluators.data import digits

TRAIN, TEST = 240, 60  # of 1,437 and 360; a tenth of those to train is for validation
VARIABLE = "FEW_DIGITS"
_load_digits = sklearn.datasets.load_digits


def use_few_digits(monkeypatch: pytest.MonkeyPatch, train: int = TRAIN) -> None:
    """Let ``--dataset digits`` be ``train`` images to train and 60 to test, here and in every ``Program`` that is started meanwhile."""

    def load_few(**options: Any) -> Any:
        images, labels = _load_digits(**options)
        return images[: train + TEST], labels[: train + TEST]

    monkeypatch.setattr(sklearn.datasets, "load_digits", load_few)
    monkeypatch.setattr(digits, "_TEST_SIZE", TEST)
    monkeypatch.setenv(VARIABLE, str(train))
