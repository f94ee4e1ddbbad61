"""Performance on labelled rows: over time, by slice, and compared with another version."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
import polars as pl
from msgspec import Struct

from everfit.core.class_names import ClassValue, places_by_name
from everfit.core.columns import ID, KNOWN_AT, LABEL, PREDICTION, TIME
from everfit.core.evidence import Task
from everfit.measures.class_metrics import union_of
from everfit.measures.interval import bootstrap_interval, paired_bootstrap
from everfit.measures.quality import Metric, metric_for
from everfit.measures.weighting import Floats
from everfit.monitoring.prediction_frame import NEW_CLASS, UNKNOWN, by_time, chances, prediction_columns, predictions_of

RESAMPLES = 200
LEAST_LABELLED = 30
"""With fewer outcomes a figure says nothing, and is left out."""
MOST_SLICES = 20


class Figure(Struct, frozen=True, kw_only=True):
    """A metric on the rows that were asked in ``[start, end)``."""

    start: datetime
    end: datetime
    rows: int
    labelled: int
    """Rows whose outcome is known."""
    metric: str
    value: float | None
    """``None`` where there are too few outcomes, or the metric is undefined on them."""
    low: float | None
    """Lower end of the 95 % interval."""
    high: float | None
    weighted: bool = False
    """True if rows are weighted by the inverse chance that their label is known by now."""

    @property
    def coverage(self) -> float:
        """The share of rows whose outcome is known."""
        return self.labelled / self.rows if self.rows else 0.0


class SliceFigure(Struct, frozen=True, kw_only=True):
    """A metric where a column has one value."""

    column: str
    value: str
    figure: Figure
    worse: bool
    """True if the whole interval is worse than the version's overall value."""


class Comparison(Struct, frozen=True, kw_only=True):
    """Comparison of two versions on the same rows, or on rows that were assigned to them at random."""

    version: int
    against: int
    paired: bool
    """True if both predicted the same rows."""
    rows: int
    """Whose outcome is known, of ``version``."""
    rows_against: int
    """Of ``against``."""
    metric: str
    worse_by: float
    """In the metric's own unit; positive means that ``version`` is worse than ``against``."""
    low: float
    high: float
    chance_worse: float


