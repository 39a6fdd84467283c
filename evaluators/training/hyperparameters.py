"""The legal values of each hyperparameter, checked one by one; nothing heavy is imported."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from common.errors import EvaluatorError, unknown_name
from common.optimizers import OPTIMIZERS
from common.text import show

SCHEDULES = ("cosine", "linear", "cosine_per_batch")
YES_OR_NO = (True, False)


@dataclass(frozen=True)
class Range:
    """Numbers from ``low`` to ``high``: whole ones, or any; without an end where ``open_low`` or ``open_high``."""

    low: float
    high: float
    open_low: bool = False
    open_high: bool = False
    whole: bool = False

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high and not (self.open_low and value == self.low) and not (self.open_high and value == self.high)

    def __str__(self) -> str:
        low, high = "more than" if self.open_low else "at least", "less than" if self.open_high else "at most"
        return f"{low} {self.low:g} and {high} {self.high:g}"


# Upper ends that no training needs keep what is computed from them within the range of float32, and memory within reason.
_RATE, _FRACTION, _PIXELS, _MIXING = Range(0, 1000), Range(0, 1, open_high=True), Range(0, 1024, whole=True), Range(0, 1024)
LEGAL: dict[str, Range | tuple[Any, ...]] = {
    "initial_lr": Range(0, 1000, open_low=True),
    "ending_lr": _RATE,
    "weight_decay": _RATE,
    "decay_norms": YES_OR_NO,
    "optimizer": OPTIMIZERS,
    "momentum": _FRACTION,
    "nesterov": YES_OR_NO,
    "batch_size": Range(2, 100_000, whole=True),
    "drop_last": YES_OR_NO,
    "schedule": SCHEDULES,
    "warmup_epochs": Range(0, 100_000),
    "crop_padding": _PIXELS,
    "crop_fill": ("black", "reflect"),
    "flip": ("random", "alternating"),
    "start_size": Range(0.1, 1),
    "rand_augment": Range(0, 30, whole=True),
    "cutout": _PIXELS,
    "mixup": _MIXING,
    "cutmix": _MIXING,
    "label_smoothing": _FRACTION,
    "grad_clip": Range(0, 100_000),
    "ema_decay": _FRACTION,
    "drop_path": _FRACTION,
    "auxiliary_weight": _RATE,
    "flip_averaging": YES_OR_NO,
}
HYPERPARAMETERS = tuple(LEGAL)


def check_hyperparameter(name: str, value: Any) -> Any:
    """Return ``value`` in the type that the hyperparameter ``name`` has: a whole number as int, another as float.

    Raises
    ------
    EvaluatorError
        The name is unknown, or the value illegal: one line with the legal ones.
    """
    if name not in LEGAL:
        raise EvaluatorError(unknown_name("hyperparameter", name, HYPERPARAMETERS))
    legal = LEGAL[name]
    if isinstance(legal, tuple):
        if not isinstance(value, type(legal[0])) or value not in legal:
            raise EvaluatorError(f"{name}: {show(value)} is not one of {', '.join(map(str, legal))}")
        return value
    if not _is_number(value) or (legal.whole and value != int(value)):
        raise EvaluatorError(f"{name}: {show(value)} is not {'a whole number' if legal.whole else 'a number'}")
    if value not in legal:
        raise EvaluatorError(f"{name}: {value:g} is out of range; it must be {legal}")
    return int(value) if legal.whole else float(value)


def _is_number(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number beyond any float
        return False
