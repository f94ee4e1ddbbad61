"""Estimated performance on unlabelled rows, with its interval, and compared with the labels once they are known.

The estimate reflects covariate shift: rows that are harder or easier by a classifier's predictions, or a regression's
features. *It does not reflect concept drift*, where the same features lead to other labels. (Measured: estimated
accuracy 0.731, real 0.595.) Do not roll back, and do not close an incident, on an estimate; wait for labels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import polars as pl
from msgspec import Struct

from everfit.core.columns import LABEL, TIME
from everfit.core.finding import EstimatedDrop
from everfit.measures.confidence import student_quantile
from everfit.measures.quality import Metric
from everfit.measures.weighting import Floats
from everfit.monitoring.loss_estimation import Expectation, PerformanceEstimation, estimation_for
from everfit.monitoring.performance import LEAST_LABELLED, Figure, Scale, figure
from everfit.monitoring.prediction_frame import by_time
from everfit.monitoring.reference import ReferenceProfile

LEAST_HELD_OUT = 200
"""With fewer outcomes on the hold-out there is nothing to learn from."""
_FOLDS = 5
_LEAST_CHUNKS = 8
_MOST_CHUNKS = 60
_LEVEL = 0.95


class Estimate(Struct, frozen=True, kw_only=True):
    """Expected metric on the rows in ``[start, end)``."""

    start: datetime
    end: datetime
    rows: int
    """All of them, whether their outcome is known or not."""
    metric: str
    value: float | None
    """``None`` where there are too few rows, or the metric is undefined on them."""
    low: float | None
    """Lower end of the range in which the realised metric lies in 95 of 100 such windows, by how far estimates of
    stretches of the hold-out were off; ``None`` where it is too short to tell. It allows for everything but a change
    in what follows from the same inputs."""
    high: float | None


class Reconciled(Struct, frozen=True, kw_only=True):
    """Estimate beside the realised metric, on the same rows: those with labels by now."""

    estimated: Estimate
    realised: Figure


@dataclass(frozen=True)
class Estimator:
    """Estimator of a version's metric, learnt on its hold-out."""

    scale: Scale
    method: PerformanceEstimation
    expect: Expectation
    """Learnt on the whole hold-out."""
    held_out: pl.DataFrame
    """Its labelled rows, ordered by event time."""
    expected: Floats
    """Expectation of each of them, learnt on the others; see :func:`learn_estimator`."""

    def estimate(
        self, rows: pl.DataFrame, *, start: datetime, end: datetime, weight: pl.Series | None = None
    ) -> Estimate:
        """Return the expected metric of the rows of a stretch of time; outcomes are not used.

        The length of the stretch tells how much of a week's or a storm's fortune its rows share. Weights are aligned
        with the rows.
        """
        value = low = high = None
        if rows.height >= LEAST_LABELLED:
            counted = None if weight is None else weight.to_numpy().astype(np.float64)
            found = self.method.metric(self.expect(rows), rows, counted)
            if math.isfinite(found):
                value = found
                reach = self._reach(rows.height, end - start)
                if reach is not None:
                    low, high = _within(self.scale.measure, found - reach, found + reach)
        return Estimate(
            start=start, end=end, rows=rows.height, metric=self.scale.metric, value=value, low=low, high=high
        )

    def over_time(self, rows: pl.DataFrame, *, every: timedelta) -> tuple[Estimate, ...]:
        """Return the estimate for each length of event time, oldest first."""
        return tuple(self.estimate(part, start=start, end=start + every) for start, part in by_time(rows, every))

    def reconcile(
        self, rows: pl.DataFrame, *, start: datetime, end: datetime, weight: pl.Series | None = None
    ) -> Reconciled:
        """Return the estimate beside the realised metric, on labelled rows; arguments as for :func:`figure`.

        While outcomes are still coming, weights must be those of :func:`everfit.monitoring.maturity.weights`, since a
        class that becomes known sooner would otherwise pass for a surprise.
        """
        known = rows[LABEL].is_not_null()
        labelled, own = rows.filter(known), None if weight is None else weight.filter(known)
        return Reconciled(
            estimated=self.estimate(labelled, start=start, end=end, weight=own),
            realised=figure(labelled, self.scale, start=start, end=end, weight=own),
        )

    def _reach(self, rows: int, length: timedelta) -> float | None:
        """Return the half-width of the interval of an estimate on so many rows within such a time.

        Stretches of the hold-out are as long as the window in rows or in time, whichever is less: its rows may have
        been thinned, and rows of one time share their fortune. Where it is too short for enough of those, shorter ones
        are taken; then what chance does to a window is shrunk accordingly, but not what it did to the hold-out itself.
        """
        whole = self.held_out.height
        span = self.held_out[TIME][-1] - self.held_out[TIME][0]
        alike = min(rows, math.ceil(whole * (length / span))) if span else rows
        wanted = max(alike, LEAST_LABELLED)
        size = min(wanted, whole // _LEAST_CHUNKS)
        off = self._off(size)
        if len(off) < _LEAST_CHUNKS:
            return None
        share = min(1.0, size / wanted + size / whole)
        return student_quantile(len(off), (1.0 + _LEVEL) / 2.0) * math.sqrt(share * float((off**2).mean()))

    def _off(self, size: int) -> Floats:
        """Realised less estimated on stretches of the hold-out of some size, where both are defined."""
        there = self.held_out.height // size
        chosen = np.unique(np.linspace(0, there - 1, min(there, _MOST_CHUNKS)).astype(np.intp))
        found = []
        for start in (chosen * size).tolist():
            chunk, expected = self.held_out[start : start + size], self.expected[start : start + size]
            realised = self.scale.measure.compute(*self.scale.read(chunk))
            found.append(realised - self.method.metric(expected, chunk, None))
        off: Floats = np.array(found)
        return off[np.isfinite(off)]


def estimated_drop(estimate: Estimate, estimator: Estimator) -> EstimatedDrop | None:
    """Return how much worse an estimate is than the hold-out; ``None`` where either is unknown."""
    measure = estimator.scale.measure
    usual = measure.compute(*estimator.scale.read(estimator.held_out))
    if estimate.value is None or estimate.low is None or estimate.high is None or not math.isfinite(usual):
        return None
    if measure.greater_is_better:
        worse_by, at_least = usual - estimate.value, usual - estimate.high
    elif measure.best_at_zero:
        worse_by = abs(estimate.value) - abs(usual)
        at_least = max(estimate.low, -estimate.high, 0.0) - abs(usual)
    else:
        worse_by, at_least = estimate.value - usual, estimate.low - usual
    return EstimatedDrop(metric=estimate.metric, worse_by=worse_by, at_least=at_least)


def learn_estimator(reference: ReferenceProfile) -> Estimator | None:
    """Learn an estimator from a version's hold-out.

    Binary and multiclass models: what chances turned out to be, by isotonic calibration; any of their metrics.
    Regressions: a model of the loss. The error of the estimator is learnt on fifths of the hold-out, each estimated
    from the other four, in order of time. ``None`` if the hold-out has too few outcomes, or the metric is no mean of
    losses (``r2``).
    """
    scale, rows = reference.scale, reference.labelled
    method = estimation_for(scale, reference.features)
    if rows.height < LEAST_HELD_OUT or method is None:
        return None
    fold = pl.Series(np.arange(rows.height) * _FOLDS // rows.height)
    parts = [method.learn(rows.filter(fold != held))(rows.filter(fold == held)) for held in range(_FOLDS)]
    return Estimator(scale, method, method.learn(rows), rows, np.concatenate(parts))


def _within(measure: Metric, low: float, high: float) -> tuple[float, float]:
    """Cut off what no such metric can be."""
    if measure.greater_is_better:
        return max(0.0, low), min(1.0, high)
    return (low, high) if measure.best_at_zero else (max(0.0, low), high)
