"""Predictions of the log as rows of tables: one table for each model and layout."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import chain
from types import NoneType
from typing import Any

import msgspec
import polars as pl

from everfit.core.errors import StoreError
from everfit.journal.request_rows import ROW, request_rows
from everfit.store.journal_records import PREDICTIONS, PredictionLayout, Predictions
from everfit.store.lake import PLACE, SEGMENT, SegmentRows
from everfit.store.timestamps import INSTANT
from everfit.store.type_inference import instant_column, untyped_column

PREDICTION, REQUEST, FEATURE = "prediction", "request.", "feature."
"""Names, or beginnings of names, of the columns of predictions, request fields and features."""

BASE: dict[str, pl.DataType] = {
    "id": pl.String(),
    "model": pl.String(),
    "version": pl.Int64(),
    "digest": pl.String(),
    "route": pl.String(),
    ROW: pl.Int64(),
    "recorded_at": INSTANT,
    "event_time": INSTANT,
    "latency_us": pl.Int64(),
    SEGMENT: pl.String(),
    PLACE: pl.Int64(),
}
"""The columns that every prediction has: ``row`` is the place within its request. The event time is that of the request
unless this has a field for it.
"""

_TYPES: dict[str, pl.DataType] = {
    "string": pl.String(),
    "integer": pl.Int64(),
    "number": pl.Float64(),
    "boolean": pl.Boolean(),
    "instant": INSTANT,
    "date": pl.Date(),
}


_ROWS_AT_ONCE = 64
"""Rows that are turned into columns at once. So few are dead before the garbage collector comes: with 256 it takes as
long as all else (measured).
"""


def prediction_rows(segment: str, records: Iterable[PredictionLayout | Predictions]) -> list[SegmentRows]:
    """Return the rows of a segment for each table ``predictions/model/layout``.

    Columns: :data:`BASE`; ``prediction``, or ``prediction.<class>`` for each class of a multiclass model; the fields
    ``request.<name>`` in their types; the features as used, ``feature.<name>``. The log does not say the types of
    features, so their values do; see :func:`everfit.store.type_inference.untyped_column`. Raises :class:`StoreError` if
    a record does not have its layout's form, or its layout does not stand before it.
    """
    tables: dict[str, _Table] = {}
    known: dict[int, tuple[PredictionLayout, str]] = {}
    place = 0
    for record in records:
        if isinstance(record, PredictionLayout):
            known[record.number] = record, f"{PREDICTIONS}/{record.model}/{_layout_digest(record)}"
            continue
        if record.layout not in known:
            raise StoreError("a prediction's layout must stand before it", value=segment)
        layout, name = known[record.layout]
        if name not in tables:
            tables[name] = _Table(segment, layout)
        tables[name].add(place, layout, record)
        place += 1
    return [SegmentRows(segment=segment, table=name, rows=table.frame()) for name, table in tables.items()]


def _layout_digest(layout: PredictionLayout) -> str:
    """Return a digest that is equal for layouts with the same columns, whatever version they are of."""
    said = (layout.task, layout.request, layout.features, [str(name) for name in layout.classes], layout.event_time)
    return hashlib.sha256(msgspec.json.encode(said)).hexdigest()[:12]


class _Table:
    """A segment's rows for one table, gathered as one list for each column.

    Args:
        layout: Any that names the table's columns; a row's may be that of another version.
    """

    def __init__(self, segment: str, layout: PredictionLayout) -> None:
        self._segment = segment
        self._layout = layout
        self._waiting: list[Predictions] = []
        self._waiting_rows = 0
        self._layouts: list[PredictionLayout] = []
        self._places: list[int] = []
        self._routes: list[str] = []
        self._recorded_us: list[int] = []
        self._latency_us: list[int] = []
        self._rows: list[int] = []
        """The number of rows of every record; of the lists above, each has one value for a record."""
        self._ids: list[str] = []
        self._request = _ValueLists(len(layout.request))
        self._features = _ValueLists(len(layout.features))
        self._values = _ValueLists(len(layout.classes)) if layout.task == "multiclass" else _ValueList()

    def add(self, place: int, layout: PredictionLayout, record: Predictions) -> None:
        """Add a record, the ``place``-th of its segment. Raises :class:`StoreError` if one does not have its layout's
        form; a record may be looked at only later.
        """
        self._places.append(place)
        self._layouts.append(layout)
        self._waiting.append(record)
        self._waiting_rows += len(record.ids)
        if self._waiting_rows >= _ROWS_AT_ONCE:
            self._take_waiting()

    def _take_waiting(self) -> None:
        records, self._waiting, self._waiting_rows = self._waiting, [], 0
        ids = [record.ids for record in records]
        request = [record.rows for record in records]
        features = [record.features for record in records]
        values: list[Sequence[Any]] = [record.values for record in records]
        rows = list(map(len, ids))
        if not rows == list(map(len, request)) == list(map(len, features)) == list(map(len, values)):
            raise StoreError("a record must have a request, features and an answer for every id", value=self._segment)
        self._rows += rows
        self._routes += [record.route for record in records]
        self._recorded_us += [record.recorded_us for record in records]
        self._latency_us += [record.latency_us for record in records]
        self._ids += chain.from_iterable(ids)
        self._request.add(chain.from_iterable(request))
        self._features.add(chain.from_iterable(features))
        self._values.add(chain.from_iterable(values))

    def frame(self) -> pl.DataFrame:
        """Return the rows. Raises :class:`StoreError` if a record does not have its layout's form."""
        self._take_waiting()
        layout = self._layout
        request = [
            _request_column(name, kind, values)
            for (name, kind), values in zip(layout.request, self._request.lists, strict=True)
        ]
        features = [
            untyped_column(f"{FEATURE}{name}", values)
            for name, values in zip(layout.features, self._features.lists, strict=True)
        ]
        classes = [f".{name}" for name in layout.classes] if layout.task == "multiclass" else [""]
        answers = [
            pl.Series(f"{PREDICTION}{name}", values, dtype=pl.Float64, strict=False)
            for name, values in zip(classes, self._values.lists, strict=True)
        ]
        base = self._base()
        for column in request:
            if column.name == f"{REQUEST}{layout.event_time}":
                base = base.with_columns(column.cast(INSTANT).alias("event_time"))
        return base.hstack([*answers, *request, *features])

    def _base(self) -> pl.DataFrame:
        per_record = pl.DataFrame(
            {
                "version": [layout.version for layout in self._layouts],
                "digest": [layout.digest for layout in self._layouts],
                "route": self._routes,
                "recorded_at": self._recorded_us,
                "latency_us": self._latency_us,
                PLACE: self._places,
            },
            schema_overrides={"recorded_at": pl.Int64()},
        )
        rows = request_rows(per_record, self._rows).with_columns(
            pl.Series("id", self._ids, dtype=pl.String()),
            pl.lit(self._layout.model).alias("model"),
            pl.lit(self._segment).alias(SEGMENT),
            event_time=pl.col("recorded_at"),
        )
        return rows.select(pl.col(name).cast(dtype) for name, dtype in BASE.items())


