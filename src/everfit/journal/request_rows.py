"""Rows of records: a request that has several rows is one record of the log."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

ROW = "row"
"""The column for a row's place within its record."""


def request_rows(records: pl.DataFrame, rows: Sequence[int]) -> pl.DataFrame:
    """Return a row for each row of each record, in order: the record's columns, and :data:`ROW`.

    Args:
        rows: How many rows each record has; of length ``records.height``.
    """
    number, first = pl.int_range(pl.len()), pl.col("rows").cum_sum() - pl.col("rows")
    counts = pl.DataFrame({"rows": pl.Series(rows, dtype=pl.Int64)}).select("rows", number=number, first=first)
    # Without those that have none: they would be exploded to a null.
    repeated = counts.filter(pl.col("rows") > 0).select(pl.col("number", "first").repeat_by("rows").explode())
    within = (pl.int_range(pl.len()) - pl.col("first")).alias(ROW)
    return records[repeated["number"]].hstack(repeated.select(within))
