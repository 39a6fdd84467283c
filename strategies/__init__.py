"""HOW it is chosen: one-shot and multi-trial strategies, and the engines on which trials run. Importing it imports nothing heavy.

A strategy is a small frozen object with its own settings (``catalog``); of what a search tells it (``context``) it builds an NNI
``Strategy``. A multi-trial one explores any space on any NNI ``ExecutionEngine``, and may have a pruner (``pruners``), which ends trials
early; a one-shot one trains a supernet.
"""

from __future__ import annotations

from strategies.catalog import (
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
    LocalSearch,
    PCDarts,
    PDarts,
    Random,
    SDarts,
    Strategy,
    TrialStrategy,
    check_pair,
    check_storage,
    make_strategy,
)
from strategies.context import OneShotFacts, SearchContext
from strategies.pruners import NO_PRUNER, PRUNERS, Halving, Hyperband, Median, Pruner, make_pruner

__all__ = [
    "GDAS",
    "HPO",
    "NO_PRUNER",
    "NSGA2",
    "OLES",
    "PRUNERS",
    "SPOS",
    "STRATEGIES",
    "TPE",
    "Bayesian",
    "BetaDarts",
    "Darts",
    "DartsPT",
    "DrNAS",
    "Evolution",
    "FairNAS",
    "GaussianProcess",
    "Grid",
    "Halving",
    "Hyperband",
    "LocalSearch",
    "Median",
    "OneShotFacts",
    "PCDarts",
    "PDarts",
    "Pruner",
    "Random",
    "SDarts",
    "SearchContext",
    "Strategy",
    "TrialStrategy",
    "check_pair",
    "check_storage",
    "make_pruner",
    "make_strategy",
]
