"""Which strategy a person means: one of ours by name, an object of ours, one of NNI's, or that which is best for the search."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from common.errors import StrategyError, require_labels
from common.text import show
from strategies import STRATEGIES, Strategy, make_strategy
from strategies.nni_strategy import wrap_nni_strategy

AUTO = "auto"


def best_strategy(*, table: Any = None, objectives: Any = None, storage: Any = None) -> str:
    """Return the name of the strategy that found most in our measurements, for a search with these settings; None is none.

    Where results are looked up it is ``bo``, for several objectives ``nsga2``, else ``tpe``: on cells of DARTS, too, trials have found
    better ones than one-shot searches that took as long (docs/results.md).
    """
    if objectives is not None:
        return "nsga2"
    return "bo" if table is not None and storage is None else "tpe"  # bo cannot share its study


def find_strategy(what: Any, **searched: Any) -> Strategy:
    """Return the strategy that ``what`` is, or the one of that name; ``searched`` is what ``best_strategy`` is told for ``"auto"``.

    Raises
    ------
    StrategyError
        It is neither.
    """
    if isinstance(what, str):
        return make_strategy(best_strategy(**searched) if what == AUTO else what)
    nni = wrap_nni_strategy(what)
    if nni is not None:
        return nni
    if not isinstance(what, Strategy):
        raise StrategyError(
            f"the strategy is {show(what)}; expected a name such as 'tpe', an object such as retiarius.TPE(), or one of NNI's"
        )
    return what


def require_fixed(labels: Collection[str], known: Collection[str], strategy: Strategy) -> None:
    """Check that ``labels``, which are fixed, are all ``known``.

    Raises
    ------
    SpaceError
        One is not; names the closest known ones.
    StrategyError
        One is a setting of other strategies than ``strategy``.
    """
    for label in labels:
        others = [name for name, kind in STRATEGIES.items() if label in kind.set_by_name]
        if label not in known and others:
            raise StrategyError(f"{strategy.name} has no setting {show(label)}, which is one of {', '.join(others)}")
    require_labels(labels, known)


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
