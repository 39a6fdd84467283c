"""What a ``search_space.json`` of NNI's says of one of our spaces and of the hyperparameters of its trainings."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from nni.mutable import Categorical, LabeledMutable

from common.errors import SpaceError, require_labels
from nni_compat.search_space import NniNumber, parse_search_space

EPOCHS = "epochs"


@dataclass(frozen=True)
class ChosenSpace:
    """What is searched of a space.

    Attributes
    ----------
    narrowed
        By label of the architecture, the candidates that are named.
    searched
        The hyperparameters, as NNI mutables by label; ``epochs`` among them where trials are of different lengths.
    epochs
        The most epochs that a trial has, ``None`` where nothing is said.
    """

    narrowed: dict[str, list[Any]]
    searched: dict[str, LabeledMutable]
    epochs: int | None


def choose_from(
    document: Any,
    *,
    rename: Mapping[str, str],
    choices: Mapping[str, Mapping[str, Any]],
    hyperparameters: Collection[str],
    check: Callable[[str, Any], Any],
    epochs: int | None,
) -> ChosenSpace:
    """Read ``document``, the content of a ``search_space.json``.

    Parameters
    ----------
    rename
        Names that people use for our labels.
    choices
        The space's legal choices by label (see ``legal_choices``).
    hyperparameters, check
        What a training takes, and what raises on an illegal value of it.
    epochs
        Where it is given, it counts, and the file's ``epochs`` do not.

    Raises ``SpaceError``, one line.
    """
    nni_space = parse_search_space(document)
    own = {*choices, *hyperparameters}  # which nothing renames
    names = {name: ours for name, ours in rename.items() if name not in own and ours in own}
    narrowed: dict[str, list[Any]] = {}
    searched: dict[str, LabeledMutable] = {}
    for name, (label, candidates) in nni_space.tree.items():
        if candidates is not None:
            raise SpaceError(f"{name}: nested choices work with a trial command only; write one parameter for each")
        mutable, ours = nni_space.mutables[label], names.get(name, name)
        if ours in narrowed or ours in searched:
            raise SpaceError(f"{name}: {ours} appears twice, under two names; remove one")
        if ours in choices:
            narrowed[ours] = _candidates(name, mutable, choices[ours])
        else:
            _require_known(name, [*choices, *names, *hyperparameters, EPOCHS])
            mutable.label = ours
            for value in _probes(mutable):
                _check_epochs(value) if ours == EPOCHS else check(ours, value)
            searched[ours] = mutable
    lengths = searched.pop(EPOCHS, None)
    if epochs is None and lengths is not None:
        epochs = max(_probes(lengths))
        if not isinstance(lengths, Categorical) or len(lengths.values) > 1:
            searched[EPOCHS] = lengths
    return ChosenSpace(narrowed, searched, epochs)


def _require_known(name: str, known: Collection[str]) -> None:
    try:
        require_labels([name], known)
    except SpaceError as error:
        raise SpaceError(f"search space: {error} (any name works with a trial command)") from None


def _candidates(name: str, mutable: LabeledMutable, choice: Mapping[str, Any]) -> list[Any]:
    """Return the candidates that are named: all of a choice of several, which cannot be narrowed."""
    if choice["kind"] == "number":
        right = "fix it, or set its range in the space"
        raise SpaceError(f"{name}: the space has all numbers from {choice['low']:g} to {choice['high']:g}: {right}")
    legal = choice["values"]
    named = list(mutable.values) if isinstance(mutable, Categorical) else []
    if choice["kind"] == "several":
        if choice["n_chosen"] == 1 and all(isinstance(value, list) and len(value) == 1 for value in named):
            named = [value[0] for value in named]
        if len(named) != len(legal) or any(value not in legal for value in named):
            raise SpaceError(f"{name}: what is chosen of several cannot be narrowed: name all, {legal}, or fix it")
        return list(legal)
    if not named:
        raise SpaceError(f"{name}: expected a choice among {', '.join(map(str, legal))}")
    for value in named:
        if value not in legal:
            raise SpaceError(f"{name}: {value!r} is not one of {', '.join(map(str, legal))}")
    return named


def _probes(mutable: LabeledMutable) -> list[Any]:
    """Values by which one sees whether all are legal: every one of a choice, the ends and some between of a range."""
    if isinstance(mutable, Categorical):
        return list(mutable.values)
    assert isinstance(mutable, NniNumber)
    ends = (0.0, 1.0) if mutable.mu is None else ()  # what is normally distributed may leave the legal range: such a trial fails
    return [mutable.qclip(mutable.distribution.ppf(share)) for share in (*ends, 0.37, 0.5, 0.63)]


def _check_epochs(value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise SpaceError(f"epochs: {value!r} is not a whole number of at least 1; use choice or randint")
