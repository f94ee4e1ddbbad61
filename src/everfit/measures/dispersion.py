"""How much more real windows differ than windows of independent rows would.

Rows of one day have the day in common, so that a stationary year's days differ by more than chance would have it, and a
test that takes rows for independent cries on quiet days. How much more is seen on the reference, cut into windows such
as those to be judged.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from everfit.measures.chi_squared import ChiSquared, chi_squared
from everfit.measures.rank_shift import rank_shift

Counts = NDArray[np.int64]


class Dispersion(Struct, frozen=True, kw_only=True):
    """What windows have in excess of independent rows' differences, per row, since it grows with a window's rows.

    Source: Rao, Scott 1981, "The analysis of categorical data from complex sample surveys", first-order correction,
    with the F reference of their 1987 paper, since the factor is itself estimated.
    """

    blocks: int
    """How many reference windows it was learnt from."""
    degrees: float
    """By how many degrees of freedom the statistic varies, as a share of the cells less one: below 1 where a few of
    the shares do all the moving."""
    excess: float
    """Of the chi-squared statistic over its degrees of freedom."""
    shift_excess: float
    """Of the squared rank shift."""

    def p_value(self, found: ChiSquared, rows: float) -> float:
        """The corrected chance of a chi-squared statistic, for ``rows`` as of :func:`effective_rows`."""
        from scipy.special import fdtrc

        if found.degrees == 0:
            return 1.0
        degrees = max(1.0, found.degrees * self.degrees)
        ratio = found.statistic / found.degrees / self.factor(rows)
        return float(fdtrc(degrees, degrees * self.blocks, ratio))

    def shift_p_value(self, shift: float, rows: float) -> float:
        """The corrected chance of a :func:`~everfit.measures.rank_shift.rank_shift`, either way."""
        from scipy.special import fdtrc

        return float(fdtrc(1, self.blocks, shift * shift / (1.0 + self.shift_excess * rows)))

    def factor(self, rows: float) -> float:
        """How many times as large the differences are as independent rows' would be; at least 1."""
        return 1.0 + self.excess * rows


def effective_rows(reference: int, window: int) -> float:
    """How many rows, compared with a certain truth, would be as uncertain as these two samples.

    >>> effective_rows(1_000, 1_000)
    500.0
    """
    return reference * window / max(reference + window, 1)


def dispersion(blocks: Sequence[Counts], *, ordered: int = 0) -> Dispersion:
    """Learn it from reference windows, each compared with all others together.

    Args:
        blocks: Rows in each cell of each window, int64 of shape ``(cells,)``, at least three windows; what has as many
            rows as the windows to be judged, and covers the same hours and weekdays, is best.
        ordered: How many of the cells, the first ones, are bins in ascending order; 0 for categories.

    >>> calm = dispersion([np.array([50, 50]), np.array([51, 49]), np.array([49, 51])])
    >>> calm.factor(1_000)
    1.0
    >>> dispersion([np.array([50, 50]), np.array([80, 20]), np.array([20, 80])]).factor(100) > 30
    True
    """
    total = np.sum(blocks, axis=0)
    held = [block for block in blocks if 0 < block.sum() < total.sum()]
    found = [chi_squared(total - block, block) for block in held]
    rows = np.array([effective_rows(int((total - block).sum()), int(block.sum())) for block in held])
    ratios = np.array([one.statistic / one.degrees if one.degrees else 1.0 for one in found])
    shifts = np.array([rank_shift((total - block)[:ordered], block[:ordered]) for block in held]) ** 2
    cells = max((one.degrees for one in found), default=1)
    excess = _excess(ratios, rows)
    return Dispersion(
        blocks=max(len(held), 1),
        degrees=_degrees(ratios / (1.0 + excess * rows), cells),
        excess=excess,
        shift_excess=_excess(shifts, rows),
    )


def _excess(ratios: NDArray[np.float64], rows: NDArray[np.float64]) -> float:
    return max(0.0, float((ratios - 1.0).sum()) / float(rows.sum())) if len(rows) else 0.0


def _degrees(ratios: NDArray[np.float64], cells: int) -> float:
    """Satterthwaite 1946: a statistic of mean 1 and variance v varies like chi-squared with 2 / v degrees."""
    if len(ratios) < 2 or ratios.var(ddof=1) <= 0:
        return 1.0
    return float(min(1.0, 2.0 / ratios.var(ddof=1) / max(cells, 1)))
