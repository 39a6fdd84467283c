"""Optuna's samplers, as a search needs them."""

from __future__ import annotations

import pytest

from strategies import SearchContext
from strategies.catalog import GaussianProcess


@pytest.mark.parametrize("scores_change", [False, True])
def test_a_gaussian_process_allows_for_noise_where_a_sample_has_several_scores(scores_change: bool) -> None:
    strategy = GaussianProcess().build(SearchContext(trials=8, scores_change=scores_change))
    assert strategy.study.sampler._deterministic is not scores_change
