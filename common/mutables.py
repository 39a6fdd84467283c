"""What a mutable of NNI's can be: how many values it has, and a check of its numbers. Imports NNI."""

from __future__ import annotations

import math
from typing import Any

from nni.mutable import Categorical, CategoricalMultiple, Numerical, Sample, SampleValidationError
from nni.mutable.annotation import MutableAnnotation
from nni.mutable.exception import SampleMissingError

from common.numbers import is_real


def is_chosen(mutable: Any) -> bool:
    """Return whether ``mutable`` is something that is chosen, and no constraint or other remark, which tells about the others."""
    return not isinstance(mutable, MutableAnnotation)


def count_values(mutable: Any) -> int | None:
    """Return how many values a mutable can have; ``None`` where it is a range, or of a kind that nobody can count.

    Of a quantized number, those count that are drawn with a probability above 0: multiples of the step, and the bounds in place of
    the multiples beyond them.
    """
    if isinstance(mutable, CategoricalMultiple):
        size: int = len(mutable.values)
        chosen: int | None = mutable.n_chosen
        return 1 << size if chosen is None else math.comb(size, chosen)
    if isinstance(mutable, Categorical):
        return len(mutable.values)
    if not isinstance(mutable, Numerical):
        return None
    low, high = float(mutable.low), float(mutable.high)
    step: float | None = mutable.quantize
    if getattr(mutable, "whole", False):  # its range is wider than its bounds by half a step on both sides
        return round(high - low) + 1
    if step is None or not (math.isfinite(low) and math.isfinite(high)):
        return None
    return max(1, math.ceil(high / step - 0.5) - math.floor(low / step + 0.5) + 1)


def list_values(mutable: Any) -> list[Any]:
    """Return all values of a mutable that ``count_values`` can count, in order."""
    if not isinstance(mutable, Numerical):
        return list(mutable.grid())
    number, step = count_values(mutable), mutable.quantize
    assert number is not None and step is not None
    first = math.floor(mutable.low / step + 0.5)
    values = (mutable.qclip(multiple * step) for multiple in range(first, first + number))
    return [value if isinstance(value, int) else float(value) for value in values]


def check_is_real(label: str, sample: Sample, expected: str) -> SampleValidationError | None:
    """Return what is wrong where ``sample`` has no finite number at ``label``; NNI 3.0's ``Numerical`` takes NaN, and ``True`` for 1."""
    if label not in sample:
        return SampleMissingError(label, list(sample))
    value = sample[label]
    if not is_real(value):
        return SampleValidationError(f"{label} is {value!r}; expected {expected}")
    return None
