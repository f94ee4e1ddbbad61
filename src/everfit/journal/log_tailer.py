"""Reading a log as it grows: every record that is not shipped yet is decoded once."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from everfit.journal.logs import Log
from everfit.store.journal_records import PredictionLayout
from everfit.store.lake import PLACE, SegmentRows
from everfit.store.record_log import records_of
from everfit.store.segments import Segment, segments_of


@dataclass(frozen=True)
class _Read:
    """A segment as far as it was read."""

    end: int = 0
    layouts: tuple[PredictionLayout, ...] = ()
    """Those that stand in it: predictions that are read later need them."""
    records: int = 0
    """Number of its records but for layouts."""
    rows: tuple[SegmentRows, ...] = ()
    """One frame for each table."""


@dataclass
class LogTailer:
    """Reader of one log, from one call to the next.

    It holds the rows of segments that are not shipped: those of a minute, since a segment is sealed and shipped then.
    """

    log: Log
    journal: Path
    _segments: dict[str, _Read] = field(default_factory=dict)

    def unshipped(self) -> list[SegmentRows]:
        """Return the rows that the log holds at this moment, one frame for each segment and table.

        They are those of :meth:`everfit.journal.logs.Log.unshipped`, but that the type of a feature may be wider.
        Raises :class:`StoreError` if a segment cannot be read or understood; the next call reads the same again.
        """
        begins = {name: read.end for name, read in self._segments.items()}
        found = segments_of(self.journal / self.log.name, begins)
        self._segments = {
            segment.name: self._read(self._segments.get(segment.name, _Read()), segment) for segment in found
        }
        return [part for read in self._segments.values() for part in read.rows]

    def _read(self, before: _Read, segment: Segment) -> _Read:
        if not segment.frames:
            return before
        records: list[Any] = list(records_of(segment, self.log.kind))
        layouts = tuple(record for record in records if isinstance(record, PredictionLayout))
        rows = {part.table: part for part in before.rows}
        for part in self.log.rows(segment.name, [*before.layouts, *records]):
            held = rows.get(part.table)
            by = before.records if self.log.by_record else 0 if held is None else held.rows.height
            new = part.rows.with_columns(pl.col(PLACE) + by)
            whole = new if held is None else pl.concat([held.rows, new], how="diagonal_relaxed")
            rows[part.table] = SegmentRows(segment=segment.name, table=part.table, rows=whole)
        return _Read(
            end=segment.end,
            layouts=before.layouts + layouts,
            records=before.records + len(records) - len(layouts),
            rows=tuple(rows.values()),
        )
