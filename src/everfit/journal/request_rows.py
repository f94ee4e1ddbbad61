"""Rows of records: a request that has several rows is one record of the log."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

ROW = "row"
"""The column for a row's place within its record."""


def request_rows(records: pl.DataFrame, rows: Sequence[int]) -> pl.DataFrame:
    """Return a row for each row of each record, in order: the record's columns, and :data:`ROW`.

    Args:
        rows: How many rows each record has; of length ``records.height``.
    """
    # By NumPy: expressions of Polars take 0.6 ms of processor time for few rows, and a round of the loop has several.
    counts = np.asarray(rows, dtype=np.int64)
    number = np.repeat(np.arange(len(counts)), counts)
    within = np.arange(len(number)) - np.repeat(np.cumsum(counts) - counts, counts)
    return records[number].hstack([pl.Series(ROW, within, dtype=pl.Int64)])
