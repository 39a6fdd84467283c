"""Networks that have a name: the published genotypes of the DARTS space, and the backbones of the zoo. Nothing heavy is imported here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from common.errors import RecordError
from common.text import show
from spaces.darts.genotypes import GENOTYPES, architecture_from_genotype
from spaces.zoo.vocabulary import BACKBONES, DEFAULT, LEGAL, unread_by

NAMES = (*GENOTYPES, *BACKBONES)


def named_architecture(name: str, choices: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return the space and the architecture of the network called ``name``, one of ``NAMES``.

    A backbone is the zoo's default with this backbone; ``choices`` may make its other choices, such as ``stem`` (other labels in it are
    left alone). Whether they are legal is not checked here.
    """
    if name in GENOTYPES:
        return "darts", architecture_from_genotype(GENOTYPES[name])
    architecture = {**DEFAULT, "backbone": name}
    others = set(architecture) - {"backbone"}
    return "zoo", {**architecture, **{label: value for label, value in choices.items() if label in others}}


def check_choices(name: str, choices: Mapping[str, Any]) -> None:
    """Raise ``RecordError`` where one of ``choices`` is none that the network called ``name`` leaves, or is illegal."""
    left = choices_left(name)
    for label, value in choices.items():
        if label not in left:
            raise RecordError(f"`fixed['{label}']`: {name} leaves {' and '.join(left) or 'nothing'} to choose")
        if type(value) is not type(LEGAL[label][0]) or value not in LEGAL[label]:
            raise RecordError(f"`fixed['{label}']`: {show(value)}; legal: one of {', '.join(map(str, LEGAL[label]))}")


def choices_left(name: str) -> tuple[str, ...]:
    """Return the labels of the choices that the network called ``name`` leaves: none where it is not a backbone."""
    if name not in BACKBONES:
        return ()
    return tuple(label for label in DEFAULT if label not in ("backbone", *unread_by(name)))
