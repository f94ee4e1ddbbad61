"""Reported outcomes of the log as rows of tables: one table for each model."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import polars as pl

from everfit.store.journal_records import OUTCOMES, Outcomes
from everfit.store.lake import PLACE, SEGMENT, SegmentRows
from everfit.store.timestamps import INSTANT

BASE: dict[str, pl.DataType] = {
    "id": pl.String(),
    "value": pl.String(),
    "known_at": INSTANT,
    "recorded_at": INSTANT,
    SEGMENT: pl.String(),
    PLACE: pl.Int64(),
}
"""An outcome's columns; a null value takes back what was reported. Of two that were recorded in the same microsecond
the later is the one with the greater segment and place.
"""


def outcome_rows(records: Iterable[tuple[str, Outcomes]]) -> list[SegmentRows]:
    """Return the rows of each segment for each table ``outcomes/model``; columns are :data:`BASE`."""
    gathered: dict[tuple[str, str], list[tuple[Any, ...]]] = {}
    for segment, record in records:
        rows = gathered.setdefault((segment, f"{OUTCOMES}/{record.model}"), [])
        for outcome in record.outcomes:
            rows.append((outcome.id, outcome.value, outcome.known_us, record.recorded_us, segment, len(rows)))
    return [SegmentRows(segment=segment, table=table, rows=_frame(rows)) for (segment, table), rows in gathered.items()]


def _frame(rows: list[tuple[Any, ...]]) -> pl.DataFrame:
    columns = zip(*rows, strict=True) if rows else ([] for _ in BASE)
    return pl.DataFrame(
        [pl.Series(name, values).cast(dtype) for (name, dtype), values in zip(BASE.items(), columns, strict=True)]
    )
