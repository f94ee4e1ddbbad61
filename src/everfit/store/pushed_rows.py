"""Pushed feature rows as frames: of the log, and of the tables that it is shipped to."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec
import polars as pl

from everfit.core.errors import StoreError
from everfit.store.journal_records import PUSHES, PushedRows
from everfit.store.lake import PLACE, SEGMENT, SegmentRows, scan_tables
from everfit.store.record_log import records_of
from everfit.store.segments import segments_of
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


def scan_pushed(lake: Path, journal: Path, view: str) -> pl.LazyFrame:
    """Return every row that was ever pushed to a view, shipped or not, once; see :func:`pushed_rows`.

    Raises :class:`StoreError` if the log or a table cannot be read.
    """
    waiting = [
        part
        for segment in segments_of(journal / PUSHES)
        for part in pushed_rows(
            segment.name, (record for record in records_of(segment, PushedRows) if record.view == view)
        )
    ]
    return scan_tables(lake, f"{PUSHES}/{view}", waiting, base=_BASE)


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
