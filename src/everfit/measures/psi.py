"""Population stability index, and its expected value without a change."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from everfit.measures.weighting import Floats

Counts = NDArray[np.int64]


def psi(reference: Counts, window: Counts) -> float:
    """Return the sum over cells of ``(p - q) * log(p / q)``, of a cell's shares ``p`` in window, ``q`` in reference.

    It is the symmetric divergence of Jeffreys 1946, "An invariant form for the prior probability in estimation
    problems", as credit scoring uses it (Siddiqi 2006, "Credit risk scorecards"). A cell that is empty on one side
    counts there as half a row, or it would be infinite; one that is empty on both is left out.

    Args:
        reference: Rows in each cell, shape ``(cells,)``, int64.
        window: The same of the other sample.

    Returns:
        In nats, not negative; NaN if a sample has no rows.

    >>> round(psi(np.array([50, 50]), np.array([60, 40])), 6)
    0.040547
    """
    if reference.sum() == 0 or window.sum() == 0:
        return float("nan")
    either = (reference > 0) | (window > 0)
    shares, others = (_shares(sample[either]) for sample in (window, reference))
    return float(((shares - others) * np.log(shares / others)).sum())


def psi_by_chance(cells: int, reference_rows: int, window_rows: int) -> float:
    """Return the index expected without a change: ``(cells - 1) * (1 / reference rows + 1 / window rows)``.

    Without a change, ``psi * n * m / (n + m)`` is about chi-squared with ``cells - 1`` degrees of freedom (Yurdakul,
    Naranjo 2020, "Statistical properties of the population stability index"), so that a fixed threshold means nothing
    without the numbers of rows.

    >>> round(psi_by_chance(10, 1_000, 1_000), 6)
    0.018
    """
    return (cells - 1) * (1.0 / reference_rows + 1.0 / window_rows)


def _shares(counts: Counts) -> Floats:
    filled = np.where(counts > 0, counts, 0.5)
    shares: Floats = filled / filled.sum()
    return shares
