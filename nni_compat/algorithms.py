"""NNI's tuners and assessors, and what takes the place of each here: the one table, read in both directions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


def fold(key: Any) -> str:
    """Return a name or key of NNI's as it is compared: NNI takes any case, and underscores."""
    return str(key).replace("_", "").lower()


@dataclass(frozen=True)
class Tuner:
    """A tuner or advisor of NNI's.

    Attributes
    ----------
    name
        As NNI spells it.
    strategy, pruner
        What takes its place here.
    is_same
        Whether that is the thing itself, rather than the nearest to it.
    is_offered
        Whether a message that lists what there is names it: not where it is only the nearest, or another name of the same.
    served_with
        Which of ``optimize_mode`` and ``seed`` it takes where NNI's own service runs it; None where that does not work on today's
        libraries.
    """

    name: str
    strategy: str
    pruner: str | None = None
    is_same: bool = True
    is_offered: bool = True
    served_with: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Assessor:
    """An assessor of NNI's; attributes as those of :class:`Tuner`."""

    name: str
    pruner: str
    is_same: bool = True
    is_served: bool = False


TUNERS = (
    Tuner("TPE", "tpe", served_with=("optimize_mode", "seed")),
    Tuner("TPELegacy", "tpe", is_offered=False),
    Tuner("Random", "random", served_with=("seed",)),
    Tuner("GridSearch", "grid", served_with=()),
    Tuner("Evolution", "evolution", served_with=("optimize_mode",)),
    Tuner("RegularizedEvolutionTuner", "evolution", is_offered=False),
    Tuner("GP", "gp"),
    Tuner("Hyperband", "random", "hyperband"),
    Tuner("BOHB", "tpe", "hyperband"),
    Tuner("Anneal", "tpe", is_same=False, is_offered=False),
    Tuner("SMAC", "tpe", is_same=False, is_offered=False),
    Tuner("Metis", "gp", is_same=False, is_offered=False),
    Tuner("DNGO", "tpe", is_same=False, is_offered=False),
)
ASSESSORS = (Assessor("Medianstop", "median", is_served=True), Assessor("Curvefitting", "median", is_same=False))

_TUNERS_BY_NAME = {fold(tuner.name): tuner for tuner in TUNERS}
_ASSESSORS_BY_NAME = {fold(assessor.name): assessor for assessor in ASSESSORS}
# The other way round, for NNI's own service: by our names for them.
SERVED_TUNERS = {tuner.strategy: tuner for tuner in TUNERS if tuner.served_with is not None}
SERVED_ASSESSORS = {assessor.pruner: assessor for assessor in ASSESSORS if assessor.is_served}


def find_tuner(name: str) -> Tuner | None:
    """Return the tuner or advisor that NNI calls ``name``, or None."""
    return _TUNERS_BY_NAME.get(fold(name))


def find_assessor(name: str) -> Assessor | None:
    """Return the assessor that NNI calls ``name``, or None."""
    return _ASSESSORS_BY_NAME.get(fold(name))
