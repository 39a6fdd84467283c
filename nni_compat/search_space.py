"""NNI's ``search_space.json`` as mutables, each type as NNI 3.0's ``parameter_expressions`` and ``hpo_utils`` define it.

A nested choice, ``{"_name": ..., parameters of this candidate ...}``, is a choice of names; the parameters of all candidates are mutables
of their own, labelled ``choice/candidate/parameter``, and those of candidates that were not chosen do not matter.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nni.mutable import Categorical, LabeledMutable, Numerical, Sample, SampleValidationError
from scipy.stats import uniform

from common.errors import SpaceError, require_labels, unknown_name
from common.mutables import check_is_real
from common.text import show, show_text

# What each type takes, in this order; a choice takes any number of candidates.
ARGUMENTS: dict[str, tuple[str, ...]] = {
    "choice": (),
    "randint": ("lower", "upper"),
    "uniform": ("low", "high"),
    "quniform": ("low", "high", "q"),
    "loguniform": ("low", "high"),
    "qloguniform": ("low", "high", "q"),
    "normal": ("mu", "sigma"),
    "qnormal": ("mu", "sigma", "q"),
    "lognormal": ("mu", "sigma"),
    "qlognormal": ("mu", "sigma", "q"),
}
MAX_CANDIDATES = 1_000
MAX_DEPTH = 10
MAX_NAME = 1_000  # characters
MAX_STEPS = 2.0**52  # more multiples of q than this are not apart from one another as floats
LARGEST_EXPONENT = 700.0  # e to this power is near the largest float
Tree = dict[str, tuple[str, "dict[str, Tree] | None"]]


class NniNumber(Numerical):
    """A number with NNI's rounding; ``whole`` ones are ``int``.

    NNI's own ``Numerical`` takes NaN, and refuses the 0 to which a log-normal number rounds, where the density is 0.
    """

    def __init__(self, low: float = -math.inf, high: float = math.inf, *, whole: bool = False, **arguments: Any) -> None:
        super().__init__(low, high, **arguments)
        self.whole = whole

    def qclip(self, x: float) -> float:
        """Return ``x`` rounded to a multiple of q, then clipped to the bounds."""
        value = super().qclip(x)
        return int(value) if self.whole else float(value)

    def check_contains(self, sample: Sample) -> SampleValidationError | None:
        """Return what is wrong with the number in ``sample``, or None."""
        error = check_is_real(self.label, sample, "a number")
        if error is not None:
            return error
        value = sample[self.label]
        tolerance = 1e-9 * (self.quantize or 0.0)
        if not math.isclose(self.qclip(value), value, rel_tol=1e-9, abs_tol=tolerance):
            steps = f" in steps of {self.quantize:g}" if self.quantize is not None else ""
            return SampleValidationError(f"{self.label} is {show(value)}; it is a number from {self.low:g} to {self.high:g}{steps}")
        return None


@dataclass(frozen=True)
class NniSpace:
    """A search space of NNI's.

    Attributes
    ----------
    mutables
        What is searched, by label.
    tree
        The way from a sample of theirs to what a trial is given.
    """

    mutables: dict[str, LabeledMutable]
    tree: Tree

    def parameters(self, sample: Sample) -> dict[str, Any]:
        """Return the parameters as ``nni.get_next_parameter`` gives them to a trial."""
        return _assemble(self.tree, sample)

    def canonical(self, sample: Sample) -> dict[str, Any]:
        """Return ``sample`` with the parameters of candidates that were not chosen at their defaults: equal ones are the same trial."""
        active = _active_labels(self.tree, sample)
        return {label: sample[label] if label in active else mutable.default() for label, mutable in self.mutables.items()}

    def active(self, sample: Sample) -> dict[str, Any]:
        """Return ``sample`` with None for the parameters of candidates that were not chosen."""
        active = _active_labels(self.tree, sample)
        return {label: sample[label] if label in active else None for label in self.mutables}

    def pin(self, pins: Mapping[str, Any]) -> NniSpace:
        """Return the space with the labels of ``pins`` at one value; raise ``SpaceError`` on an unknown label or an illegal value."""
        require_labels(pins, list(self.mutables))
        for label, value in pins.items():
            if not self.mutables[label].contains({label: value}):
                raise SpaceError(f"{show_text(label)}: {show(value)} is not in the search space: {self.mutables[label].extra_repr()}")
        pinned = {label: make_mutable(label, "choice", [value]) for label, value in pins.items()}
        return NniSpace({**self.mutables, **pinned}, self.tree)


def parse_search_space(document: Any) -> NniSpace:
    """Return the space that ``search_space.json`` describes; raise ``SpaceError``: the parameter, what is wrong, what would be right."""
    if not isinstance(document, Mapping) or not document:
        raise SpaceError('a search space is an object such as {"lr": {"_type": "loguniform", "_value": [0.0001, 0.1]}}')
    mutables: dict[str, LabeledMutable] = {}
    tree = _parse_level(document, "", mutables, depth=0)
    return NniSpace(mutables, tree)


def _parse_level(document: Mapping[Any, Any], prefix: str, mutables: dict[str, LabeledMutable], depth: int) -> Tree:
    tree: Tree = {}
    for name, spec in document.items():
        if not isinstance(name, str) or not name:
            raise SpaceError(f"search space: the name of a parameter is {show(name)}; expected a string")
        _check_length(name)
        label = f"{prefix}{name}"
        if depth > MAX_DEPTH:
            raise SpaceError(f"{show_text(label)}: choices are nested deeper than {MAX_DEPTH}")
        if label in mutables:
            raise SpaceError(f"{show_text(label)}: two parameters have this name")
        kind, values = _type_and_values(label, spec)
        names = _candidate_names(label, values) if kind == "choice" else None
        mutables[label] = make_mutable(label, kind, names or values)
        candidates: dict[str, Tree] | None = None
        if names is not None:
            candidates = {}
            for candidate, value in zip(names, values, strict=True):
                inner = {key: inner for key, inner in value.items() if key != "_name"}
                candidates[candidate] = _parse_level(inner, f"{label}/{candidate}/", mutables, depth + 1)
        tree[name] = (label, candidates)
    return tree


def _type_and_values(label: str, spec: Any) -> tuple[str, list[Any]]:
    """Return ``_type`` and ``_value`` of a parameter, checked for form."""
    if not isinstance(spec, Mapping) or "_type" not in spec or "_value" not in spec:
        raise SpaceError(f'{show_text(label)}: {show_text(spec)} is not of the form {{"_type": "uniform", "_value": [0, 1]}}')
    kind, values = spec["_type"], spec["_value"]
    if not isinstance(kind, str) or kind not in ARGUMENTS:
        raise SpaceError(f"{show_text(label)}: {unknown_name('type', kind, ARGUMENTS)}")
    if extra := sorted(str(key) for key in spec if key not in ("_type", "_value")):
        raise SpaceError(f"{show_text(label)}: unknown key {show_text(extra[0])}; a parameter has _type and _value")
    if not isinstance(values, list):
        raise SpaceError(f"{show_text(label)}: _value is {show_text(values)}; expected a list")
    return kind, values


def _candidate_names(label: str, values: list[Any]) -> list[str] | None:
    """Return the names of a nested choice's candidates, or None where the candidates are plain values."""
    named = [isinstance(value, Mapping) and "_name" in value for value in values]
    if not any(named):
        return None
    if not all(named) or not all(isinstance(value["_name"], str) for value in values):
        raise SpaceError(f"{show_text(label)}: in a nested choice, every candidate must be an object with a string _name")
    names = [value["_name"] for value in values]
    for name in names:
        _check_length(name)
    return names


