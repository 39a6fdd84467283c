"""Which strategy a person means: one of ours by name, an object of ours, or one of NNI's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from common.errors import StrategyError
from common.text import show
from strategies import Strategy, make_strategy
from strategies.nni_strategy import wrap_nni_strategy


def find_strategy(what: Any) -> Strategy:
    """Return the strategy that ``what`` is, or the one of that name.

    Raises
    ------
    StrategyError
        It is neither.
    """
    if isinstance(what, str):
        return make_strategy(what)
    nni = wrap_nni_strategy(what)
    if nni is not None:
        return nni
    if not isinstance(what, Strategy):
        raise StrategyError(
            f"the strategy is {show(what)}; expected a name such as 'tpe', an object such as retiarius.TPE(), or one of NNI's"
        )
    return what


def setting_names(strategy: Strategy) -> list[str]:
    """Return the settings of ``strategy`` that can be fixed by their names, as hyperparameters are."""
    return list(strategy.set_by_name)


def with_settings(strategy: Strategy, fixed: Mapping[str, Any]) -> Strategy:
    """Return ``strategy`` with those of its settings that ``fixed`` names, which may hold other labels, too.

    Raises
    ------
    StrategyError
        A value is illegal.
    """
    own = {name: fixed[name] for name in setting_names(strategy) if name in fixed}
    return replace(strategy, **own) if own else strategy
