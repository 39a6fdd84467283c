"""Any function as an evaluator: it gets what its signature takes, and what it says becomes one finite number.

These are evaluators, all of them::

    def evaluate(network): ...  # returns a number, higher is better
    def evaluate(network, data, epochs, *, initial_lr, report): ...  # takes what it needs, by name
    def evaluate(model, **everything): ...
    def evaluate(model):  # NNI's documented form
        nni.report_intermediate_result(0.5)
        nni.report_final_result(0.7)

Beside hyperparameters, by their names, a function may take ``data`` (the ``Dataset``), ``epochs``, ``seed``, ``device`` (a
``torch.device``), ``precision`` (``torch.float32`` or ``torch.bfloat16``), and ``report``: to be called with the score after each epoch;
what it raises ends the trial. One that takes ``checkpoint``, ``since`` and ``until`` can wait and go on: it keeps its state in the file
``checkpoint`` after each epoch, goes on from there where the file exists, reports the epochs after ``since``, and returns after ``until``.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from common.errors import EvaluatorError
from common.scores import check_score, read_score
from common.text import show
from evaluators import evaluator_name
from evaluators.nni_evaluator import NniEvaluation

OFFERED = ("data", "epochs", "seed", "device", "precision", "report", "checkpoint", "since", "until")


@dataclass(frozen=True)
class _Signature:
    """What a function takes beside the network: names, whether any other too, and those that it cannot do without."""

    names: tuple[str, ...]
    takes_any: bool
    needed: tuple[str, ...]

    def takes(self, name: str) -> bool:
        return self.takes_any or name in self.names


@dataclass(frozen=True)
class Evaluate:
    """An evaluator of one form, whatever that of its function. Make one with ``adapt``; it is pickled if its function can be.

    Attributes
    ----------
    function
        The function.
    sign
        -1 where what it tells is to be small: scores are higher where better.
    """

    function: Callable[..., Any]
    sign: int = 1

    def __call__(self, network: Any, *, report: Callable[[float], Any] | None = None, **arguments: Any) -> float:
        """Return the score of ``network``.

        Parameters
        ----------
        network
            The function's first argument.
        report
            Called with each intermediate result, in their order, whether it comes by ``report`` or by NNI. What it raises ends the
            evaluation.
        arguments
            What else the function may take: it gets those that its signature has.

        Raises
        ------
        EvaluatorError
            What was returned or reported is no number.
        ValueError
            The score is not finite.
        """
        from common.nni_reports import nni_reports_to

        signature = _read_signature(self.function)

        def pass_on(value: Any) -> None:
            number = read_score(value, "reported")
            if report is not None:
                report(self.sign * number)

        passed = {name: value for name, value in {**arguments, "report": pass_on}.items() if signature.takes(name)}
        hyperparameters = {name: value for name, value in arguments.items() if name not in OFFERED}
        with nni_reports_to(pass_on, hyperparameters) as finals:
            result = self.function(network, **passed)
        if finals and (result is None or isinstance(self.function, NniEvaluation)):  # NNI hears reports alone
            result = finals[-1]
        return self.sign * check_score(result)


def adapt(function: Callable[..., Any]) -> Evaluate:
    """Return ``function`` as ``evaluate(network, *, report, **arguments) -> float``; one that was adapted before stays as it is.

    Parameters
    ----------
    function
        Its first argument is the network. It is given those other arguments that its signature has (all, where it has ``**names``). It
        returns a number, or tells it to ``nni.report_final_result``; ``{"default": number}`` is one, too.

    Raises
    ------
    EvaluatorError
        It cannot be called, or takes no network.
    """
    if isinstance(function, Evaluate):
        return function
    _read_signature(function)
    return Evaluate(function)


def takes(function: Callable[..., Any], name: str) -> bool:
    """Return whether ``function``, as ``adapt`` takes it, has an argument of this name, or takes any."""
    return _read_signature(function).takes(name)


def takes_by_name(function: Callable[..., Any], names: Collection[str]) -> bool:
    """Return whether ``function``, as ``adapt`` takes it, has an argument of each of these names; one that takes any does not count."""
    return set(names) <= set(_read_signature(function).names)


def own_parameters(function: Callable[..., Any]) -> tuple[str, ...]:
    """Return the names of the arguments of ``function``, as ``adapt`` takes it, that a person has to give a value or search."""
    return tuple(name for name in _read_signature(function).names if name not in OFFERED)


def check_takes(function: Callable[..., Any], names: Collection[str], *, given: Collection[str] | None = None) -> None:
    """Check, before anything runs, that ``function`` and the hyperparameters fit.

    Parameters
    ----------
    function
        As ``adapt`` takes it.
    names
        The hyperparameters that are searched: it has to take each of them.
    given
        All others that it will be offered. Where it is told, whatever else the function cannot do without is refused.

    Raises
    ------
    EvaluatorError
        The function does not take one of ``names``, or needs an argument that nothing gives.
    """
    signature, who = _read_signature(function), _name(function)
    for name in names:
        if not signature.takes(name):
            own = ", ".join(own_parameters(function)) or "none"
            raise EvaluatorError(f"{who} has no parameter {show(name)}, which is searched; it has {own[:200]}")
    if given is not None:
        for name in signature.needed:
            if name not in (*names, *given, *OFFERED):
                raise EvaluatorError(f"{who} needs {show(name)}, which is neither searched nor fixed: do so, or give it a default")


def _name(function: Callable[..., Any]) -> str:
    return f"the evaluator {show(evaluator_name(_unwrapped(function)), 200)}"


def _unwrapped(function: Callable[..., Any]) -> Callable[..., Any]:
    return function.function if isinstance(function, Evaluate) else function


def _read_signature(function: Callable[..., Any]) -> _Signature:
    function = _unwrapped(function)
    if isinstance(function, NniEvaluation):
        return _Signature(tuple(function.hyperparameters), False, ())
    if not callable(function):
        raise EvaluatorError(f"the evaluator is {show(function)}; expected a function")
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):  # some that are written in C do not tell
        return _Signature((), False, ())
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    if not parameters or parameters[0].kind not in (*positional, inspect.Parameter.VAR_POSITIONAL):
        raise EvaluatorError(f"{_name(function)} must take the network as its first argument")
    others = parameters[1:] if parameters[0].kind in positional else parameters
    by_name = [p for p in others if p.kind in (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)]
    required = [p for p in others if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    takes_any = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in others)
    return _Signature(tuple(p.name for p in by_name), takes_any, tuple(p.name for p in required))
