"""Bootstrap intervals of a metric: of one model, and of the paired difference of two on the same rows.

Source: Efron 1979, "Bootstrap methods"; the percentile interval. A resample is a vector of counts, so that a metric
sorts its rows once and is then evaluated for every resample (:mod:`everfit.measures.weighting`).

Beyond :data:`MOST_ROWS` rows, the resamples are taken from that many rows, drawn once without replacement, and their
deviations are shrunk by ``sqrt(MOST_ROWS / rows)``: the m out of n bootstrap of Bickel, Götze, van Zwet 1997, right
for every metric here, since all are smooth functionals whose error falls with the root of the number of rows. The
value itself always comes from all rows.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from everfit.measures.quality import Metric
from everfit.measures.weighting import Floats

MOST_ROWS = 100_000


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A metric's value with its confidence interval; NaN where undefined."""

    value: float
    low: float
    high: float
    standard_error: float
    """The standard deviation of the resampled values."""


@dataclass(frozen=True, kw_only=True)
class PairedDifference:
    """Paired difference of the predictions ``a`` and ``b`` on the same rows; positive means that ``a`` is worse."""

    difference: float
    """In the metric's own unit, on all rows."""
    low: float
    high: float
    chance_worse: float
    """The share of resamples in which ``a`` is worse, ties counting one half."""
    rows: int


def bootstrap_interval(
    metric: Metric, truth: Floats, predicted: Floats, *, resamples: int, seed: int, weight: Floats | None = None
) -> Interval:
    """Return a metric with its bootstrap interval; see :func:`bootstrap_intervals`."""
    return bootstrap_intervals([metric], truth, predicted, resamples=resamples, seed=seed, weight=weight)[0]


def bootstrap_intervals(
    metrics: Sequence[Metric],
    truth: Floats,
    predicted: Floats,
    *,
    resamples: int,
    seed: int,
    weight: Floats | None = None,
) -> tuple[Interval, ...]:
    """Return metrics with their 95 % bootstrap intervals, from the same resamples.

    Where a metric's resamples are biased (a calibration error only grows when rows repeat), the interval is widened to
    hold the value itself.

    Args:
        metrics: The metrics to measure.
        truth: Shape ``(rows,)``; see :class:`Metric`.
        predicted: Shape ``(rows,)`` or ``(rows, classes)``.
        resamples: Number of resamples, drawn with replacement.
        seed: The same seed gives the same intervals.
        weight: The rows' weights, shape ``(rows,)``, not negative; all 1 by default.
    """
    rows = len(truth)
    chosen = _rows_to_resample(predicted, seed)
    weighings = [metric.on(truth[chosen], predicted[chosen]) for metric in metrics]
    own = 1.0 if weight is None else weight[chosen]
    drawn = np.array(
        [[weighing(own * count) for weighing in weighings] for count in _weights(len(chosen), resamples, seed)]
    ).reshape(-1, len(metrics))
    intervals = []
    for place, metric in enumerate(metrics):
        value = metric.compute(truth, predicted, weight)
        values = _full_size(drawn[:, place], value, rows)
        low, high = _range(values, 0.95)
        low, high = float(np.fmin(low, value)), float(np.fmax(high, value))
        error = float(values.std()) if len(values) else math.nan
        intervals.append(Interval(value=value, low=low, high=high, standard_error=error))
    return tuple(intervals)


def paired_bootstrap(
    metric: Metric,
    truth: Floats,
    a: Floats,
    b: Floats,
    *,
    resamples: int,
    seed: int,
    level: float = 0.95,
    weight: Floats | None = None,
) -> PairedDifference:
    """Return the paired difference of ``a`` and ``b``, from resamples of the same rows for both.

    A row that is hard for one is hard for both, so the paired difference is known far better than either value.
    Arguments as for :func:`bootstrap_intervals`; the interval is not widened.
    """
    rows = len(truth)
    chosen = _rows_to_resample(a + b, seed)
    on_a, on_b = metric.on(truth[chosen], a[chosen]), metric.on(truth[chosen], b[chosen])
    difference = metric.worse_by(metric.compute(truth, a, weight), metric.compute(truth, b, weight))
    own = 1.0 if weight is None else weight[chosen]
    counts = (own * count for count in _weights(len(chosen), resamples, seed))
    drawn = np.array([metric.worse_by(on_a(count), on_b(count)) for count in counts])
    drawn = _full_size(drawn, difference, rows)
    low, high = _range(drawn, level)
    worse = float(np.mean((drawn > 0) + 0.5 * (drawn == 0))) if len(drawn) else math.nan
    return PairedDifference(difference=difference, low=low, high=high, chance_worse=worse, rows=rows)


def _rows_to_resample(predicted: Floats, seed: int) -> NDArray[np.intp]:
    """Select all rows, or :data:`MOST_ROWS` of them, in the order of their prediction.

    The order means nothing to a bootstrap, but ranking metrics then walk through memory instead of jumping about in
    it, once per resample.
    """
    rows = len(predicted)
    drawn = np.random.default_rng([seed, 1]).permutation(rows)[:MOST_ROWS] if rows > MOST_ROWS else np.arange(rows)
    key = predicted[drawn] if predicted.ndim == 1 else predicted[drawn, 0]
    ordered: NDArray[np.intp] = drawn[np.argsort(-key, kind="stable")]
    return ordered


def _weights(rows: int, resamples: int, seed: int) -> Iterator[Floats]:
    """Draw resamples: the count of each row, one vector per resample."""
    if rows == 0:
        return
    random = np.random.default_rng([seed, 0])
    for _ in range(resamples):
        yield np.bincount(random.integers(0, rows, rows), minlength=rows).astype(np.float64)


def _full_size(drawn: Floats, value: float, rows: int) -> Floats:
    """Keep defined resamples only, shrunk around the value where they came from fewer rows than there are."""
    known = drawn[~np.isnan(drawn)]
    if rows <= MOST_ROWS or not len(known):
        return known
    shrunk: Floats = value + (known - np.median(known)) * math.sqrt(MOST_ROWS / rows)
    return shrunk


def _range(drawn: Floats, level: float) -> tuple[float, float]:
    if not len(drawn):
        return math.nan, math.nan
    low, high = np.quantile(drawn, [(1.0 - level) / 2.0, (1.0 + level) / 2.0])
    return float(low), float(high)
