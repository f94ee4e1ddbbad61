"""Rows that a report's figures are computed on: all of a version, or a sample where some of them are settled."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import polars as pl
from msgspec.structs import replace

from everfit.core.columns import LABEL, TIME
from everfit.monitoring.performance import Coverage, Figure, Scale, coverage, figure, over_time
from everfit.monitoring.prediction_frame import MARK
from everfit.monitoring.settled import Settled, sampled


@dataclass(frozen=True, kw_only=True)
class FigureRows:
    """Rows of which metrics are computed, and the numbers of all rows that they stand for."""

    rows: pl.DataFrame
    """In the form of :mod:`everfit.monitoring.prediction_frame`, ordered by event time."""
    counts: pl.DataFrame
    """:data:`TIME`, and the numbers ``rows`` and ``labelled``, of hours that are settled and of single rows."""
    one_in: int
    """One of so many rows is there."""
    total: int
    """Number of all rows."""

    @classmethod
    def of(cls, live: pl.DataFrame, settled: Settled, *, since: datetime) -> FigureRows:
        """Return the rows of events since an instant; of settled rows, the counts are by whole hours."""
        recent = live.filter(pl.col(TIME) >= since)
        counts = recent.select(TIME, rows=pl.lit(1, pl.Int64), labelled=pl.col(LABEL).is_not_null().cast(pl.Int64))
        counts = pl.concat([settled.hours.filter(pl.col(TIME) >= since), counts])
        rows, one_in = recent, settled.sampled_one_in
        if settled.sample is not None:
            earlier = settled.sample.filter(pl.col(TIME) >= since)
            rows = pl.concat([earlier, sampled(recent, one_in)], how="diagonal_relaxed").sort(TIME, MARK)
        return cls(rows=rows, counts=counts, one_in=one_in, total=int(counts["rows"].sum()))

    def overall(self, scale: Scale, *, start: datetime, end: datetime, weight: pl.Series | None) -> Figure:
        """Return the metric of all rows; arguments as for :func:`~everfit.monitoring.performance.figure`."""
        found = figure(self.rows, scale, start=start, end=end, weight=weight)
        return replace(found, rows=self.total, labelled=int(self.counts["labelled"].sum()))

    def over_time(self, scale: Scale, *, every: timedelta, weight: pl.Series | None) -> tuple[Figure, ...]:
        """Return the metric of each length of event time, oldest first."""
        found = {part.start: part for part in over_time(self.rows, scale, every=every, weight=weight)}
        none = self.rows.clear()
        return tuple(
            replace(
                found.get(start) or figure(none, scale, start=start, end=start + every), rows=rows, labelled=labelled
            )
            for start, rows, labelled in self._counted(every)
        )

    def coverage(self, *, every: timedelta) -> tuple[Coverage, ...]:
        """Return the label coverage of each length of event time, oldest first."""
        delays = {part.start: part.median_delay_s for part in coverage(self.rows, every=every)}
        return tuple(
            Coverage(start=start, end=start + every, rows=rows, labelled=labelled, median_delay_s=delays.get(start))
            for start, rows, labelled in self._counted(every)
        )

    def _counted(self, every: timedelta) -> list[tuple[datetime, int, int]]:
        starts = self.counts.group_by(pl.col(TIME).dt.truncate(every).alias("start"))
        return starts.agg(pl.col("rows", "labelled").sum()).sort("start").rows()
