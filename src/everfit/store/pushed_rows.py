"""Pushed feature rows as frames: of the log, and of the tables that it is shipped to."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import polars as pl

from everfit.core.errors import StoreError
from everfit.store.journal_records import PUSHES, PushedRows
from everfit.store.lake import PLACE, SEGMENT, SegmentRows, fits, scan_tables
from everfit.store.record_log import records_of
from everfit.store.segments import Segment, segments_of
from everfit.store.timestamps import INSTANT
from everfit.store.type_inference import untyped_column

KEY, FEATURE = "key.", "feature."
"""Prefixes of the columns of keys and features."""

_BASE: dict[str, pl.DataType] = {
    "event_time": INSTANT,
    "created": INSTANT,
    "recorded_at": INSTANT,
    SEGMENT: pl.String(),
    PLACE: pl.Int64(),
}


def pushed_rows(segment: str, records: Iterable[PushedRows]) -> list[SegmentRows]:
    """Return the rows of a segment for each table ``pushes/view/layout``.

    Columns: ``event_time``, ``created`` and ``recorded_at``, the segment and place, then ``key.<name>`` and
    ``feature.<name>``. Raises :class:`StoreError` if a record's columns are not of one length.
    """
    gathered: dict[str, dict[str, list[Any]]] = {}
    for place, record in enumerate(records):
        columns = _columns(record, segment, place)
        if len(set(map(len, columns.values()))) != 1:
            raise StoreError("a push must have as many values in every column", value=segment)
        names = msgspec.json.encode((tuple(record.keys), tuple(record.features)))
        table = f"{PUSHES}/{record.view}/{hashlib.sha256(names).hexdigest()[:12]}"
        whole = gathered.setdefault(table, {name: [] for name in columns})
        for name, values in columns.items():
            whole[name] += values
    return [
        SegmentRows(segment=segment, table=table, rows=pl.DataFrame([_typed(*column) for column in columns.items()]))
        for table, columns in gathered.items()
    ]


@dataclass(frozen=True)
class _ReadPushes:
    """A view's pushes in a segment, as far as it was read."""

    end: int = 0
    records: int = 0
    rows: tuple[SegmentRows, ...] = ()


@dataclass
class PushTailer:
    """Reader of the pushes to one view, from one call to the next: most of what the log holds has not changed since."""

    lake: Path
    journal: Path
    view: str
    _segments: dict[str, _ReadPushes] = field(default_factory=dict)

    def scan(self) -> pl.LazyFrame:
        """Return every row that was ever pushed to the view, shipped or not, once; see :func:`pushed_rows`.

        Raises :class:`StoreError` if the log or a table cannot be read.
        """
        # The type that values have in common is found by all of them, not from part to part.
        segments = self._read_on(self._segments)
        if segments is None:
            segments = self._read_on({}) or {}
        # Assigned once: another thread may call this at the same time.
        self._segments = segments
        waiting = [part for read in segments.values() for part in read.rows]
        return scan_tables(self.lake, f"{PUSHES}/{self.view}", waiting, base=_BASE)

    def _read_on(self, known: Mapping[str, _ReadPushes]) -> dict[str, _ReadPushes] | None:
        """Return the log's segments; ``None`` if new values have other types than known ones."""
        segments = {}
        for segment in segments_of(self.journal / PUSHES, {name: read.end for name, read in known.items()}):
            read = self._read(known.get(segment.name, _ReadPushes()), segment)
            if read is None:
                return None
            segments[segment.name] = read
        return segments

    def _read(self, before: _ReadPushes, segment: Segment) -> _ReadPushes | None:
        if not segment.frames:
            return before
        records = [record for record in records_of(segment, PushedRows) if record.view == self.view]
        rows = {part.table: part for part in before.rows}
        for part in pushed_rows(segment.name, records):
            new, held = part.rows.with_columns(pl.col(PLACE) + before.records), rows.get(part.table)
            if held is not None and not fits(new.schema, held.rows.schema):
                return None
            whole = new if held is None else pl.concat([held.rows, new], how="vertical_relaxed")
            rows[part.table] = SegmentRows(segment=segment.name, table=part.table, rows=whole)
        return _ReadPushes(segment.end, before.records + len(records), tuple(rows.values()))


def _columns(record: PushedRows, segment: str, place: int) -> dict[str, list[Any]]:
    rows = len(record.event_us)
    return {
        "event_time": record.event_us,
        "created": record.created_us,
        "recorded_at": [record.recorded_us] * rows,
        SEGMENT: [segment] * rows,
        PLACE: [place] * rows,
        **{f"{KEY}{name}": values for name, values in record.keys.items()},
        **{f"{FEATURE}{name}": values for name, values in record.features.items()},
    }


def _typed(name: str, values: list[Any]) -> pl.Series:
    if name in _BASE:
        return pl.Series(name, values).cast(_BASE[name])
    if name.startswith(KEY) and {int} >= set(map(type, values)) - {type(None)}:
        return pl.Series(name, values, dtype=pl.Int64)
    return untyped_column(name, values)
