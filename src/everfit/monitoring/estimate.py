"""How good a version is on rows whose outcome nobody knows yet: an estimate, its error, and what became of it.

The estimate sees that questions have become harder or easier, as far as the version's answers (a classifier's) or the
features (a regression's) tell. *It sees nothing of a change in what follows from them*: where the same features come
to mean another outcome, it goes on as before while the truth falls. (Measured under such a concept drift: estimated
accuracy 0.731, real 0.595.) So an estimate is never a reason to roll back, and none to be calm; only outcomes are.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import polars as pl
from msgspec import Struct

from everfit.core.columns import LABEL, TIME
from everfit.core.finding import EstimatedDrop
from everfit.measures.metric import Metric
from everfit.measures.weighting import Floats
from everfit.monitoring.loss_estimation import LOSSES, Chances, Foresee, Foresight, ModelledLosses
from everfit.monitoring.performance import LEAST_LABELLED, RESAMPLES, Figure, Scale, figure
from everfit.monitoring.reference import Reference

LEAST_HELD_OUT = 200
"""With fewer outcomes on the hold-out there is nothing to learn from."""
_FOLDS = 5
_LEAST_CHUNKS = 8
_MOST_CHUNKS = 60
_LEVEL = 0.95


class Estimate(Struct, frozen=True, kw_only=True):
    """What a metric is expected to turn out on the rows that were asked in ``[start, end)``."""

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
    """An estimate beside the truth, on the same rows: those whose outcome is known by now."""

    estimated: Estimate
    realised: Figure

    @property
    def off_by(self) -> float | None:
        """Realised less estimated, in the metric's own unit."""
        if self.realised.value is None or self.estimated.value is None:
            return None
        return self.realised.value - self.estimated.value

    @property
    def held(self) -> bool | None:
        """Whether the truth lies where it was expected; if not, the inputs alone do not explain it."""
        low, high, value = self.estimated.low, self.estimated.high, self.realised.value
        return None if value is None or low is None or high is None else low <= value <= high


