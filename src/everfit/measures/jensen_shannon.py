"""Jensen-Shannon distance of two distributions over the same cells."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from everfit.measures.weighting import Floats


def jensen_shannon(reference: NDArray[np.int64], window: NDArray[np.int64]) -> float:
    """Return the Jensen-Shannon distance: 0 for equal shares, 1 where no cell is shared.

    It is the root of the divergence in bits, which makes it a metric (Endres, Schindelin 2003, "A new metric for
    probability distributions"; Lin 1991).

    Args:
        reference: Rows in each cell, shape ``(cells,)``, int64.
        window: The same of the other sample.

    Returns:
        NaN if a sample has no rows.

    >>> jensen_shannon(np.array([5, 0]), np.array([0, 7]))
    1.0
    """
    if reference.sum() == 0 or window.sum() == 0:
        return float("nan")
    p, q = reference / reference.sum(), window / window.sum()
    middle = (p + q) / 2
    divergence = (_relative_entropy(p, middle) + _relative_entropy(q, middle)) / 2
    return math.sqrt(min(1.0, max(0.0, divergence)))


def _relative_entropy(shares: Floats, middle: Floats) -> float:
    there = shares > 0
    return float((shares[there] * np.log2(shares[there] / middle[there])).sum())
