"""Windows of time or of rows, and their fingerprints."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

import polars as pl

from everfit.core.columns import ARRIVAL, ID, RECORDED_AT, TIME
from everfit.monitoring.prediction_frame import MARK

WINDOW = "__window"
"""The column that :func:`placed` adds."""

Length = timedelta | int
"""A duration, or a number of rows."""

LEAST_ROWS = 50
"""Windows with fewer rows are not evaluated: shares mean nothing there."""
_LONGEST = timedelta(days=91)
"""Windows that lie farther apart are not joined: they are of two seasons."""


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
    that late rows change none that is full; those of a reference, which has no recording time, by event time. Rows with
    :data:`ARRIVAL` need not be all that there are.
    """
    if isinstance(length, int) and ARRIVAL in rows.columns:
        return rows.with_columns((pl.col(ARRIVAL) // length).cast(pl.Int64).alias(WINDOW))
    if isinstance(length, int):
        ordered = rows.sort([name for name in (RECORDED_AT, ID) if name in rows.columns] or [TIME])
        return ordered.with_columns((pl.int_range(pl.len()) // length).cast(pl.Int64).alias(WINDOW))
    return rows.with_columns(pl.col(TIME).dt.truncate(length).dt.epoch("us").alias(WINDOW))


def tallied(rows: pl.DataFrame, settled: pl.DataFrame | None = None) -> pl.DataFrame:
    """Return the number of rows, the first and last event time, and the mark of the windows of :func:`placed` rows.

    Args:
        settled: The same of other rows, to which these are added.
    """
    mark = pl.col(MARK).sum() if MARK in rows.columns else pl.lit(0, pl.Int64)
    asked = pl.col(TIME)
    found = rows.group_by(WINDOW).agg(rows=pl.len().cast(pl.Int64), start=asked.min(), end=asked.max(), mark=mark)
    if settled is not None and settled.height:
        sums = pl.col("rows").sum(), pl.col("start").min(), pl.col("end").max(), pl.col("mark").sum()
        found = pl.concat([settled, found]).group_by(WINDOW).agg(*sums)
    return found.sort(WINDOW)


def complete_windows(
    rows: pl.DataFrame, length: Length, *, until: datetime, settled: pl.DataFrame | None = None
) -> tuple[Window, ...]:
    """Return the windows of :func:`placed` rows that are full, or over at an instant, oldest first.

    Without :data:`MARK`, that of every window is 0. Windows may have rows that are settled: see :func:`tallied`.
    """
    found = tallied(rows, settled)
    if isinstance(length, int):
        found = found.filter(pl.col("rows") == length)
    else:
        start = pl.from_epoch(WINDOW, "us").dt.replace_time_zone("UTC")
        found = found.with_columns(start=start, end=start + length).filter(pl.col("end") <= until)
    return tuple(Window(number=row.pop(WINDOW), **row) for row in found.iter_rows(named=True))


def joined_where_thin(windows: Iterable[Window]) -> list[list[Window]]:
    """Return successive windows in groups of :data:`LEAST_ROWS` rows or more: one window, or several that are thin.

    Windows come oldest first; the newest ones are left out as long as they have too few rows together. A group does not
    depend on later windows, so that what was found in it stays.
    """
    groups: list[list[Window]] = []
    group: list[Window] = []
    for window in windows:
        group = [thin for thin in group if window.end - thin.start <= _LONGEST]
        group.append(window)
        if sum(part.rows for part in group) >= LEAST_ROWS:
            groups.append(group)
            group = []
    return groups
