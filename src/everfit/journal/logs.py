"""Logs that are shipped, and their records as rows of tables."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar

import polars as pl

from everfit.journal.prediction_rows import prediction_rows
from everfit.journal.request_rows import request_rows
from everfit.store import journal_records as records
from everfit.store.lake import PLACE, SEGMENT, Schema, SegmentRows
from everfit.store.pushed_rows import pushed_rows
from everfit.store.record_log import records_of
from everfit.store.segments import Segment, segments_of
from everfit.store.timestamps import INSTANT

_OfModel = TypeVar("_OfModel", records.Outcomes, records.Failures)

_ORIGIN: Schema = {SEGMENT: pl.String(), PLACE: pl.Int64()}
OUTCOME: Schema = {"id": pl.String(), "value": pl.String(), "known_at": INSTANT, "recorded_at": INSTANT, **_ORIGIN}
"""An outcome's columns; a null value takes back what was reported. Of two that were recorded in the same microsecond
the later is the one with the greater segment and place.
"""
LABEL: Schema = OUTCOME
"""Columns of a label that was found in the events' source; its value is never null."""
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
    """A log of the journal."""

    name: str
    """Its folder, within the journal's and within the lake."""
    kind: Any
    """The type of its records, or a union of types."""
    rows: Callable[[str, Iterable[Any]], list[SegmentRows]]
    """From a segment's name and records to rows of tables."""
    by_record: bool = False
    """A row's place is that of its record within the segment; otherwise its own among the segment's rows of a table."""

    def rows_of(self, segment: Segment) -> list[SegmentRows]:
        """Return a segment's rows, one frame for each table. Raises :class:`StoreError` if it cannot be understood."""
        return self.rows(segment.name, records_of(segment, self.kind))

    def unshipped(self, journal: Path) -> list[SegmentRows]:
        """Return the rows that the log holds at this moment, the segment that is being written included.

        Raises :class:`StoreError` if a segment cannot be read or understood.
        """
        return [part for segment in segments_of(journal / self.name) for part in self.rows_of(segment)]


def _outcome_rows(segment: str, found: Iterable[records.Outcomes]) -> list[SegmentRows]:
    tables = []
    for model, reports in _by_model(found):
        outcomes = list(chain.from_iterable([report.outcomes for report in reports]))
        rows = request_rows(
            pl.DataFrame({"recorded_at": [report.recorded_us for report in reports]}, schema={"recorded_at": pl.Int64}),
            [len(report.outcomes) for report in reports],
        ).with_columns(
            pl.Series("id", [outcome.id for outcome in outcomes], dtype=pl.String),
            pl.Series("value", [outcome.value for outcome in outcomes], dtype=pl.String),
            pl.Series("known_at", [outcome.known_us for outcome in outcomes], dtype=pl.Int64),
        )
        tables.append(_segment_rows(segment, f"{records.OUTCOMES}/{model}", rows, OUTCOME))
    return tables


def _label_rows(segment: str, found: Iterable[records.SourceLabels]) -> list[SegmentRows]:
    gathered: dict[str, list[records.SourceLabels]] = {}
    for record in found:
        gathered.setdefault(f"{records.LABELS}/{record.model}/{record.definition}", []).append(record)
    tables = []
    for table, labels in gathered.items():
        rows = request_rows(
            pl.DataFrame({"recorded_at": [one.recorded_us for one in labels]}, schema={"recorded_at": pl.Int64}),
            [len(one.ids) for one in labels],
        ).with_columns(
            pl.Series("id", list(chain.from_iterable(one.ids for one in labels)), dtype=pl.String),
            pl.Series("value", list(chain.from_iterable(one.values for one in labels)), dtype=pl.String),
            pl.Series("known_at", list(chain.from_iterable(one.known_us for one in labels)), dtype=pl.Int64),
        )
        tables.append(_segment_rows(segment, table, rows, LABEL))
    return tables


def _failure_rows(segment: str, found: Iterable[records.Failures]) -> list[SegmentRows]:
    tables = []
    for model, failures in _by_model(found):
        per_record = pl.DataFrame(
            [(one.version, one.route, one.recorded_us, one.problem) for one in failures],
            schema={"version": pl.Int64, "route": pl.String, "recorded_at": pl.Int64, "problem": pl.String},
            orient="row",
        )
        ids = list(chain.from_iterable([one.ids for one in failures]))
        rows = request_rows(per_record, [len(one.ids) for one in failures]).with_columns(
            pl.Series("id", ids, dtype=pl.String)
        )
        tables.append(_segment_rows(segment, f"{records.FAILURES}/{model}", rows, FAILURE))
    return tables


def _by_model(found: Iterable[_OfModel]) -> Iterable[tuple[str, list[_OfModel]]]:
    gathered: dict[str, list[_OfModel]] = {}
    for record in found:
        gathered.setdefault(record.model, []).append(record)
    return gathered.items()


def _segment_rows(segment: str, table: str, rows: pl.DataFrame, schema: Schema) -> SegmentRows:
    """Return the rows in the types of a schema, each with the segment's name and its own place in it."""
    placed = rows.with_columns(pl.lit(segment).alias(SEGMENT), pl.int_range(pl.len()).alias(PLACE))
    typed = placed.select(pl.col(name).cast(dtype) for name, dtype in schema.items())
    return SegmentRows(segment=segment, table=table, rows=typed)


PREDICTION_LOG = Log(
    name=records.PREDICTIONS, kind=records.PredictionLayout | records.Predictions, rows=prediction_rows, by_record=True
)
OUTCOME_LOG = Log(name=records.OUTCOMES, kind=records.Outcomes, rows=_outcome_rows)
FAILURE_LOG = Log(name=records.FAILURES, kind=records.Failures, rows=_failure_rows)
LABEL_LOG = Log(name=records.LABELS, kind=records.SourceLabels, rows=_label_rows)
PUSH_LOG = Log(name=records.PUSHES, kind=records.PushedRows, rows=pushed_rows, by_record=True)
LOGS = (PREDICTION_LOG, OUTCOME_LOG, PUSH_LOG, FAILURE_LOG, LABEL_LOG)
