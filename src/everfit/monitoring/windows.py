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
    """Complete window: no more rows are expected in it.

    Args:
        number: The value of :data:`WINDOW` in its rows.
        start: When it begins.
        end: When it is over.
        first: When the first of its rows was asked.
        last: When the last was.
        rows: How many there are.
        mark: Differs, but for chance, from that of any other rows.
    """

    number: int
    start: datetime
    end: datetime
    first: datetime
    last: datetime
    rows: int
    mark: int


def placed(rows: pl.DataFrame, length: Length) -> pl.DataFrame:
    """Return rows with the number of their window.

    Windows of time begin at whole multiples of their length. Windows of rows are filled in the order of recording, so
    that late rows change none that is full; those of a reference, which has no recording time, by event time.

    Args:
        rows: In the form of :mod:`everfit.monitoring.prediction_frame`.
        length: A window's.
    """
    if isinstance(length, int):
        ordered = rows.sort([name for name in (RECORDED_AT, ID) if name in rows.columns] or [TIME])
        return ordered.with_columns((pl.int_range(pl.len()) // length).cast(pl.Int64).alias(WINDOW))
    start = pl.col(TIME).dt.truncate(length)
    return rows.with_columns(start.dt.epoch("us").alias(WINDOW))


def complete_windows(rows: pl.DataFrame, length: Length, *, until: datetime) -> tuple[Window, ...]:
    """Return the windows that are full, or over, oldest first.

    Args:
        rows: As :func:`placed` gives them; :data:`MARK` may be missing.
        length: A window's.
        until: The present; windows of time that end later are not over.
    """
    mark = pl.col(MARK).sum() if MARK in rows.columns else pl.lit(0, pl.Int64)
    found = (
        rows.group_by(WINDOW)
        .agg(
            pl.len().alias("rows"),
            pl.col(TIME).min().alias("first"),
            pl.col(TIME).max().alias("last"),
            mark.alias("mark"),
        )
        .sort(WINDOW)
    )
    if isinstance(length, int):
        found = found.filter(pl.col("rows") == length).with_columns(
            pl.col("first").alias("start"), pl.col("last").alias("end")
        )
    else:
        start = pl.from_epoch(WINDOW, "us").dt.replace_time_zone("UTC")
        found = found.with_columns(start.alias("start"), (start + length).alias("end")).filter(pl.col("end") <= until)
    return tuple(Window(number=row.pop(WINDOW), **row) for row in found.iter_rows(named=True))
