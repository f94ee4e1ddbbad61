"""Serial dependence: rows of a day have something in common, and so have successive days.

A bad day is often followed by another one, so that days are no independent sample either. What is learnt of a
reference's blocks, such as its days, is how far their levels differ, and how much of that the next one inherits.
"""

from __future__ import annotations

import math

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from everfit.measures.weighting import Floats

_MOST_INHERITED = 0.9
_CAUTION = 0.2
"""Chance that a spread estimated from few blocks is smaller than the true one by more than is allowed for."""


class SerialDependence(Struct, frozen=True, kw_only=True):
    """Mean of each row given its block: a common mean, the block's own level, and noise of the row.

    Levels are an autoregressive series: what a block inherits of the one before is ``correlation`` of its deviation.
    """

    blocks: int
    """Number of blocks that it was estimated from."""
    mean: float
    level_variance: float
    """Of the blocks' own levels."""
    row_variance: float
    """Of rows within a block."""
    correlation: float
    """Of successive blocks' means, in [0, 0.9]: the estimate, without its bias, and half a standard error more; but no
    more than the levels' share of the variance can be."""
    widening: float
    """Factor by which standard deviations are widened, since they were estimated from few blocks."""
    most_level_spread: float
    """Upper limit of the levels' standard deviation, at 80 %."""

    def spread(self, rows: Floats) -> Floats:
        """Return the standard deviation of means of blocks with some numbers of rows."""
        spread: Floats = np.sqrt(self.level_variance + self.row_variance / rows)
        return spread

    def inherited(self, distance: Floats) -> Floats:
        """Return the correlation of two blocks that are some blocks apart, at least one."""
        correlation: Floats = self.correlation ** np.maximum(distance, 1.0)
        return correlation

    def mean_at_most(self, alpha: float) -> float:
        """Return the upper confidence limit of the common mean at level ``alpha``, by Student's quantile."""
        from scipy.special import stdtrit

        # The variance of a mean of dependent blocks: Bartlett 1946, of an autoregressive series.
        rows = self.row_variance / max(self.typical_rows, 1.0)
        dependent = (self.level_variance + rows) * (1 + self.correlation) / (1 - self.correlation)
        reach = -float(stdtrit(max(self.blocks - 2, 1), alpha)) * math.sqrt(dependent / self.blocks)
        return self.mean + reach

    typical_rows: float
    """Harmonic mean of the blocks' numbers of rows."""


def serial_dependence(values: Floats, blocks: NDArray[np.integer]) -> SerialDependence:
    """Learn how rows depend on each other by their blocks.

    Args:
        values: Shape ``(rows,)``.
        blocks: Number of each row's block, from 0, without gaps, in the order of time; at least three of them.

    >>> dice, day = np.random.default_rng(0), np.repeat(np.arange(100), 50)
    >>> found = serial_dependence(dice.normal(size=5_000) + 0.5 * dice.normal(size=100)[day], day)
    >>> 0.15 < found.level_variance < 0.35, 0.9 < found.row_variance < 1.1, found.correlation < 0.3
    (True, True, True)
    """
    from scipy.special import chdtri

    rows = np.bincount(blocks).astype(np.float64)
    count = len(rows)
    means = np.bincount(blocks, weights=values) / rows
    within = max(float(((values - means[blocks]) ** 2).sum()) / max(len(values) - count, 1), 0.0)
    typical = count / float((1.0 / rows).sum())
    level = max(float(means.var(ddof=1)) - within / typical, 0.0)
    scaled = (means - means.mean()) / np.sqrt(max(level, 1e-300) + within / rows)
    squares = float((scaled**2).sum())
    lagged = float((scaled[1:] * scaled[:-1]).sum()) / squares if squares else 0.0
    # The bias of the estimate: Marriott, Pope 1954, "Bias in the estimation of autocorrelations".
    correlation = lagged + (1.0 + 3.0 * lagged) / count + 0.5 / math.sqrt(count)
    least = float(chdtri(count - 1, 1.0 - _CAUTION))
    largest = max(float(means.var(ddof=1)) * (count - 1) / least - within / typical, 0.0)
    # Levels are inherited, noise of rows is not.
    most_inherited = min(_MOST_INHERITED, largest / max(largest + within / typical, 1e-300))
    return SerialDependence(
        blocks=count,
        mean=float(means.mean()),
        level_variance=level,
        row_variance=within,
        correlation=min(max(correlation, 0.0), most_inherited),
        widening=math.sqrt((count - 1) / least),
        most_level_spread=math.sqrt(largest),
        typical_rows=typical,
    )


def fewest_rows(values: Floats) -> int:
    """Return the number of independent values whose mean has a skewness of at most 1, so that it is about normal."""
    spread = float(values.std())
    if spread == 0.0:
        return 1
    skewness = float(((values - values.mean()) ** 3).mean()) / spread**3
    return max(1, math.ceil(skewness**2))