@dataclass(frozen=True, kw_only=True)
class Scale:
    """Task, metric and classes, none for a regression: what scores rows."""

    task: Task
    metric: str
    classes: tuple[ClassValue, ...] = ()

    @property
    def measure(self) -> Metric:
        """The metric itself."""
        return metric_for(self.metric, self.task)

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of the predictions."""
        return prediction_columns(self.task, self.classes)

    def read(self, rows: pl.DataFrame) -> tuple[Floats, Floats]:
        """Truth and prediction of labelled rows."""
        return rows[LABEL].cast(pl.Float64).to_numpy(), predictions_of(rows, self.columns)


def in_scale(rows: pl.DataFrame, own: Scale, wanted: Scale) -> pl.DataFrame:
    """Return a version's rows, by its own scale, on a scale that has other classes or another order of them.

    A class that the version does not know has no chance. For a binary model, the same two classes must be wanted.
    """
    if own.classes == wanted.classes:
        return rows
    truth = pl.col(LABEL)
    if own.task == "binary":
        if own.classes[-1] == wanted.classes[-1]:
            return rows
        flipped = pl.when(truth >= 0).then(1.0 - truth).otherwise(truth)
        return rows.with_columns(flipped.alias(LABEL), (1.0 - pl.col(PREDICTION)).alias(PREDICTION))
    places = {float(place): float(wanted.classes.index(value)) for place, value in enumerate(own.classes)}
    others = {name: float(place) for name, place in places_by_name(wanted.classes).items()}
    return rows.with_columns(
        pl.when(truth < 0)
        .then(pl.col(NEW_CLASS).replace_strict(others, default=UNKNOWN, return_dtype=pl.Float64))
        .otherwise(truth.replace_strict(places, default=None, return_dtype=pl.Float64))
        .alias(LABEL),
        *chances(rows.columns, wanted.columns),
    )


def figure(
    rows: pl.DataFrame, scale: Scale, *, start: datetime, end: datetime, weight: pl.Series | None = None
) -> Figure:
    """Return the metric of the rows of a stretch of time; those without an outcome count for the coverage only.

    Weights are aligned with the rows.
    """
    known = rows[LABEL].is_not_null()
    labelled = rows.filter(known)
    value = low = high = None
    if labelled.height >= LEAST_LABELLED:
        counted = None if weight is None else weight.filter(known).to_numpy().astype(np.float64)
        truth, predicted = scale.read(labelled)
        found = bootstrap_interval(scale.measure, truth, predicted, resamples=RESAMPLES, seed=0, weight=counted)
        if np.isfinite([found.value, found.low, found.high]).all():
            value, low, high = found.value, found.low, found.high
    return Figure(
        start=start,
        end=end,
        rows=rows.height,
        labelled=labelled.height,
        metric=scale.metric,
        value=value,
        low=low,
        high=high,
        weighted=weight is not None,
    )


def over_time(rows: pl.DataFrame, scale: Scale, *, every: timedelta, weight: pl.Series | None) -> tuple[Figure, ...]:
    """Return the metric of each length of event time; arguments as for :func:`figure`."""
    parts = by_time(rows if weight is None else rows.with_columns(weight.alias("__weight")), every)
    return tuple(
        figure(part, scale, start=start, end=start + every, weight=None if weight is None else part["__weight"])
        for start, part in parts
    )


def by_slice(rows: pl.DataFrame, scale: Scale, columns: Sequence[str], overall: Figure) -> tuple[SliceFigure, ...]:
    """Return the metric for the most frequent values of each column, those worse than the whole first."""
    found = []
    for column in columns:
        for value in rows[column].drop_nulls().value_counts(sort=True).head(MOST_SLICES)[column]:
            own = figure(rows.filter(pl.col(column) == value), scale, start=overall.start, end=overall.end)
            found.append(SliceFigure(column=column, value=str(value), figure=own, worse=_is_worse(own, overall, scale)))
    return tuple(sorted(found, key=lambda one: (not one.worse, one.column, -one.figure.rows)))


def _is_worse(part: Figure, overall: Figure, scale: Scale) -> bool:
    if part.low is None or part.high is None or overall.value is None:
        return False
    best = part.high if scale.measure.greater_is_better else part.low
    return scale.measure.worse_by(best, overall.value) > 0


class _Difference(NamedTuple):
    """Fields of a :class:`Comparison` that are measured."""

    rows: int
    rows_against: int
    worse_by: float
    low: float
    high: float
    chance_worse: float


def compare(
    rows: pl.DataFrame,
    others: pl.DataFrame,
    scale: Scale,
    other_scale: Scale,
    *,
    version: int,
    against: int,
    paired: bool,
) -> Comparison | None:
    """Compare two versions on the rows that both predicted, or on rows assigned by the hash of the id, as for a canary.

    Rows of ``version`` are scored by ``scale``, those of ``against`` by ``other_scale``, and both are compared over
    every class that either knows; which one does not know a row's class is charged for it. ``None`` where too few
    outcomes are known, or the metric is undefined on either side.
    """
    if scale.task == "binary" and set(scale.classes) != set(other_scale.classes):
        return None  # another label: there is nothing to compare
    both = replace(scale, classes=union_of(scale.classes, other_scale.classes))
    own, theirs = in_scale(rows, scale, both), in_scale(others, other_scale, both)
    found = (_paired if paired else _assigned)(own.filter(pl.col(LABEL).is_not_null()), theirs, both)
    if found is None:
        return None
    return Comparison(version=version, against=against, paired=paired, metric=scale.metric, **found._asdict())


def _paired(rows: pl.DataFrame, others: pl.DataFrame, scale: Scale) -> _Difference | None:
    theirs = {name: f"__{name}" for name in scale.columns}
    both = rows.join(others.select(ID, *theirs).rename(theirs), on=ID, how="inner")
    if both.height < LEAST_LABELLED:
        return None
    other = predictions_of(both, list(theirs.values()))
    found = paired_bootstrap(scale.measure, *scale.read(both), other, resamples=RESAMPLES, seed=0)
    return _Difference(both.height, both.height, found.difference, found.low, found.high, found.chance_worse)


def _assigned(rows: pl.DataFrame, others: pl.DataFrame, scale: Scale) -> _Difference | None:
    """Compare rows that were assigned at random within a stretch of constant share.

    The share grows from stage to stage, and days differ: each day of ``others`` therefore counts as much as it does in
    ``rows``, and days without any of either are left out.
    """
    day = pl.col(TIME).dt.truncate("1d").alias("__day")
    own, theirs = rows.with_columns(day), others.filter(pl.col(LABEL).is_not_null()).with_columns(day)
    days = own.group_by("__day").len("__own").join(theirs.group_by("__day").len("__theirs"), on="__day")
    own = own.join(days, on="__day", how="semi")
    theirs = theirs.join(days, on="__day").with_columns((pl.col("__own") / pl.col("__theirs")).alias("__weight"))
    if min(own.height, theirs.height) < LEAST_LABELLED:
        return None
    a, b = (
        bootstrap_interval(scale.measure, *scale.read(one), resamples=RESAMPLES, seed=seed, weight=weight)
        for seed, (one, weight) in enumerate([(own, None), (theirs, theirs["__weight"].to_numpy())])
    )
    worse_by = scale.measure.worse_by(a.value, b.value)
    error = math.hypot(a.standard_error, b.standard_error)
    if not math.isfinite(worse_by) or not error > 0:
        return None
    reach = NormalDist().inv_cdf(0.975) * error
    chance_worse = NormalDist().cdf(worse_by / error)
    return _Difference(own.height, theirs.height, worse_by, worse_by - reach, worse_by + reach, chance_worse)


class Coverage(Struct, frozen=True, kw_only=True):
    """Label coverage of the rows in ``[start, end)``."""

    start: datetime
    end: datetime
    rows: int
    labelled: int
    median_delay_s: float | None
    """From the question to the outcome, of those that are known."""

    @property
    def share(self) -> float:
        """Labelled rows among all."""
        return self.labelled / self.rows if self.rows else 0.0


def coverage(rows: pl.DataFrame, *, every: timedelta) -> tuple[Coverage, ...]:
    """Return the label coverage of each length of time, oldest first."""
    labelled = pl.col(LABEL).is_not_null()
    delay = (pl.col(KNOWN_AT) - pl.col(TIME)).filter(labelled).median().dt.total_microseconds() / 1e6
    stretches = rows.group_by(pl.col(TIME).dt.truncate(every).alias("start"))
    found = stretches.agg(rows=pl.len(), labelled=labelled.sum(), median_delay_s=delay).sort("start")
    return tuple(Coverage(end=row["start"] + every, **row) for row in found.iter_rows(named=True))
