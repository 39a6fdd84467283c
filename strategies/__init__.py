"""HOW it is chosen: one-shot and multi-trial strategies, and the engines on which trials run.

A strategy is an NNI ``Strategy``. A multi-trial one explores any space on any NNI ``ExecutionEngine``; a one-shot one trains a supernet.

To add one: write one class or factory in one file, then one line in ``STRATEGIES``. It is called with ``seed`` and ``trials`` and returns
the strategy; a one-shot one takes more (``strategies.one_shot.darts``). The contract tests run over the dict. Pruners, which end trials early for
any multi-trial strategy of one objective, are in ``PRUNERS``.
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from common.errors import StrategyError

if TYPE_CHECKING:
    from nni.nas.strategy.base import Strategy
    from optuna.pruners import BasePruner


@dataclass(frozen=True)
class StrategyEntry:
    """One line of ``STRATEGIES``.

    ``needs`` is what a space must offer (see ``SpaceEntry.offers``). ``one_shot`` strategies train one supernet in place of many trials.
    ``fixes_architecture`` strategies search the hyperparameters alone and keep the space's default architecture.
    ``several_objectives`` ones take ``costs``, the names of what else is to be small. Optuna's (``is_optunas``) take ``open_trials``, how
    many trials are open at once, and ``shared``, the study in which other processes take part. Those that take ``canonical`` propose no
    two samples that mean the same; with ``features`` (and ``described``, the labels that these tell of) they learn from what a space says
    that its architectures compute.
    """

    target: str
    summary: str
    needs: frozenset[str] = frozenset()
    one_shot: bool = False
    fixes_architecture: bool = False
    several_objectives: bool = False
    is_optunas: bool = False
    takes_canonical: bool = False

    def load(self) -> Callable[..., Strategy]:
        """The factory ``(seed=..., trials=...) -> Strategy``; imports NNI or Optuna on first use."""
        module, name = self.target.split(":")
        return getattr(importlib.import_module(module), name)

    def options(
        self,
        *,
        open_trials: int,
        canonical: Any,
        shared: Mapping[str, Any],
        costs: Sequence[str] = (),
        features: Any = None,
        described: Sequence[str] = (),
    ) -> dict[str, Any]:
        """What the factory takes of these, which the class describes.

        ``shared`` is ``{"shared": study}``, or empty where the study is not shared; ``features`` is ``None`` where the space tells none.
        """
        options: dict[str, Any] = {"open_trials": open_trials, **shared} if self.is_optunas else {}
        if self.several_objectives:
            options |= {"costs": costs}
        if self.takes_canonical:
            options |= {"canonical": canonical}
            if features is not None:
                options |= {"features": features, "described": described}
        return options


STRATEGIES: dict[str, StrategyEntry] = {
    "darts": StrategyEntry(
        "strategies.one_shot.darts:DartsStrategy", "one-shot DARTS, first or second order", frozenset({"one_shot"}), one_shot=True
    ),
    "random": StrategyEntry("strategies.nni_search:random_search", "random search (NNI)"),
    "grid": StrategyEntry("strategies.nni_search:grid_search", "grid search, shuffled (NNI)"),
    "evolution": StrategyEntry("strategies.nni_search:evolution", "regularized evolution (NNI; Real et al. 2019)"),
    "local": StrategyEntry("strategies.local_search:local_search", "local search (White et al. 2021)"),
    "tpe": StrategyEntry("strategies.optuna.search:tpe", "tree-structured Parzen estimator (Optuna)", is_optunas=True),
    "gp": StrategyEntry("strategies.optuna.search:gaussian_process", "Gaussian process (Optuna)", is_optunas=True),
    "bo": StrategyEntry(
        "strategies.bayesian:bayesian", "Bayesian optimisation over what networks compute, where the space says it", takes_canonical=True
    ),
    "nsga2": StrategyEntry(
        "strategies.optuna.search:nsga2", "NSGA-II, several objectives (Optuna)", several_objectives=True, is_optunas=True
    ),
    "hpo": StrategyEntry(
        "strategies.optuna.search:tpe",
        "TPE over the hyperparameters, the architecture kept",
        frozenset({"hyperparameters"}),
        fixes_architecture=True,
        is_optunas=True,
    ),
}


@dataclass(frozen=True)
class PrunerEntry:
    """One line of ``PRUNERS``; ``after`` is the number of trials that come to their end before one can be pruned."""

    target: str
    summary: str
    after: int

    def load(self) -> Callable[..., BasePruner]:
        """The factory ``(epochs=...) -> BasePruner``; imports Optuna on first use."""
        module, name = self.target.split(":")
        return getattr(importlib.import_module(module), name)


NO_PRUNER = "none"
PRUNERS: dict[str, PrunerEntry] = {
    "median": PrunerEntry("strategies.optuna.pruning:median", "ends a trial that is below the median of the completed ones", after=4),
    "halving": PrunerEntry(
        "strategies.optuna.pruning:halving", "successive halving: after 1, 3, 9, ... epochs the best third goes on", after=1
    ),
    "hyperband": PrunerEntry("strategies.optuna.pruning:hyperband", "Hyperband: successive halving that gives some trials longer", after=1),
}


def pruner_entry(name: str) -> PrunerEntry | None:
    """The pruner called ``name``, ``None`` for ``none``; raises ``StrategyError`` that names the known ones."""
    if name != NO_PRUNER and name not in PRUNERS:
        raise StrategyError(f"unknown pruner {name!r}; known: {', '.join([NO_PRUNER, *PRUNERS])}")
    return PRUNERS.get(name)


def strategy_entry(name: str) -> StrategyEntry:
    """The entry called ``name``; raises ``StrategyError`` that names the known ones."""
    if name not in STRATEGIES:
        close = difflib.get_close_matches(name, STRATEGIES, n=1)
        hint = f" (did you mean {close[0]}?)" if close else ""
        raise StrategyError(f"unknown strategy {name!r}{hint}; known: {', '.join(STRATEGIES)}")
    return STRATEGIES[name]


def check_storage(strategy: str) -> None:
    """Raise ``StrategyError`` unless ``strategy`` can share its study with other processes."""
    if not strategy_entry(strategy).is_optunas:
        fitting = ", ".join(name for name, entry in STRATEGIES.items() if entry.is_optunas)
        raise StrategyError(f"--storage is for strategies of Optuna's, which learn from the trials of all: {fitting}; not {strategy}")


def check_pair(strategy: str, space: str, offers: Mapping[str, frozenset[str]]) -> None:
    """Raise ``StrategyError`` unless ``strategy`` fits ``space``; ``offers`` is what each space offers."""
    needs = strategy_entry(strategy).needs
    if not needs <= offers[space]:
        spaces = [name for name, offered in offers.items() if needs <= offered]
        others = [name for name, entry in STRATEGIES.items() if entry.needs <= offers[space]]
        raise StrategyError(
            f"strategy {strategy!r} does not fit space {space!r}: it fits {', '.join(spaces)}; "
            f"{space!r} can be searched by {', '.join(others)}"
        )
