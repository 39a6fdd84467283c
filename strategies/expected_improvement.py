"""What the Gaussian process of ``strategies/bayesian.py`` is told of scores, and what it is asked: the expected improvement."""

from __future__ import annotations

import math

import numpy as np
from scipy.special import erfcx
from scipy.stats import norm, rankdata


def warp(scores: np.ndarray) -> np.ndarray:
    """Return scores [n], higher is better, as the process sees them: below the median by rank alone, then of mean 0 and deviation 1."""
    middle = np.median(scores)
    above = scores[scores >= middle]
    spread = math.sqrt(np.mean((above - middle) ** 2)) or 1.0
    ranks = (rankdata(scores) - 0.5) / len(scores)
    warped = np.where(scores < middle, middle + spread * norm.ppf(np.minimum(ranks, 0.5)), scores)
    deviation = warped.std()
    return (warped - warped.mean()) / (deviation if deviation > 0 else 1.0)


def log_expected_improvement(mean: np.ndarray, deviation: np.ndarray, best: float) -> np.ndarray:
    """Return the logarithm of the expected improvement [n] over ``best``, a number also where the improvement itself is rounded to 0."""
    z = (mean - best) / deviation
    # z Phi(z) + phi(z) is phi(z) (1 + z Phi(z) / phi(z)), and phi(z) / z^2 where that difference would be lost in rounding.
    ratio = math.sqrt(math.pi / 2) * erfcx(-np.clip(z, -1e3, 5.0) / math.sqrt(2))
    near = np.log(np.maximum(z, -1e3) * norm.cdf(z) + norm.pdf(z), out=np.zeros_like(z), where=z > 0)
    below = norm.logpdf(z) + np.where(z < -1e3, -2 * np.log(np.maximum(-z, 1.0)), np.log1p(np.clip(z, -1e3, 0.0) * ratio))
    return np.log(deviation) + np.where(z > 0, near, below)
