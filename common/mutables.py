"""A check of numbers for NNI's mutables. Imports NNI."""

from __future__ import annotations

from nni.mutable import Sample, SampleValidationError
from nni.mutable.exception import SampleMissingError

from common.numbers import is_real


def check_is_real(label: str, sample: Sample, expected: str) -> SampleValidationError | None:
    """Return what is wrong where ``sample`` has no finite number at ``label``; NNI 3.0's ``Numerical`` takes NaN, and ``True`` for 1."""
    if label not in sample:
        return SampleMissingError(label, list(sample))
    value = sample[label]
    if not is_real(value):
        return SampleValidationError(f"{label} is {value!r}; it is {expected}")
    return None
