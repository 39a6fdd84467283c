"""Optuna's samplers as strategies, sized to the number of trials at hand; ``usual`` is as ``OptunaStrategy`` takes it."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import optuna

from strategies.optuna.encoders import Usual
from strategies.optuna.search import OptunaStrategy
from strategies.optuna.shared_study import SharedStudy


def tpe(*, seed: int, trials: int, open_trials: int = 1, shared: SharedStudy | None = None, usual: Usual | None = None) -> OptunaStrategy:
    """Return a tree-structured Parzen estimator (Bergstra et al. 2011); a quarter of the trials, at most 20, are random at first.

    Where several trials are open at once, those count as bad ones until they end (constant liar), so that the next is sought elsewhere.
    """
    seed = seed if shared is None else shared.seed(seed)
    several = open_trials > 1 or shared is not None

    def sampler(seed: int) -> optuna.samplers.BaseSampler:
        return optuna.samplers.TPESampler(seed=seed, n_startup_trials=max(2, min(20, trials // 4)), constant_liar=several)

    return OptunaStrategy(sampler, seed=seed, shared=shared, usual=usual)


def gaussian_process(
    *, seed: int, trials: int, shared: SharedStudy | None = None, usual: Usual | None = None, scores_change: bool = False
) -> OptunaStrategy:
    """Return a Gaussian process with expected improvement; a quarter of the trials, at most 20, are random at first.

    It knows of open trials. Scores count as free of noise, as a repeat is answered from the record and brings the same one: with noise
    assumed, the process takes the few percent between good networks for it (docs/measurements/2026-11-nasbench201.md). Where
    ``scores_change`` as trials go on, a sample has several scores, and the difference is noise.
    """
    seed = seed if shared is None else shared.seed(seed)

    def sampler(seed: int) -> optuna.samplers.BaseSampler:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)  # the argument is; the sampler is not
            startup = max(2, min(20, trials // 4))
            return optuna.samplers.GPSampler(seed=seed, n_startup_trials=startup, deterministic_objective=not scores_change)

    return OptunaStrategy(sampler, seed=seed, shared=shared, usual=usual)


def nsga2(
    *, seed: int, trials: int, shared: SharedStudy | None = None, costs: Sequence[str] = (), usual: Usual | None = None
) -> OptunaStrategy:
    """Return NSGA-II (Deb et al. 2002), a quarter of the trials a generation: the score, and ``costs``, names of facts to be small."""
    seed = seed if shared is None else shared.seed(seed)

    def sampler(seed: int) -> optuna.samplers.BaseSampler:
        return optuna.samplers.NSGAIISampler(seed=seed, population_size=max(4, min(50, trials // 4)))

    return OptunaStrategy(sampler, seed=seed, costs=costs, shared=shared, usual=usual)
