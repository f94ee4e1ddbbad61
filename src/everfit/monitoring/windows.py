"""Windows of time or of rows, and their fingerprints."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import polars as pl

from everfit.core.columns import ID, RECORDED_AT, TIME
from everfit.monitoring.prediction_frame import MARK

WINDOW = "__window"
"""The column that :func:`placed` adds."""

Length = timedelta | int
"""A duration, or a number of rows."""


@dataclass(frozen=True, kw_only=True)
class Window:
    """Complete window: no more rows are expected in it."""

    number: int
    """The value of :data:`WINDOW` in its rows."""
    start: datetime
    end: datetime
    rows: int
    mark: int
    """Differs, but for chance, from that of any other rows."""


def placed(rows: pl.DataFrame, length: Length) -> pl.DataFrame:
    """Return rows with the number of their window.

    Windows of time begin at whole multiples of their length. Windows of rows are filled in the order of recording, so
    that late rows change none that is full; those of a reference, which has no recording time, by event time.
    """
    if isinstance(length, int):
        ordered = rows.sort([name for name in (RECORDED_AT, ID) if name in rows.columns] or [TIME])
        return ordered.with_columns((pl.int_range(pl.len()) // length).cast(pl.Int64).alias(WINDOW))
    return rows.with_columns(pl.col(TIME).dt.truncate(length).dt.epoch("us").alias(WINDOW))


def complete_windows(rows: pl.DataFrame, length: Length, *, until: datetime) -> tuple[Window, ...]:
    """Return the windows of :func:`placed` rows that are full, or over at an instant, oldest first.

    Without :data:`MARK`, that of every window is 0.
    """
    mark = pl.col(MARK).sum() if MARK in rows.columns else pl.lit(0, pl.Int64)
    asked = pl.col(TIME)
    found = rows.group_by(WINDOW).agg(rows=pl.len(), start=asked.min(), end=asked.max(), mark=mark).sort(WINDOW)
    if isinstance(length, int):
        found = found.filter(pl.col("rows") == length)
    else:
        start = pl.from_epoch(WINDOW, "us").dt.replace_time_zone("UTC")
        found = found.with_columns(start=start, end=start + length).filter(pl.col("end") <= until)
    return tuple(Window(number=row.pop(WINDOW), **row) for row in found.iter_rows(named=True))
