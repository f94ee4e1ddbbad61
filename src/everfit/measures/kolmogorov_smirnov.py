"""Kolmogorov-Smirnov statistic: the largest gap between two cumulative distributions."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def kolmogorov_smirnov(reference: NDArray[np.int64], window: NDArray[np.int64]) -> float:
    """Return the Kolmogorov-Smirnov statistic at the ends of bins.

    It is that of the rows themselves, or less by at most the smaller share of a single bin (Smirnov 1948, "Table for
    estimating the goodness of fit of empirical distributions").

    Args:
        reference: Rows in each bin in ascending order, shape ``(bins,)``, int64.
        window: The same of the other sample.

    Returns:
        From 0 to 1; NaN if a sample has no rows.

    >>> kolmogorov_smirnov(np.array([5, 5, 0]), np.array([0, 5, 5]))
    0.5
    """
    if reference.sum() == 0 or window.sum() == 0:
        return float("nan")
    gaps = reference.cumsum() / reference.sum() - window.cumsum() / window.sum()
    return float(np.abs(gaps).max())
