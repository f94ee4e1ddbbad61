"""Bounds that are wrong as seldom as they say."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest

from everfit.measures.confidence import clopper_pearson_low, quantile_bounds


@pytest.mark.parametrize(("rows", "quantile"), [(150, 0.9), (2_000, 0.99)])
def test_the_true_quantile_is_seldom_outside(rows: int, quantile: float) -> None:
    dice, alpha, lives = np.random.default_rng(1), 0.05, 2_000
    truth = -np.log(1 - quantile)
    above = below = 0
    for _ in range(lives):
        low, high = quantile_bounds(dice.exponential(size=rows), quantile, alpha=alpha)
        assert low is not None
        assert high is not None
        above, below = above + (low > truth), below + (high < truth)
    # Not too seldom either: the bounds are no wider than they must be.
    assert 0.01 * lives < above < 1.2 * alpha * lives
    assert 0.01 * lives < below < 1.2 * alpha * lives


def test_one_value_bounds_nothing() -> None:
    assert quantile_bounds(np.array([3.0]), 0.5, alpha=0.01) == (None, None)


@pytest.mark.parametrize(("hits", "rows"), [(1, 3), (2, 500), (40, 900), (7, 7)])
def test_the_lower_limit_of_a_share_is_that_of_clopper_and_pearson(hits: int, rows: int) -> None:
    theirs = binomtest(hits, rows, alternative="greater").proportion_ci(0.99, method="exact").low
    assert clopper_pearson_low(hits, rows, alpha=0.01) == pytest.approx(theirs, abs=1e-9)