def _check_length(name: str) -> None:
    """Raise ``SpaceError`` on a name that would make labels of gigabytes: a parameter's label names all choices around it."""
    if len(name) > MAX_NAME:
        raise SpaceError(f"{show_text(name)}: a name of {len(name):,} characters, more than {MAX_NAME:,}")


def make_mutable(label: str, kind: str, values: Sequence[Any]) -> LabeledMutable:
    """Return one parameter; raise ``SpaceError`` where ``values`` are not what ``kind`` takes.

    - ``choice``: one of ``values``
    - ``randint`` [lower, upper]: whole numbers from lower up to, not including, upper, each as likely
    - ``uniform``, ``loguniform`` [low, high]; ``normal`` [mu, sigma]; ``lognormal`` [mu, sigma]: mu and sigma of the logarithm
    - with a ``q`` before: ``round(x / q) * q``, then clipped to [low, high] where there are such
    """
    mutable = _make_choice(label, values) if kind == "choice" else _make_number(label, kind, values)
    mutable.label = label  # set here, as NNI's constructors refuse a slash
    return mutable


def _make_number(label: str, kind: str, values: Sequence[Any]) -> NniNumber:
    where, names = f"{show_text(label)}: {kind} {show_text(list(values))}", ARGUMENTS[kind]
    if len(values) != len(names):
        raise SpaceError(f"{where}: {kind} takes {len(names)} numbers, [{', '.join(names)}], not {len(values)}")
    for name, value in zip(names, values, strict=True):
        if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= 1e300:
            raise SpaceError(f"{where}: {name} is {show_text(value)}; expected a number")
    if kind == "randint":
        return _make_whole(where, *values)
    first, second = float(values[0]), float(values[1])
    q = float(values[2]) if len(values) == 3 else None
    is_log, is_normal = "log" in kind, "normal" in kind
    largest = _check_normal(where, first, second, is_log) if is_normal else _check_range(where, kind, first, second, is_log)
    if q is not None and (q <= 0 or largest / q > MAX_STEPS):
        raise SpaceError(f"{where}: q is {q:g}; expected a number above 0, and not tiny in comparison with the range")
    if is_normal:
        return NniNumber(mu=first, sigma=second, log_distributed=is_log, quantize=q, label="number")
    return NniNumber(first, second, log_distributed=is_log, quantize=q, label="number")


