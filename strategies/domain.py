"""What a model space lets a strategy choose: its choices and numbers, and which samples of them its constraints allow.

A ``Constraint`` of NNI's stands among the mutables of a space, by its label, and has no value of its own: NasBench101 notes one in every
sample that it checks, computed of the others. Samples here hold what was chosen and nothing else.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Container, Iterator
from typing import Any

import numpy as np
from nni.mutable import Sample, SampleValidationError
from nni.nas.space import ExecutableModelSpace

from common.mutables import count_values, is_chosen, list_values
from common.trial import sample_key

MAX_DRAWS = 500  # random samples in a row of which none is new and allowed: the space is used up
MAX_LISTED = 20_000  # a space of so many samples is looked at as a whole


def plain_sample(sample: Sample) -> dict[str, Any]:
    """Return ``sample`` with the numbers that NNI draws by numpy turned into Python's."""
    return {label: value.item() if hasattr(value, "item") else value for label, value in sample.items()}


def chosen_sample(model: ExecutableModelSpace) -> dict[str, Any]:
    """Return the sample of a frozen model, without what constraints have noted in it."""
    assert model.sample is not None
    notes = {label for label, mutable in model.simplify().items() if not is_chosen(mutable)}
    return plain_sample({label: value for label, value in model.sample.items() if label not in notes})


class Domain:
    """The samples of a model space.

    Attributes
    ----------
    mutables
        What is chosen, by label.
    is_constrained
        Whether some samples of the mutables are not allowed.
    """

    def __init__(self, space: ExecutableModelSpace) -> None:
        simplified = space.simplify()
        self._space = space
        self.mutables: dict[str, Any] = {label: mutable for label, mutable in simplified.items() if is_chosen(mutable)}
        self.is_constrained = len(self.mutables) < len(simplified)

    @property
    def count(self) -> float:
        """How many samples there are, those counted that are not allowed; infinity where there is a range."""
        sizes = [count_values(mutable) for mutable in self.mutables.values()]
        return math.inf if None in sizes else math.prod(size for size in sizes if size is not None)

    def allows(self, sample: Sample) -> bool:
        """Return whether a sample of the mutables meets the constraints, by NNI's own check."""
        try:
            return not self.is_constrained or self._space.contains(dict(sample))  # a copy: the check may note something in it
        except SampleValidationError:
            return False

    def chosen(self, sample: Sample) -> dict[str, Any]:
        """Return ``sample`` without what is not chosen."""
        return plain_sample({label: value for label, value in sample.items() if label in self.mutables})

    def draw(self, random: np.random.RandomState, known: Container[str]) -> dict[str, Any] | None:
        """Return a random sample that is allowed and new; ``None`` where none is found.

        Parameters
        ----------
        random
            By which NNI draws.
        known
            The samples that are not new, by ``sample_key``.
        """
        for _ in range(MAX_DRAWS):
            drawn: dict[str, Any] = {}
            try:
                self._space.random(random_state=random, memo=drawn)
            except SampleValidationError:
                continue
            sample = self.chosen(drawn)
            if sample_key(sample) not in known:
                return sample
        return self._draw_of_few(random, known) if self.count <= MAX_LISTED else None

    def _draw_of_few(self, random: np.random.RandomState, known: Container[str]) -> dict[str, Any] | None:
        """Return one of all samples that are allowed and new: by chance alone, those that few draws meet are not found."""
        new = [sample for sample in self.list_all() if sample_key(sample) not in known]
        return new[random.randint(len(new))] if new else None

    def list_all(self) -> Iterator[dict[str, Any]]:
        """Yield all samples that are allowed; there must be no range."""
        for values in itertools.product(*(list_values(mutable) for mutable in self.mutables.values())):
            sample = dict(zip(self.mutables, values, strict=True))
            if self.allows(sample):
                yield sample
