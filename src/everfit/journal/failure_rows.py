"""Failures of the log as rows of tables: one table for each model."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import polars as pl

from everfit.store.journal_records import FAILURES, Failures
from everfit.store.lake import PLACE, SEGMENT, SegmentRows
from everfit.store.timestamps import INSTANT

BASE: dict[str, pl.DataType] = {
    "id": pl.String(),
    "version": pl.Int64(),
    "route": pl.String(),
    "recorded_at": INSTANT,
    "problem": pl.String(),
    SEGMENT: pl.String(),
    PLACE: pl.Int64(),
}
"""A failure's columns. An id that was asked again, by the caller or by the service itself, may be there again."""


def failure_rows(records: Iterable[tuple[str, Failures]]) -> list[SegmentRows]:
    """Return the rows of each segment for each table ``failures/model``; columns are :data:`BASE`."""
    gathered: dict[tuple[str, str], list[tuple[Any, ...]]] = {}
    for segment, record in records:
        rows = gathered.setdefault((segment, f"{FAILURES}/{record.model}"), [])
        for id in record.ids:  # noqa: A001 - what it is called everywhere
            rows.append((id, record.version, record.route, record.recorded_us, record.problem, segment, len(rows)))
    return [SegmentRows(segment=segment, table=table, rows=_frame(rows)) for (segment, table), rows in gathered.items()]


def _frame(rows: list[tuple[Any, ...]]) -> pl.DataFrame:
    return pl.DataFrame(
        [
            pl.Series(name, values).cast(dtype)
            for (name, dtype), values in zip(BASE.items(), zip(*rows, strict=True), strict=True)
        ]
    )
