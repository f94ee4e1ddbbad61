"""Overdispersion: the excess of the differences between windows or days over those of independent rows.

Rows of one day are dependent, so a stationary year's days differ by more than sampling error, and a test that assumes
independent rows raises false alarms. The excess is estimated from the reference, cut into windows like those to be
judged.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from everfit.measures.two_sample_tests import ChiSquared, Counts, chi_squared, rank_shift
from everfit.measures.weighting import Floats


class Dispersion(Struct, frozen=True, kw_only=True):
    """Excess of windows' test statistics over those of independent rows, per row, since it grows with a window's rows.

    The correction is that of Rao, Scott 1981, "The analysis of categorical data from complex sample surveys", made
    conservative in two ways, since alarms are decided far out in the tail, where their first-order one is too light:
    all the excess is taken to lie in one direction, as where days differ in level, and the estimate's own error is
    included.
    """

    blocks: int
    """Number of reference windows it was estimated from."""
    excess: float
    """Of the chi-squared statistic, in total."""
    shift_excess: float
    """Of the squared rank shift."""

    def p_value(self, found: ChiSquared, rows: float) -> float:
        """Return the corrected p-value of a chi-squared statistic, for ``rows`` as of :func:`effective_rows`.

        That of ``degrees - 1`` squared normal deviates, and another one that is ``1 + excess * rows`` times as large.
        """
        from scipy.special import chdtrc, fdtrc

        if found.degrees == 0:
            return 1.0
        largest, rest = 1.0 + self.excess * rows, found.degrees - 1
        if rest == 0:
            return float(fdtrc(1, self.blocks, found.least / largest))
        # Over the root of the squared deviates, whose density has no pole at zero, and ten of its deviations wide.
        low, high = max(0.0, math.sqrt(rest) - 7.0), min(math.sqrt(found.least), math.sqrt(rest) + 8.0)
        if high <= low:
            return 1.0
        nodes, weights = _quadrature()
        root = low + (nodes + 1.0) * (high - low) / 2.0
        log_density = (rest - 1) * np.log(root) - root**2 / 2 - (rest / 2 - 1) * math.log(2) - math.lgamma(rest / 2)
        beyond = fdtrc(1, self.blocks, (found.least - root**2) / largest)
        inside = float((weights * np.exp(log_density) * beyond).sum()) * (high - low) / 2.0
        return min(1.0, inside + float(chdtrc(rest, high * high)))

    def shift_p_value(self, shift: float, rows: float) -> float:
        """Return the corrected two-sided p-value of a :func:`~everfit.measures.two_sample_tests.rank_shift`."""
        from scipy.special import fdtrc

        return float(fdtrc(1, self.blocks, shift * shift / (1.0 + self.shift_excess * rows)))


def effective_rows(reference: int, window: int) -> float:
    """Return the number of rows which, against an exact reference, are as uncertain as these two samples."""
    return reference * window / max(reference + window, 1)


def dispersion(blocks: Sequence[Counts], *, ordered: int = 0) -> Dispersion:
    """Estimate overdispersion from reference windows, each compared with all others together.

    Args:
        blocks: Rows in each cell of each window, int64 of shape ``(cells,)``, at least three windows; what has as many
            rows as the windows to be judged, and covers the same hours and weekdays, is best.
        ordered: Number of the cells, the first ones, that are bins in ascending order; 0 for categories.

    >>> round(dispersion([np.array([50, 50]), np.array([80, 20]), np.array([20, 80])]).excess, 2)
    0.53
    """
    total = np.sum(blocks, axis=0)
    held = [block for block in blocks if 0 < block.sum() < total.sum()]
    found = [chi_squared(total - block, block) for block in held]
    rows = np.array([effective_rows(int((total - block).sum()), int(block.sum())) for block in held])
    surplus = np.array([one.statistic - one.degrees for one in found])
    shifts = np.array([rank_shift((total - block)[:ordered], block[:ordered]) ** 2 for block in held])
    return Dispersion(
        blocks=max(len(held), 1), excess=_per_row(surplus, rows), shift_excess=_per_row(shifts - 1.0, rows)
    )


def design_effect(values: Floats, blocks: NDArray[np.integer]) -> float:
    """Return the number of dependent rows of a block that carry as much information as one independent row.

    It is the variance of block means over that of means of as many independent rows; at least 1. Source: Kish 1965,
    "Survey Sampling", chapter 8. An excess that chance alone may explain counts as 1.

    Args:
        values: Shape ``(rows,)``.
        blocks: The day, or other time block, of each row; shape ``(rows,)``.

    >>> dice = np.random.default_rng(0)
    >>> day = np.repeat(np.arange(40), 100)
    >>> 10 < design_effect(dice.normal(size=4_000) + dice.normal(size=40)[day] * 0.5, day) < 50
    True
    """
    from scipy.special import chdtrc

    names, place = np.unique(blocks, return_inverse=True)
    rows = np.bincount(place)
    # The first and last day are cut off; what they hold says little of a day.
    kept = rows >= len(values) / max(len(names), 1) / 2
    spread = float(values.var(ddof=1)) if len(values) > 1 else 0.0
    if kept.sum() < 5 or spread <= 0:
        return 1.0
    means = np.bincount(place, weights=values)[kept] / rows[kept]
    centre = float(np.average(means, weights=rows[kept]))
    statistic = float((rows[kept] * (means - centre) ** 2).sum()) / spread
    degrees = int(kept.sum()) - 1
    return max(1.0, statistic / degrees) if chdtrc(degrees, statistic) < 0.05 else 1.0


def _per_row(surplus: Floats, rows: Floats) -> float:
    return max(0.0, float(surplus.sum() / rows.sum())) if len(rows) else 0.0


@cache
def _quadrature() -> tuple[Floats, Floats]:
    """Gauss and Legendre's nodes and weights on [-1, 1]."""
    nodes, weights = np.polynomial.legendre.leggauss(48)
    return nodes, weights
