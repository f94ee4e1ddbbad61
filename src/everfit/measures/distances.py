"""Distances of two samples over the same cells.

All take the rows in each cell of a reference and of a window, int64 of shape ``(cells,)``, and are NaN if either has no
rows; bins are in ascending order.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from everfit.measures.weighting import Floats

Counts = NDArray[np.int64]


def psi(reference: Counts, window: Counts) -> float:
    """Return the population stability index: the sum over cells of ``(p - q) * log(p / q)``, in nats.

    ``p`` and ``q`` are a cell's shares in window and reference. It is the symmetric divergence of Jeffreys 1946, "An
    invariant form for the prior probability in estimation problems", as credit scoring uses it (Siddiqi 2006, "Credit
    risk scorecards"). A cell that is empty on one side counts there as half a row, or it would be infinite; one that is
    empty on both is left out.

    >>> round(psi(np.array([50, 50]), np.array([60, 40])), 6)
    0.040547
    """
    if reference.sum() == 0 or window.sum() == 0:
        return math.nan
    either = (reference > 0) | (window > 0)
    filled = (np.where(sample[either] > 0, sample[either], 0.5) for sample in (window, reference))
    shares, others = (rows / rows.sum() for rows in filled)
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


def jensen_shannon(reference: Counts, window: Counts) -> float:
    """Return the Jensen-Shannon distance: 0 for equal shares, 1 where no cell is shared.

    It is the root of the divergence in bits, which makes it a metric (Endres, Schindelin 2003, "A new metric for
    probability distributions"; Lin 1991).

    >>> jensen_shannon(np.array([5, 0]), np.array([0, 7]))
    1.0
    """
    if reference.sum() == 0 or window.sum() == 0:
        return math.nan
    p, q = reference / reference.sum(), window / window.sum()
    middle = (p + q) / 2
    divergence = (_relative_entropy(p, middle) + _relative_entropy(q, middle)) / 2
    return math.sqrt(min(1.0, max(0.0, divergence)))


def _relative_entropy(shares: Floats, middle: Floats) -> float:
    there = shares > 0
    return float((shares[there] * np.log2(shares[there] / middle[there])).sum())


def kolmogorov_smirnov(reference: Counts, window: Counts) -> float:
    """Return the largest gap between the cumulative distributions, at the ends of bins.

    It is that of the rows themselves, or less by at most the smaller share of a single bin (Smirnov 1948, "Table for
    estimating the goodness of fit of empirical distributions").

    >>> kolmogorov_smirnov(np.array([5, 5, 0]), np.array([0, 5, 5]))
    0.5
    """
    if reference.sum() == 0 or window.sum() == 0:
        return math.nan
    return float(np.abs(_gaps(reference, window)).max())


def wasserstein(reference: Counts, window: Counts, centres: Floats) -> float:
    """Return the first Wasserstein (earth mover's) distance of rows that lie at their bins' ``centres``, in their unit.

    The integral of the absolute gap between the cumulative distributions (Vallender 1974, "Calculation of the
    Wasserstein distance between probability distributions on the line"). What moves within an outer bin is not seen.

    >>> wasserstein(np.array([4, 0]), np.array([1, 3]), np.array([0.0, 2.0]))
    1.5
    """
    if reference.sum() == 0 or window.sum() == 0:
        return math.nan
    return float((np.abs(_gaps(reference, window)[:-1]) * np.diff(centres)).sum())


def _gaps(reference: Counts, window: Counts) -> Floats:
    gaps: Floats = reference.cumsum() / reference.sum() - window.cumsum() / window.sum()
    return gaps