def _make_choice(label: str, values: Sequence[Any]) -> Categorical:
    if not values:
        raise SpaceError(f"{show_text(label)}: a choice needs at least one candidate")
    if len(values) > MAX_CANDIDATES:
        more = f"{len(values):,} candidates, more than {MAX_CANDIDATES:,}"
        raise SpaceError(f"{show_text(label)}: {more}; use randint or quniform for numbers")
    for position, value in enumerate(values):
        if value in values[:position]:
            raise SpaceError(f"{show_text(label)}: the candidate {show_text(value)} appears twice (true equals 1, and false equals 0)")
        if not _is_plain(value):
            wrong = f"the candidate {show_text(value)} is not a finite number, a text, or a list or object of those"
            raise SpaceError(f"{show_text(label)}: {wrong}")
    return Categorical(values, label="choice")


def _is_plain(value: Any) -> bool:
    """Return whether ``value`` is JSON: YAML knows dates, too."""
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        return False
    return True


def _make_whole(where: str, lower: Any, upper: Any) -> NniNumber:
    if not isinstance(lower, int) or not isinstance(upper, int) or max(abs(lower), abs(upper)) > MAX_STEPS:
        raise SpaceError(f"{where}: randint takes whole numbers, up to {int(MAX_STEPS):,}; use quniform for others")
    if lower >= upper:
        raise SpaceError(f"{where}: upper must be above lower, as the range includes lower and not upper")
    # Half a step more on both sides, so that rounding gives every whole number the same share.
    spread = uniform(loc=lower - 0.5, scale=upper - lower)
    return NniNumber(lower, upper - 1, distribution=spread, quantize=1, whole=True, label="number")


def _check_range(where: str, kind: str, low: float, high: float, is_log: bool) -> float:
    """Return the largest magnitude in the range."""
    if low > high:
        raise SpaceError(f"{where}: low is {low:g}, above high, {high:g}; swap them")
    if low == high:
        raise SpaceError(f"{where}: low and high are the same; for one value write choice [{low:g}]")
    if is_log and low <= 0:
        linear, wrong = kind.replace("log", ""), "the logarithm of 0 is -infinity" if low == 0 else f"{low:g} has no logarithm"
        example = f"[{high / 1000:g}, {high:g}]" if high > 0 else "[0.001, 1]"
        raise SpaceError(f"{where}: {wrong}; write {linear} [{low:g}, {high:g}], or begin at a positive number: {kind} {example}")
    return max(abs(low), abs(high))


def _check_normal(where: str, mu: float, sigma: float, is_log: bool) -> float:
    """Return a magnitude that is as good as never exceeded."""
    if sigma <= 0:
        raise SpaceError(f"{where}: sigma is {sigma:g}; expected a number above 0")
    far = abs(mu) + 10 * sigma
    if is_log and far > LARGEST_EXPONENT:
        raise SpaceError(f"{where}: mu and sigma are of the logarithm, and e to the power of {far:g} is too large; use smaller ones")
    return math.exp(far) if is_log else far


def _active_labels(tree: Tree, sample: Sample) -> set[str]:
    labels: set[str] = set()
    for label, candidates in tree.values():
        labels.add(label)
        if candidates is not None:
            labels |= _active_labels(candidates[sample[label]], sample)
    return labels


def _assemble(tree: Tree, sample: Sample) -> dict[str, Any]:
    parameters: dict[str, Any] = {}
    for name, (label, candidates) in tree.items():
        value = sample[label]
        parameters[name] = value if candidates is None else {"_name": value, **_assemble(candidates[value], sample)}
    return parameters