@dataclass(frozen=True)
class Estimator:
    """What a version's hold-out taught of how its answers turn out.

    Args:
        scale: How to score.
        foresight: What makes a metric of what is expected.
        foresee: Learnt on the whole hold-out.
        held_out: Its labelled rows, ordered by the time of asking.
        expected: What is expected of each of them by what was learnt on the others; see :func:`learn_estimator`.
    """

    scale: Scale
    foresight: Foresight
    foresee: Foresee
    held_out: pl.DataFrame
    expected: Floats

    def estimate(
        self, rows: pl.DataFrame, *, start: datetime, end: datetime, weight: pl.Series | None = None
    ) -> Estimate:
        """The metric that some rows are expected to have.

        Args:
            rows: In the form of :mod:`everfit.monitoring.prediction_frame`; outcomes are not looked at.
            start: Of the stretch of time in which they were asked.
            end: Its end; how long it is tells how much of a week's or a storm's fortune its rows share.
            weight: How much each row counts, aligned with ``rows``.
        """
        value = low = high = None
        if rows.height >= LEAST_LABELLED:
            found = self._metric(self.foresee(rows), rows, weight)
            if math.isfinite(found):
                value = found
                reach = self._reach(rows.height, end - start)
                if reach is not None:
                    low, high = _within(self.scale.measure, found - reach, found + reach)
        return Estimate(
            start=start, end=end, rows=rows.height, metric=self.scale.metric, value=value, low=low, high=high
        )

    def over_time(self, rows: pl.DataFrame, *, every: timedelta) -> tuple[Estimate, ...]:
        """The estimate for each stretch of time, by when the rows were asked, oldest first."""
        parts = rows.with_columns(pl.col(TIME).dt.truncate(every).alias("__start")).partition_by("__start")
        starts = sorted((part["__start"][0], part) for part in parts)
        return tuple(self.estimate(part, start=start, end=start + every) for start, part in starts)

    def reconcile(
        self,
        rows: pl.DataFrame,
        *,
        start: datetime,
        end: datetime,
        weight: pl.Series | None = None,
        resamples: int = RESAMPLES,
    ) -> Reconciled:
        """The estimate beside the truth, on the rows whose outcome is known.

        Args:
            rows: In the form of :mod:`everfit.monitoring.prediction_frame`.
            start: As for :meth:`estimate`.
            end: Likewise.
            weight: Aligned with ``rows``; while outcomes are still coming, that of
                :func:`everfit.monitoring.maturity.weights`, since a class that becomes known sooner would otherwise
                pass for a surprise.
            resamples: Of the truth's bootstrap.
        """
        known = rows[LABEL].is_not_null()
        labelled, own = rows.filter(known), None if weight is None else weight.filter(known)
        return Reconciled(
            estimated=self.estimate(labelled, start=start, end=end, weight=own),
            realised=figure(labelled, self.scale, start=start, end=end, weight=own, resamples=resamples),
        )

    def _metric(self, expected: Floats, rows: pl.DataFrame, weight: pl.Series | None) -> float:
        counted = None if weight is None else weight.to_numpy().astype(np.float64)
        return self.foresight.metric(expected, rows, counted)

    def _reach(self, rows: int, length: timedelta) -> float | None:
        """How far the truth may be from an estimate on so many rows, asked within such a time.

        Stretches of the hold-out are as long as the window in rows or in time, whichever is less: its rows may have
        been thinned, and rows of one time share their fortune. Where it is too short for enough of those, shorter ones
        are taken; then what chance does to a window is shrunk accordingly, but not what it did to the hold-out itself.
        """
        from scipy.special import stdtrit

        whole = self.held_out.height
        span = self.held_out[TIME][-1] - self.held_out[TIME][0]
        alike = min(rows, math.ceil(whole * (length / span))) if span else rows
        wanted = max(alike, LEAST_LABELLED)
        size = min(wanted, whole // _LEAST_CHUNKS)
        off = self._off(size)
        if len(off) < _LEAST_CHUNKS:
            return None
        share = min(1.0, size / wanted + size / whole)
        return float(stdtrit(len(off), (1.0 + _LEVEL) / 2.0)) * math.sqrt(share * float((off**2).mean()))

    def _off(self, size: int) -> Floats:
        """Realised less estimated on stretches of the hold-out of some size, where both are defined."""
        there = self.held_out.height // size
        chosen = np.unique(np.linspace(0, there - 1, min(there, _MOST_CHUNKS)).astype(np.intp))
        found = []
        for start in (chosen * size).tolist():
            chunk, expected = self.held_out[start : start + size], self.expected[start : start + size]
            realised = self.scale.measure.compute(*self.scale.read(chunk))
            found.append(realised - self._metric(expected, chunk, None))
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


def learn_estimator(reference: Reference) -> Estimator | None:
    """Learn from a version's hold-out how its answers turn out.

    Binary and multiclass models: what chances turned out to be, by isotonic calibration; any of their metrics.
    Regressions: a model of the loss. How far the estimator is off is learnt on fifths of the hold-out, each foreseen
    from the other four, in order of time.

    Returns:
        ``None`` if the hold-out has too few outcomes, or the metric is no mean of losses (``r2``).
    """
    scale = reference.scale
    rows = reference.held_out.filter(pl.col(LABEL).is_not_null())
    if rows.height < LEAST_HELD_OUT or (scale.task == "regression" and scale.metric not in LOSSES):
        return None
    foresight: Foresight = ModelledLosses(scale, reference.features) if scale.task == "regression" else Chances(scale)
    return Estimator(scale, foresight, foresight.learn(rows), rows, _foreseen(foresight, rows))


def _foreseen(foresight: Foresight, rows: pl.DataFrame) -> Floats:
    fold = np.arange(rows.height) * _FOLDS // rows.height
    parts: Sequence[Floats] = [
        foresight.learn(rows.filter(pl.Series(fold != held)))(rows.filter(pl.Series(fold == held)))
        for held in range(_FOLDS)
    ]
    return np.concatenate(parts)


def _within(measure: Metric, low: float, high: float) -> tuple[float, float]:
    """Cut off what no such metric can be."""
    if measure.greater_is_better:
        return max(0.0, low), min(1.0, high)
    return (low, high) if measure.best_at_zero else (max(0.0, low), high)
