"""Wilcoxon-Mann-Whitney test of a shift between two binned samples."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray


def rank_shift(reference: NDArray[np.int64], window: NDArray[np.int64]) -> float:
    """Return the standardised Wilcoxon-Mann-Whitney statistic on bins, all rows of a bin being tied.

    Its whole power is spent on one alternative, values went up or down, where a chi-squared test on ten bins spreads it
    over nine: a shift of a fifth of a standard deviation, the commonest drift, is found in half the rows.

    Source: Mann, Whitney 1947, with the variance for ties of Lehmann 1975, "Nonparametrics", page 20; no continuity
    correction.

    Args:
        reference: Rows in each bin in ascending order, shape ``(bins,)``, int64.
        window: The same of the other sample.

    Returns:
        About standard normal where nothing has changed, positive where the window's values are greater; 0 if a sample
        has no rows or all rows share a bin.

    >>> round(rank_shift(np.array([50, 50]), np.array([30, 70])), 4)
    2.8795
    """
    n, m = int(reference.sum()), int(window.sum())
    rows = n + m
    # As floats, since the cube of a large bin is more than an int64 holds.
    both = (reference + window).astype(np.float64)
    ties = float((both * (both * both - 1.0)).sum())
    variance = n * m / 12.0 * (rows + 1 - ties / (rows * (rows - 1))) if rows > 1 else 0.0
    # All in one bin leaves nothing but a rounding error.
    if variance <= 1e-9 * n * m * rows:
        return 0.0
    before = reference.cumsum() - reference / 2.0
    wins = float((window * before).sum())
    return (wins - n * m / 2.0) / math.sqrt(variance)
