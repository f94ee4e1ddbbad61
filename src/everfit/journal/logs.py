"""Logs that are shipped, and their records as rows of tables."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from everfit.journal.prediction_rows import prediction_rows
from everfit.store import journal_records as records
from everfit.store.lake import PLACE, SEGMENT, Schema, SegmentRows
from everfit.store.pushed_rows import pushed_rows
from everfit.store.record_log import recent_records
from everfit.store.timestamps import INSTANT

_ORIGIN: Schema = {SEGMENT: pl.String(), PLACE: pl.Int64()}
OUTCOME: Schema = {"id": pl.String(), "value": pl.String(), "known_at": INSTANT, "recorded_at": INSTANT, **_ORIGIN}
"""An outcome's columns; a null value takes back what was reported. Of two that were recorded in the same microsecond
the later is the one with the greater segment and place.
"""
FAILURE: Schema = {
    "id": pl.String(),
    "version": pl.Int64(),
    "route": pl.String(),
    "recorded_at": INSTANT,
    "problem": pl.String(),
    **_ORIGIN,
}
"""A failure's columns. An id that was asked again, by the caller or by the service itself, may be there again."""


@dataclass(frozen=True, kw_only=True)
class Log:
    """A log that the prediction service writes."""

    name: str
    """Its folder, within the journal's and within the lake."""
    kind: Any
    """The type of its records, or a union of types."""
    rows: Callable[[Iterable[tuple[str, Any]]], list[SegmentRows]]
    """From its segments' records to rows of tables."""

    def unshipped(self, journal: Path) -> list[SegmentRows]:
        """Return the rows that the log holds at this moment, the segment that is being written included.

        Raises :class:`StoreError` if a segment cannot be read or understood.
        """
        return self.rows(recent_records(journal / self.name, self.kind))


def _outcome_rows(segments: Iterable[tuple[str, records.Outcomes]]) -> list[SegmentRows]:
    parts = (
        (segment, record.model, [(one.id, one.value, one.known_us, record.recorded_us) for one in record.outcomes])
        for segment, record in segments
    )
    return _rows_by_model(records.OUTCOMES, OUTCOME, parts)


def _failure_rows(segments: Iterable[tuple[str, records.Failures]]) -> list[SegmentRows]:
    parts = (
        (segment, one.model, [(name, one.version, one.route, one.recorded_us, one.problem) for name in one.ids])
        for segment, one in segments
    )
    return _rows_by_model(records.FAILURES, FAILURE, parts)


def _rows_by_model(
    log: str, schema: Schema, parts: Iterable[tuple[str, str, list[tuple[Any, ...]]]]
) -> list[SegmentRows]:
    """Return one table for each segment and model: the rows of the parts, then segment and place."""
    gathered: dict[tuple[str, str], list[tuple[Any, ...]]] = {}
    for segment, model, rows in parts:
        kept = gathered.setdefault((segment, f"{log}/{model}"), [])
        kept += [(*row, segment, place) for place, row in enumerate(rows, len(kept))]
    return [
        SegmentRows(segment=segment, table=table, rows=pl.DataFrame(rows, schema=schema, orient="row"))
        for (segment, table), rows in gathered.items()
    ]


PREDICTION_LOG = Log(
    name=records.PREDICTIONS, kind=records.PredictionLayout | records.Predictions, rows=prediction_rows
)
OUTCOME_LOG = Log(name=records.OUTCOMES, kind=records.Outcomes, rows=_outcome_rows)
FAILURE_LOG = Log(name=records.FAILURES, kind=records.Failures, rows=_failure_rows)
LOGS = (PREDICTION_LOG, OUTCOME_LOG, Log(name=records.PUSHES, kind=records.PushedRows, rows=pushed_rows), FAILURE_LOG)
