"""Summary of a version's rows that are settled: labelled, tested, and counted. It grows with time, not with rows."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import polars as pl

from everfit.core.columns import KNOWN_AT, LABEL, PREDICTION, RECORDED_AT, ROUTE, TIME, VERSION
from everfit.monitoring.prediction_frame import MARK, NEW_CLASS
from everfit.monitoring.windows import Length, placed, tallied
from everfit.store.timestamps import INSTANT

_DELAYS = (TIME, LABEL, KNOWN_AT)
_MOST_DELAYS = 20_000
_EVERY = "1h"
_SAMPLED = frozenset({TIME, RECORDED_AT, VERSION, ROUTE, LABEL, NEW_CLASS, KNOWN_AT, MARK})
_MOST_SAMPLED = 50_000
"""Rows of the sample, some eighty bytes each: a metric with its interval takes a third of a second of them."""
_SAMPLED_FOR = timedelta(days=92)
"""Older rows are not in the sample: a report is about ninety days."""


@dataclass(frozen=True, kw_only=True)
class ReportCounts:
    """Numbers of predictions by the labels that were reported for them."""

    ids: int = 0
    """With a label."""
    again: int = 0
    """Of which it was reported more than once, alike each time."""
    against: int = 0
    """Of which it changed after it had been reported."""

    def __add__(self, other: ReportCounts) -> ReportCounts:
        return ReportCounts(
            ids=self.ids + other.ids, again=self.again + other.again, against=self.against + other.against
        )


@dataclass(frozen=True, kw_only=True)
class Settled:
    """Sums over the rows that a version's evaluation does not look at any more."""

    rows: int = 0
    first: datetime | None = None
    """The earliest event time."""
    last_known: datetime | None = None
    """When the last label became known."""
    hours: pl.DataFrame = field(
        default_factory=lambda: pl.DataFrame(schema={TIME: INSTANT, "rows": pl.Int64, "labelled": pl.Int64})
    )
    """Rows by the middle of the hour of their event times."""
    new_classes: pl.DataFrame = field(
        default_factory=lambda: pl.DataFrame(
            schema={"day": INSTANT, NEW_CLASS: pl.String, "rows": pl.Int64, TIME: INSTANT}
        )
    )
    """Labels of classes that the version does not know, by day: their number, and the first event time."""
    delays: pl.DataFrame | None = None
    """:data:`TIME`, :data:`LABEL` and :data:`KNOWN_AT` of a sample of the rows."""
    every: int = 1
    """One of so many rows is in the sample of delays."""
    sample: pl.DataFrame | None = None
    """Rows of the last three months, without id and features: those that :func:`sampled` returns."""
    sampled_one_in: int = 1
    windows: pl.DataFrame | None = None
    """See :func:`~everfit.monitoring.windows.tallied`."""
    reports: ReportCounts = field(default_factory=ReportCounts)

    def add(self, rows: pl.DataFrame, *, window: Length, reports: ReportCounts) -> Settled:
        """Return the summary with more rows, in the form of :mod:`everfit.monitoring.prediction_frame`."""
        if rows.is_empty():
            return self
        firsts = [time for time in (self.first, rows[TIME].min()) if isinstance(time, datetime)]
        lasts = [time for time in (self.last_known, rows[KNOWN_AT].max()) if isinstance(time, datetime)]
        middle = pl.col(TIME).dt.truncate(_EVERY) + timedelta(minutes=30)
        hours = rows.select(middle, rows=pl.lit(1, pl.Int64), labelled=pl.col(LABEL).is_not_null().cast(pl.Int64))
        new = rows.filter(pl.col(NEW_CLASS).is_not_null()).select(
            pl.col(TIME).dt.truncate("1d").alias("day"), NEW_CLASS, pl.lit(1, pl.Int64).alias("rows"), TIME
        )
        classes = pl.concat([self.new_classes, new]).group_by("day", NEW_CLASS).agg(pl.col("rows").sum(), pl.min(TIME))
        every, delays = self.every, rows.select(_DELAYS).gather_every(self.every)
        delays = delays if self.delays is None else pl.concat([self.delays, delays])
        while delays.height > _MOST_DELAYS:
            every, delays = every * 2, delays.gather_every(2)
        sample, one_in = self._sample_with(rows)
        return replace(
            self,
            rows=self.rows + rows.height,
            first=min(firsts, default=None),
            last_known=max(lasts, default=None),
            hours=pl.concat([self.hours, hours]).group_by(TIME).agg(pl.col("rows", "labelled").sum()).sort(TIME),
            new_classes=classes.sort("day", NEW_CLASS),
            delays=delays,
            every=every,
            sample=sample,
            sampled_one_in=one_in,
            windows=tallied(placed(rows, window), self.windows),
            reports=self.reports + reports,
        )

    def _sample_with(self, rows: pl.DataFrame) -> tuple[pl.DataFrame, int]:
        kept = [name for name in rows.columns if name in _SAMPLED or name.partition(".")[0] == PREDICTION]
        one_in, sample = self.sampled_one_in, sampled(rows, self.sampled_one_in).select(kept)
        if self.sample is not None:
            sample = pl.concat([self.sample, sample], how="diagonal_relaxed")
        sample = sample.filter(pl.col(TIME) > pl.col(TIME).max() - _SAMPLED_FOR)
        while sample.height > _MOST_SAMPLED:
            one_in *= 2
            sample = sampled(sample, one_in)
        return sample, one_in


def sampled(rows: pl.DataFrame, one_in: int) -> pl.DataFrame:
    """Return one of so many rows, a power of two, by their marks: the same ones of any part of the rows."""
    return rows if one_in == 1 else rows.filter(pl.col(MARK) % one_in == 0)


NOTHING_SETTLED = Settled()
