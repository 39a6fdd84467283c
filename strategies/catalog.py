"""All strategies by name, and which of them fits what. Nothing heavy is imported here.

To add one: write a subclass of ``Strategy`` or ``TrialStrategy``, then one line in ``STRATEGIES``. The contract tests run over the dict.
A strategy that is not registered works as well; the command line does not know it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from common.errors import StrategyError, unknown_name
from strategies.context import SearchContext
from strategies.progressive import PDarts
from strategies.published import GDAS, OLES, SPOS, BetaDarts, DartsPT, DrNAS, FairNAS, PCDarts, SDarts
from strategies.strategy import Strategy, TrialStrategy
from strategies.supernets import Darts


@dataclass(frozen=True, kw_only=True)
class Random(TrialStrategy):
    """Uniform random search without repetition; NNI's."""

    name: ClassVar[str] = "random"
    summary: ClassVar[str] = "random search (NNI)"

    def build(self, context: SearchContext) -> Any:
        from strategies.nni_search import random_search

        return random_search(seed=context.seed)


@dataclass(frozen=True, kw_only=True)
class Grid(TrialStrategy):
    """Grid search in random order; NNI's."""

    name: ClassVar[str] = "grid"
    summary: ClassVar[str] = "grid search, shuffled (NNI)"

    def build(self, context: SearchContext) -> Any:
        from strategies.nni_search import grid_search

        return grid_search(seed=context.seed)


@dataclass(frozen=True, kw_only=True)
class Evolution(TrialStrategy):
    """Regularized (aging) evolution (Real et al. 2019, arXiv 1802.01548); NNI's."""

    name: ClassVar[str] = "evolution"
    summary: ClassVar[str] = "regularized evolution (NNI; Real et al. 2019)"

    def build(self, context: SearchContext) -> Any:
        from strategies.nni_search import evolution

        return evolution(seed=context.seed, trials=context.trials)


@dataclass(frozen=True, kw_only=True)
class LocalSearch(TrialStrategy):
    """Local search (White, Nolen and Savani 2021, arXiv 2005.02960): from the best of some random samples to better neighbours."""

    name: ClassVar[str] = "local"
    summary: ClassVar[str] = "local search (White et al. 2021)"
    takes_scores_so_far: ClassVar[bool] = False  # a neighbour that waits is worse than where the search stands, whatever it will be

    def build(self, context: SearchContext) -> Any:
        from strategies.local_search import local_search

        return local_search(seed=context.seed, trials=context.trials)


@dataclass(frozen=True, kw_only=True)
class TPE(TrialStrategy):
    """Tree-structured Parzen estimator (Bergstra et al. 2011); Optuna's."""

    name: ClassVar[str] = "tpe"
    summary: ClassVar[str] = "tree-structured Parzen estimator (Optuna)"
    shares_study: ClassVar[bool] = True

    def build(self, context: SearchContext) -> Any:
        from strategies.optuna.samplers import tpe

        told: dict[str, Any] = {"open_trials": context.open_trials, "shared": context.shared, "usual": context.usual}
        return tpe(seed=context.seed, trials=context.trials, **told)


@dataclass(frozen=True, kw_only=True)
class GaussianProcess(TrialStrategy):
    """Gaussian process over labels, with expected improvement; Optuna's."""

    name: ClassVar[str] = "gp"
    summary: ClassVar[str] = "Gaussian process (Optuna)"
    shares_study: ClassVar[bool] = True

    def build(self, context: SearchContext) -> Any:
        from strategies.optuna.samplers import gaussian_process

        told: dict[str, Any] = {"shared": context.shared, "usual": context.usual, "scores_change": context.scores_change}
        return gaussian_process(seed=context.seed, trials=context.trials, **told)


@dataclass(frozen=True, kw_only=True)
class Bayesian(TrialStrategy):
    """Bayesian optimisation over what networks compute, where the space says it; else over labels."""

    name: ClassVar[str] = "bo"
    summary: ClassVar[str] = "Bayesian optimisation over architectures (Gaussian process)"

    def build(self, context: SearchContext) -> Any:
        from strategies.bayesian import bayesian

        told: dict[str, Any] = {"canonical": context.canonical, "features": context.features, "described": context.described}
        return bayesian(seed=context.seed, trials=context.trials, usual=context.usual, **told)


@dataclass(frozen=True, kw_only=True)
class NSGA2(TrialStrategy):
    """NSGA-II (Deb et al. 2002), for several objectives; Optuna's. No pruner goes with it."""

    name: ClassVar[str] = "nsga2"
    summary: ClassVar[str] = "NSGA-II, several objectives (Optuna)"
    several_objectives: ClassVar[bool] = True
    shares_study: ClassVar[bool] = True

    def build(self, context: SearchContext) -> Any:
        from strategies.optuna.samplers import nsga2

        told: dict[str, Any] = {"shared": context.shared, "costs": context.costs, "usual": context.usual}
        return nsga2(seed=context.seed, trials=context.trials, **told)


@dataclass(frozen=True, kw_only=True)
class HPO(TPE):
    """TPE over the hyperparameters; the architecture is the space's default."""

    name: ClassVar[str] = "hpo"
    summary: ClassVar[str] = "TPE over the hyperparameters, the architecture kept"
    needs: ClassVar[frozenset[str]] = frozenset({"hyperparameters"})
    fixes_architecture: ClassVar[bool] = True


STRATEGIES: dict[str, type[Strategy]] = {
    "darts": Darts,
    "gdas": GDAS,
    "drnas": DrNAS,
    "beta_darts": BetaDarts,
    "sdarts": SDarts,
    "pc_darts": PCDarts,
    "oles": OLES,
    "darts_pt": DartsPT,
    "spos": SPOS,
    "fairnas": FairNAS,
    "p_darts": PDarts,
    "random": Random,
    "grid": Grid,
    "evolution": Evolution,
    "local": LocalSearch,
    "tpe": TPE,
    "gp": GaussianProcess,
    "bo": Bayesian,
    "nsga2": NSGA2,
    "hpo": HPO,
}


def make_strategy(name: str, **settings: Any) -> Strategy:
    """Return the strategy called ``name``, with these settings.

    Raises
    ------
    StrategyError
        The name, or a setting, is unknown, or a value cannot be.
    """
    if name not in STRATEGIES:
        raise StrategyError(unknown_name("strategy", name, STRATEGIES))
    return STRATEGIES[name].of(settings)


def check_storage(strategy: Strategy) -> None:
    """Raise ``StrategyError`` unless ``strategy`` can share its study with other processes."""
    if not strategy.shares_study:
        fitting = ", ".join(name for name, kind in STRATEGIES.items() if kind.shares_study)
        raise StrategyError(f"`storage` works with Optuna's strategies only: use {fitting}, not {strategy.name}")


def check_pair(strategy: Strategy, space: str, offers: Mapping[str, frozenset[str]]) -> None:
    """Raise ``StrategyError`` unless ``strategy`` fits ``space``; ``offers`` is what each known space offers, by name."""
    if not strategy.needs <= offers[space]:
        spaces = [name for name, offered in offers.items() if strategy.needs <= offered]
        others = [name for name, kind in STRATEGIES.items() if kind.needs <= offers[space]]
        raise StrategyError(
            f"strategy {strategy.name!r} does not fit space {space!r}: it fits {', '.join(spaces) or 'no known space'}; "
            f"{space!r} can be searched by {', '.join(others)}"
        )
