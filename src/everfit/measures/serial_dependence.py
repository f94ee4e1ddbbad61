"""Serial dependence: rows of a day have something in common, and so have successive days.

A bad day is often followed by another one, so that days are no independent sample either. What is learnt of blocks of
rows, such as days, is how far their levels differ, and how much of that the next one inherits.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from everfit.measures.confidence import student_quantile
from everfit.measures.weighting import Floats

_MOST_INHERITED = 0.9
_CAUTION = 0.2
"""Chance that a spread estimated from few blocks is smaller than the true one by more than is allowed for."""


@dataclass(frozen=True, kw_only=True)
class SerialDependence:
    """Sums over the means of blocks of rows, from which their dependence is estimated.

    A block's mean is a common mean, the block's own level, and noise of its rows. Levels are an autoregressive series:
    what a block inherits of the one before is :attr:`correlation` of its deviation.
    """

    row_variance: float
    """Of rows within a block."""
    blocks: int = 0
    total: float = 0.0
    squares: float = 0.0
    pairs: int = 0
    """Number of successive blocks."""
    products: float = 0.0
    """Of successive blocks' means."""
    pair_totals: float = 0.0
    """Of both means of every pair."""
    inverse_rows: float = 0.0
    """Of the numbers of rows."""

    def add(self, mean: float, rows: float, before: float | None) -> SerialDependence:
        """Return the sums with a further block.

        Args:
            mean: Of the block.
            rows: Their number.
            before: Mean of the block before, if that was added too.
        """
        return replace(
            self,
            blocks=self.blocks + 1,
            total=self.total + mean,
            squares=self.squares + mean * mean,
            inverse_rows=self.inverse_rows + 1.0 / rows,
            pairs=self.pairs + (before is not None),
            products=self.products + (0.0 if before is None else mean * before),
            pair_totals=self.pair_totals + (0.0 if before is None else mean + before),
        )

    @cached_property
    def mean(self) -> float:
        """The common mean."""
        return self.total / self.blocks

    @cached_property
    def typical_rows(self) -> float:
        """Harmonic mean of the blocks' numbers of rows."""
        return self.blocks / self.inverse_rows

    @cached_property
    def _variance(self) -> float:
        """Of the blocks' means."""
        return max(self.squares - self.blocks * self.mean**2, 0.0) / max(self.blocks - 1, 1)

    @cached_property
    def level_variance(self) -> float:
        """Of the blocks' own levels."""
        return max(self._variance - self.row_variance / self.typical_rows, 0.0)

    @cached_property
    def widening(self) -> float:
        """Factor by which standard deviations are widened, since they were estimated from few blocks."""
        degrees = self.blocks - 1
        return math.sqrt(degrees / _least_chi_squared(degrees))

    @cached_property
    def most_level_variance(self) -> float:
        """Upper limit of the levels' variance, at 80 %."""
        return max(self._variance * self.widening**2 - self.row_variance / self.typical_rows, 0.0)

    @cached_property
    def correlation(self) -> float:
        """Of successive blocks' means, in [0, 0.9]: the estimate, without its bias, and half a standard error more.

        It is no more than the levels' share of the variance can be, since noise of rows is not inherited. The bias is
        that of Marriott, Pope 1954, "Bias in the estimation of autocorrelations".
        """
        if not self._variance or not self.pairs:
            return 0.0
        common = self.products - self.mean * self.pair_totals + self.pairs * self.mean**2
        lagged = common / self.pairs / self._variance
        cautious = lagged + (1.0 + 3.0 * lagged) / self.pairs + 0.5 / math.sqrt(self.pairs)
        largest = self.most_level_variance / (self.most_level_variance + self.row_variance / self.typical_rows)
        return min(max(cautious, 0.0), largest, _MOST_INHERITED)

    def spread(self, rows: float) -> float:
        """Return the standard deviation of means of blocks with some number of rows."""
        return math.sqrt(max(self.level_variance + self.row_variance / rows, 1e-300))

    def long_run_variance(self) -> float:
        """Return the variance of the mean of many blocks, times their number."""
        correlation = self.correlation
        return self.spread(self.typical_rows) ** 2 * (1.0 + correlation) / (1.0 - correlation)

    def mean_at_most(self, alpha: float) -> float:
        """Return the upper confidence limit of the common mean at level ``alpha``, by Student's quantile."""
        reach = math.sqrt(self.long_run_variance() / self.blocks)
        return self.mean - student_quantile(max(self.blocks - 2, 1), alpha) * reach


def serial_dependence(values: Floats, blocks: NDArray[np.integer]) -> SerialDependence:
    """Learn how rows depend on each other by their blocks.

    Args:
        values: Shape ``(rows,)``.
        blocks: Number of each row's block, from 0, without gaps, in the order of time; at least two of them.

    >>> dice, day = np.random.default_rng(0), np.repeat(np.arange(100), 50)
    >>> found = serial_dependence(dice.normal(size=5_000) + 0.5 * dice.normal(size=100)[day], day)
    >>> 0.15 < found.level_variance < 0.35, 0.9 < found.row_variance < 1.1, found.correlation < 0.3
    (True, True, True)
    """
    rows = np.bincount(blocks)
    means = np.bincount(blocks, weights=values) / rows
    within = float(((values - means[blocks]) ** 2).sum()) / max(len(values) - len(rows), 1)
    found, before = SerialDependence(row_variance=within), None
    for mean, count in zip(means.tolist(), rows.tolist(), strict=True):
        found = found.add(mean, count, before)
        before = mean
    return found


def fewest_rows(values: Floats) -> int:
    """Return the number of independent values whose mean has a skewness of at most 1, so that it is about normal."""
    spread = float(values.std())
    if spread == 0.0:
        return 1
    skewness = float(((values - values.mean()) ** 3).mean()) / spread**3
    return max(1, math.ceil(skewness**2))


@lru_cache(maxsize=10_000)
def _least_chi_squared(degrees: int) -> float:
    from scipy.special import chdtri

    return float(chdtri(degrees, 1.0 - _CAUTION))
