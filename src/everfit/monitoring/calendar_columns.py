"""Columns that the clock determines, such as hour, weekday and month: a window of a day holds one part of them only."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import numpy as np
import polars as pl

from everfit.core.columns import TIME

WEEK = timedelta(days=7)
"""Of which every window has the same hours and weekdays."""
_DETERMINED = 0.8
"""Share of a column's variation that hour and weekday explain. Chosen: hour and weekday of another time zone have .9
and more, working days with their holidays .85, measured weather up to .3."""
_CONSTANT = 0.98
_PER_GROUP = 3


def weekly_columns(rows: pl.DataFrame, names: Sequence[str]) -> frozenset[str]:
    """Return the columns that hour and weekday of the event time determine; none of rows of less than three weeks.

    Rows are ordered by event time.
    """
    if rows.is_empty() or rows[TIME][-1] - rows[TIME][0] < 3 * WEEK:
        return frozenset()
    clock = (pl.col(TIME).dt.weekday().cast(pl.Int32) * 24 + pl.col(TIME).dt.hour()).alias("__clock")
    return frozenset(name for name in names if _explained(rows, name, clock) >= _DETERMINED)


def dated_columns(rows: pl.DataFrame, names: Sequence[str]) -> frozenset[str]:
    """Return the columns of whole numbers that are the same all day: month, season, day of the year."""
    whole = [
        name
        for name in names
        if rows[name].dtype.is_numeric() and bool((rows[name].cast(pl.Float64).drop_nulls() % 1 == 0).all())
    ]
    date = pl.col(TIME).dt.truncate("1d").alias("__date")
    return frozenset(name for name in whole if _explained(rows, name, date) >= _CONSTANT)


def _explained(rows: pl.DataFrame, name: str, group: pl.Expr) -> float:
    """Return the share of a column's variation that groups explain, corrected for their number; by modes for text."""
    known = rows.select(group, value=pl.col(name)).drop_nulls()
    key = known.columns[0]
    groups = known[key].n_unique()
    if known.height < _PER_GROUP * groups or groups < 2:
        return 0.0
    if known["value"].dtype.is_numeric() or known["value"].dtype == pl.Boolean:
        known = known.with_columns(pl.col("value").cast(pl.Float64)).filter(pl.col("value").is_finite())
        total = known["value"].var()
        inside = known.select((pl.col("value") - pl.col("value").mean().over(key)).pow(2).sum()).item()
        if not isinstance(total, float) or total <= 0:
            return 0.0
        return 1.0 - float(inside) / max(known.height - groups, 1) / total
    counts = known.group_by(key, "value").len()
    often = int(counts.group_by(key).agg(pl.col("len").max())["len"].sum()) / known.height
    ever = float(np.max(counts.group_by("value").agg(pl.col("len").sum())["len"].to_numpy(), initial=0)) / known.height
    return (often - ever) / (1.0 - ever) if ever < 1.0 else 0.0
