"""Confidence limits of a proportion, a quantile and a running mean, Student's quantiles, and levels of many tests."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from everfit.measures.weighting import Floats


def wilson_interval(hits: int, rows: int, *, level: float = 0.95) -> tuple[float, float]:
    """Return the confidence interval of a share, given ``hits`` among ``rows`` independent rows.

    Source: Wilson 1927, "Probable inference, the law of succession, and statistical inference". Unlike the share plus
    and minus its standard error, it is right near 0 and 1.

    >>> tuple(round(end, 4) for end in wilson_interval(10, 100))
    (0.0552, 0.1744)
    """
    if rows == 0:
        return 0.0, 1.0
    z = NormalDist().inv_cdf((1.0 + level) / 2.0)
    share = hits / rows
    centre = share + z * z / (2 * rows)
    reach = z * math.sqrt(share * (1 - share) / rows + z * z / (4 * rows * rows))
    scale = 1 + z * z / rows
    return max(0.0, (centre - reach) / scale), min(1.0, (centre + reach) / scale)


def clopper_pearson_low(hits: int, rows: int, *, alpha: float) -> float:
    """Return the exact lower confidence limit of a share, at level ``alpha``, for any share and number of rows.

    Source: Clopper, Pearson 1934, "The use of confidence or fiducial limits illustrated in the case of the binomial".

    >>> round(clopper_pearson_low(3, 500, alpha=0.01), 5)
    0.00087
    """
    from scipy.special import betaincinv

    return float(betaincinv(hits, rows - hits + 1, alpha)) if hits else 0.0


def quantile_bounds(values: Floats, quantile: float, *, alpha: float) -> tuple[float | None, float | None]:
    """Return the lower and upper confidence limit of a quantile, each at level ``alpha``, for any distribution.

    Both are values of the sample, which holds independent ones: how many lie below the quantile is binomial. Source:
    David, Nagaraja 2003, "Order statistics", section 7.1. A limit is ``None`` where even the least value may be above
    the quantile, or the greatest below it.

    >>> quantile_bounds(np.arange(1.0, 101.0), 0.99, alpha=0.01)
    (96.0, None)
    """
    from scipy.special import bdtr

    ordered, rows = np.sort(values), len(values)
    # No bound lies beyond eight standard deviations of the count.
    centre, reach = rows * quantile, 8.0 * math.sqrt(rows * quantile * (1 - quantile)) + 1
    places = np.arange(max(int(centre - reach), 1), min(int(centre + reach) + 1, rows) + 1)
    # The chance that fewer values than a place's number lie below the quantile.
    fewer = bdtr(places - 1.0, rows, quantile)
    low, high = places[fewer <= alpha], places[fewer >= 1 - alpha]
    return float(ordered[low[-1] - 1]) if len(low) else None, float(ordered[high[0] - 1]) if len(high) else None


def student_quantile(degrees: int, level: float) -> float:
    """Return the quantile of Student's t distribution with some degrees of freedom at a level in (0, 1).

    >>> round(student_quantile(13, 0.95), 3)
    1.771
    """
    from scipy.special import stdtrit

    return float(stdtrit(degrees, level))


@dataclass(frozen=True, kw_only=True)
class RunningMean:
    """Sums of the values so far, and the least upper bound of their mean: all that a confidence sequence remembers."""

    count: int = 0
    total: float = 0.0
    squares: float = 0.0
    bound: float = math.inf


def go_on(before: RunningMean, values: Floats, alpha: float, *, first: int) -> tuple[RunningMean, Floats]:
    """Go on with a confidence sequence: return the sums, and an upper bound of the mean after each value.

    The bounds are valid at all times at once. Source: Waudby-Smith, Arbour, Sinha, Kennedy, Ramdas 2021, "Time-uniform
    central limit theory and asymptotic confidence sequences" (arXiv 2103.06476), the one-sided sequence. It relies on
    means of many values being about normal, so it begins with ``first`` of them, where it is also tightest.

    Args:
        before: After the values before; ``RunningMean()`` in the beginning.
        values: Independent, or at least without drift; shape ``(steps,)``.
        alpha: Bound of the probability that the mean ever exceeds its bound.
        first: Number of values before the first finite bound, at least 2.

    Returns:
        The second is of shape ``(steps,)``, never rising; infinite before there are ``first`` values.

    >>> halves = np.tile([0.0, 1.0], 2_500)
    >>> mean, early = go_on(RunningMean(), halves, 0.05, first=100)
    >>> mean, late = go_on(mean, halves, 0.05, first=100)
    >>> early[[0, 99]].round(2).tolist(), round(mean.bound, 2)
    ([inf, 0.67], 0.52)
    """
    if not len(values):
        return before, values
    count = np.arange(before.count + 1, before.count + len(values) + 1, dtype=np.float64)
    total, squares = _cumulated(before.total, values), _cumulated(before.squares, values**2)
    mean = total / count
    variance = np.maximum(squares / count - mean**2, 0.0) * count / np.maximum(count - 1, 1)
    width = 1.0 / max(first, 2)
    scaled = count * width + 1.0
    reach = np.sqrt(2.0 * scaled / (count * count * width) * np.log1p(np.sqrt(scaled) / (2.0 * alpha)))
    bound = mean + np.sqrt(variance) * reach
    bound[count < first] = np.inf
    bound = np.minimum(np.minimum.accumulate(bound), before.bound)
    after = RunningMean(count=int(count[-1]), total=total[-1], squares=squares[-1], bound=float(bound[-1]))
    return after, bound


def upper_sequence(values: Floats, alpha: float, *, first: int) -> Floats:
    """Return the confidence sequence of :func:`go_on` from its beginning."""
    return go_on(RunningMean(), values, alpha, first=first)[1]


def _cumulated(before: float, values: Floats) -> Floats:
    """Return cumulative sums that do not depend on how the values are divided."""
    sums: Floats = np.append(before, values).cumsum()[1:]
    return sums


def holm(p_values: Sequence[float]) -> list[float]:
    """Correct p-values for their number: the probability of any false one at or below ``alpha`` is at most ``alpha``.

    Source: Holm 1979, "A simple sequentially rejective multiple test procedure". It needs no independence and finds
    never less than Bonferroni.

    >>> [round(value, 4) for value in holm([0.01, 0.04, 0.03])]
    [0.03, 0.06, 0.06]
    """
    order, count = np.argsort(p_values, kind="stable"), len(p_values)
    corrected = np.empty(count)
    corrected[order] = np.minimum(1.0, np.maximum.accumulate((count - np.arange(count)) * np.asarray(p_values)[order]))
    return [float(value) for value in corrected]


def alpha_per_window(alpha: float, windows: float) -> float:
    """Return the level of each of ``windows`` tests with which the probability of any false alarm is at most ``alpha``.

    With a year's number of windows, ``alpha`` bounds the probability of a false alarm in a stationary year.
    Source: Bonferroni's inequality; it needs no independence.
    """
    return alpha / max(windows, 1.0)
