"""HOW GOOD a choice is: data, training, measurements.

An evaluator is a plain function: a network and hyperparameters in, a score (a number, higher is better) out, and a call of ``report`` with
the score of every epoch on the way. The same function serves trials, retraining and notebooks; ``evaluators.adapter`` says what it may
look like. A table of results takes a sample in place of a network.

A function of anyone's is handed over as it is, and so is an evaluator of NNI's (``evaluators.nni_evaluator``). To add one by name: write
one function in one file, then one line in ``EVALUATORS``. The contract tests run over the dict.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from common.errors import EvaluatorError, describe_error, unknown_name
from common.nni_evaluators import is_nni_evaluator
from common.text import show
from evaluators.nni_evaluator import NniEvaluation
from evaluators.zero_cost import SCORES

MOST_IMAGES = 1_000_000_000  # that can be asked for; there may be fewer


@dataclass(frozen=True)
class EvaluatorEntry:
    """One line of ``EVALUATORS``: where it is and what it does.

    Attributes
    ----------
    target
        ``module:function``.
    summary
        One line for people.
    looks_up
        Whether it answers samples from a file in place of networks: its target is a function that reads the file
        (``evaluators.table.load_table``).
    untrained
        Whether it trains nothing: it takes no hyperparameters of a training.
    inherits
        Whether it is given networks with the weights of a trained supernet, and scores their accuracy.
    options
        Arguments of its own that can be fixed, with their legal values.
    function
        The function itself, where it was handed over and needs no import.
    """

    target: str
    summary: str
    looks_up: bool = False
    untrained: bool = False
    inherits: bool = False
    options: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    function: Callable[..., Any] | None = None

    def load(self) -> Callable[..., Any]:
        """Return the function; imports torch on first use."""
        if self.function is not None:
            return self.function
        module, name = self.target.split(":")
        return getattr(importlib.import_module(module), name)


EVALUATORS: dict[str, EvaluatorEntry] = {
    "train": EvaluatorEntry("evaluators.training.loop:train_and_validate", "trains the network and scores it on the validation split"),
    "table": EvaluatorEntry("evaluators.table:load_table", "looks the result of a training up in a table", looks_up=True),
    "zero_cost": EvaluatorEntry(
        "evaluators.zero_cost.scores:score_network",
        "scores the untrained network by its proxy: meco (default), synflow, ...",
        untrained=True,
        options={"proxy": SCORES},
    ),
    "supernet": EvaluatorEntry(
        "evaluators.training.inherited:inherited_accuracy",
        "scores the network by the weights of a supernet, with batch statistics of its own",
        untrained=True,
        inherits=True,
        options={"statistics_images": range(1, MOST_IMAGES), "validation_images": range(1, MOST_IMAGES)},
    ),
}


def evaluator_entry(name: str) -> EvaluatorEntry:
    """Return the entry called ``name``; raise ``EvaluatorError`` that names the known ones."""
    if name not in EVALUATORS:
        raise EvaluatorError(unknown_name("evaluator", name, EVALUATORS))
    return EVALUATORS[name]


def find_evaluator(what: str | Callable[..., Any]) -> tuple[str, EvaluatorEntry]:
    """Return the name that records have for an evaluator, and its entry.

    Parameters
    ----------
    what
        A name in ``EVALUATORS``; ``package.module:function``, which is imported, so pass only what a person typed; or the function or the
        evaluator of NNI's itself.

    Returns
    -------
    tuple[str, EvaluatorEntry]
        The registered name, else ``module:qualified.name``.

    Raises
    ------
    EvaluatorError
        The name is unknown, the module cannot be imported or lacks the function, or ``what`` cannot be called.
    """
    if isinstance(what, str):
        if what in EVALUATORS or ":" not in what:
            return what, evaluator_entry(what)
        found = _import_function(what)
        return what, EvaluatorEntry(what, "", function=NniEvaluation(found) if is_nni_evaluator(found) else found)
    if is_nni_evaluator(what):
        name = evaluator_name(getattr(what, "function", what))
        return name, EvaluatorEntry(name, f"NNI's {type(what).__name__}", function=NniEvaluation(what))
    if not callable(what):
        raise EvaluatorError(f"the evaluator is {show(what)}; expected a function, or one of {', '.join(EVALUATORS)}")
    summary = (getattr(what, "__doc__", None) or "").strip().partition("\n")[0]
    return evaluator_name(what), EvaluatorEntry(evaluator_name(what), summary, function=what)


def evaluator_name(function: Callable[..., Any]) -> str:
    """Return ``module:qualified.name`` of a function; of another object that can be called, those of its class."""
    while hasattr(function, "func"):  # functools.partial
        function = function.func
    named = function if hasattr(function, "__qualname__") else type(function)
    return f"{named.__module__}:{named.__qualname__}"


def _import_function(target: str) -> Any:
    module, _, name = target.partition(":")
    try:
        function: Any = importlib.import_module(module)
        for part in name.split("."):
            function = getattr(function, part)
    except Exception as error:  # whatever a module does as it is imported
        reason = describe_error(error)
        raise EvaluatorError(f"evaluator {show(target)} cannot be imported: {reason[:200]}; expected package.module:function") from error
    if not callable(function) and not is_nni_evaluator(function):
        raise EvaluatorError(f"evaluator {show(target)} is {show(function)}, which is not a function")
    return function


def open_table(evaluator: str, path: Path | None, columns: Path | None, dataset: str) -> Any:
    """Return the table ``path`` that the evaluator called ``evaluator`` looks up; ``None`` where it trains networks.

    Parameters
    ----------
    evaluator
        A name in ``EVALUATORS``.
    path, columns, dataset
        As ``evaluators.table.load_table`` takes them.

    Raises
    ------
    EvaluatorError
        The evaluator is unknown, has no table or one that it has no use for, or the table cannot be read.
    """
    entry = evaluator_entry(evaluator)
    if entry.looks_up and path is None:
        raise EvaluatorError(f"`evaluator='{evaluator}'` needs a table: set `table`")
    if not entry.looks_up and (path is not None or columns is not None):
        raise EvaluatorError("`table` and `table_columns` need `evaluator='table'`")
    return entry.load()(path, columns, dataset) if entry.looks_up else None
