"""Wasserstein (earth mover's) distance of two binned samples."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from everfit.measures.weighting import Floats


def wasserstein(reference: NDArray[np.int64], window: NDArray[np.int64], centres: Floats) -> float:
    """Return the first Wasserstein distance of rows that lie at their bins' centres.

    The integral of the absolute gap between the cumulative distributions (Vallender 1974, "Calculation of the
    Wasserstein distance between probability distributions on the line"). What moves within an outer bin is not seen.

    Args:
        reference: Rows in each bin, shape ``(bins,)``, int64.
        window: The same of the other sample.
        centres: Where the bins' rows are taken to be, ascending, shape ``(bins,)``.

    Returns:
        In the unit of ``centres``; NaN if a sample has no rows.

    >>> wasserstein(np.array([4, 0]), np.array([1, 3]), np.array([0.0, 2.0]))
    1.5
    """
    if reference.sum() == 0 or window.sum() == 0:
        return float("nan")
    gaps = reference.cumsum() / reference.sum() - window.cumsum() / window.sum()
    return float((np.abs(gaps[:-1]) * np.diff(centres)).sum())
