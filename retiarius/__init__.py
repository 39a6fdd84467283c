"""Find a better network for small images than the one you were given, and train what was found.

>>> import retiarius as rt
>>> data = rt.load_data("digits")                                              # doctest: +SKIP
>>> found = rt.search("darts", rt.Darts(order=1), data=data, epochs=2)         # doctest: +SKIP
>>> final = rt.retrain(found.best, data=data, epochs=30)                       # doctest: +SKIP
>>> final.test_accuracy                                                        # doctest: +SKIP

Importing this costs next to nothing: torch and NNI are imported when they are needed.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from common.errors import (
        DataError,
        EvaluatorError,
        InputError,
        RecordError,
        RetiariusError,
        RunError,
        SearchFailed,
        SpaceError,
        StrategyError,
        TrainingDiverged,
    )
    from common.reporter import Reporter
    from common.trial import Trial
    from evaluators.data.splits import Dataset
    from evaluators.training.recipes import Recipe
    from retiarius.architectures import Architecture, load_architecture
    from retiarius.cli.screen import Screen
    from retiarius.command_search import search_command
    from retiarius.data import load_data
    from retiarius.dry_run import Preview, preview
    from retiarius.plots import plot_runs
    from retiarius.ray_cluster import Ray
    from retiarius.results import RetrainResult, SearchResult, open_run
    from retiarius.retrain_run import retrain
    from retiarius.search_run import search
    from spaces import SPACES, SpaceEntry
    from strategies import (
        GDAS,
        HPO,
        NSGA2,
        OLES,
        SPOS,
        STRATEGIES,
        TPE,
        Bayesian,
        BetaDarts,
        Darts,
        DartsPT,
        DrNAS,
        Evolution,
        FairNAS,
        GaussianProcess,
        Grid,
        Halving,
        Hyperband,
        LocalSearch,
        Median,
        PCDarts,
        PDarts,
        Pruner,
        Random,
        SDarts,
        SearchContext,
        Strategy,
        TrialStrategy,
    )

_HOMES = {
    "common.errors": (
        *("DataError", "EvaluatorError", "InputError", "RecordError", "RetiariusError", "RunError", "SearchFailed", "SpaceError"),
        *("StrategyError", "TrainingDiverged"),
    ),
    "common.reporter": ("Reporter",),
    "common.trial": ("Trial",),
    "evaluators.data.splits": ("Dataset",),
    "evaluators.training.recipes": ("Recipe",),
    "retiarius.architectures": ("Architecture", "load_architecture"),
    "retiarius.cli.screen": ("Screen",),
    "retiarius.command_search": ("search_command",),
    "retiarius.data": ("load_data",),
    "retiarius.dry_run": ("Preview", "preview"),
    "retiarius.plots": ("plot_runs",),
    "retiarius.ray_cluster": ("Ray",),
    "retiarius.results": ("RetrainResult", "SearchResult", "open_run"),
    "retiarius.retrain_run": ("retrain",),
    "retiarius.search_run": ("search",),
    "spaces": ("SPACES", "SpaceEntry"),
    "strategies": (
        *("GDAS", "OLES", "SPOS", "BetaDarts", "DartsPT", "DrNAS", "FairNAS", "PCDarts", "PDarts", "SDarts"),
        *("HPO", "NSGA2", "STRATEGIES", "TPE", "Bayesian", "Darts", "Evolution", "GaussianProcess", "Grid", "Halving", "Hyperband"),
        *("LocalSearch", "Median", "Pruner", "Random", "SearchContext", "Strategy", "TrialStrategy"),
    ),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "GDAS",
    "HPO",
    "NSGA2",
    "OLES",
    "SPACES",
    "SPOS",
    "STRATEGIES",
    "TPE",
    "Architecture",
    "Bayesian",
    "BetaDarts",
    "Darts",
    "DartsPT",
    "DataError",
    "Dataset",
    "DrNAS",
    "EvaluatorError",
    "Evolution",
    "FairNAS",
    "GaussianProcess",
    "Grid",
    "Halving",
    "Hyperband",
    "InputError",
    "LocalSearch",
    "Median",
    "PCDarts",
    "PDarts",
    "Preview",
    "Pruner",
    "Random",
    "Ray",
    "Recipe",
    "RecordError",
    "Reporter",
    "RetiariusError",
    "RetrainResult",
    "RunError",
    "SDarts",
    "Screen",
    "SearchContext",
    "SearchFailed",
    "SearchResult",
    "SpaceEntry",
    "SpaceError",
    "Strategy",
    "StrategyError",
    "TrainingDiverged",
    "Trial",
    "TrialStrategy",
    "load_architecture",
    "load_data",
    "open_run",
    "plot_runs",
    "preview",
    "retrain",
    "search",
    "search_command",
]


def __getattr__(name: str) -> Any:
    """Import what is asked for, the first time (PEP 562)."""
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from retiarius.rooms import require_rooms

    require_rooms()
    value = getattr(importlib.import_module(_HOME_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