class _ValueList:
    """One column's values, a row's being the value itself."""

    def __init__(self) -> None:
        self.lists: list[list[Any]] = [[]]

    def add(self, rows: Iterable[Any]) -> None:
        """Add rows."""
        self.lists[0] += rows


class _ValueLists:
    """Columns of rows that are a sequence of values each.

    Args:
        width: The number of columns.
    """

    def __init__(self, width: int) -> None:
        self.lists: list[list[Any]] = [[] for _ in range(width)]

    def add(self, rows: Iterable[Sequence[Any]]) -> None:
        """Add rows. Raises :class:`StoreError` if one does not have a value for each column."""
        rows = list(rows)
        if set(map(len, rows)) - {len(self.lists)}:
            raise StoreError("a row must have the values that its layout names", value=[len(row) for row in rows[:3]])
        for values, more in zip(self.lists, zip(*rows, strict=True), strict=bool(rows)):
            values.extend(more)


def _request_column(name: str, kind: str, values: Sequence[Any]) -> pl.Series:
    name, dtype = f"{REQUEST}{name}", _TYPES.get(kind, pl.String())
    if dtype == pl.Date:
        return pl.Series(name, values, dtype=pl.String, strict=False).str.to_date("%Y-%m-%d", strict=False)
    if dtype == INSTANT and {datetime, NoneType} >= set(map(type, values)):
        return instant_column(name, values)
    return pl.Series(name, values, dtype=dtype, strict=False)
