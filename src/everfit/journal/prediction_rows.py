"""Predictions of the log as rows of tables: one table for each model and layout."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import polars as pl

from everfit.core.errors import StoreError
from everfit.store.journal_records import PREDICTIONS, PredictionLayout, Predictions
from everfit.store.lake import PLACE, SEGMENT, SegmentRows
from everfit.store.record_log import with_layouts
from everfit.store.timestamps import INSTANT
from everfit.store.type_inference import untyped_column

PREDICTION, REQUEST, FEATURE = "prediction", "request.", "feature."
"""Names, or beginnings of names, of the columns of predictions, request fields and features."""

BASE: dict[str, pl.DataType] = {
    "id": pl.String(),
    "model": pl.String(),
    "version": pl.Int64(),
    "digest": pl.String(),
    "route": pl.String(),
    "row": pl.Int64(),
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


def prediction_rows(records: Iterable[tuple[str, PredictionLayout | Predictions]]) -> list[SegmentRows]:
    """Return the rows of each segment for each table ``predictions/model/layout``.

    Columns: :data:`BASE`; ``prediction``, or ``prediction.<class>`` for each class of a multiclass model; the fields
    ``request.<name>`` in their types; the features as used, ``feature.<name>``. The log does not say the types of
    features, so their values do; see :func:`everfit.store.type_inference.untyped_column`. Raises :class:`StoreError` if
    a record does not have its layout's form.
    """
    gathered: dict[tuple[str, str], _Gathered] = {}
    tables: dict[tuple[str, int], str] = {}
    places: dict[str, int] = {}
    for segment, layout, record in with_layouts(records):
        table = tables.get((segment, layout.number))
        if table is None:
            table = tables[segment, layout.number] = f"{PREDICTIONS}/{layout.model}/{_layout_digest(layout)}"
            gathered.setdefault((segment, table), _Gathered(layout))
        place = places[segment] = places.get(segment, -1) + 1
        gathered[segment, table].add(segment, place, layout, record)
    return [
        SegmentRows(segment=segment, table=table, rows=whole.frame()) for (segment, table), whole in gathered.items()
    ]


def _layout_digest(layout: PredictionLayout) -> str:
    """Return a digest that is equal for layouts with the same columns, whatever version they are of."""
    said = (layout.task, layout.request, layout.features, [str(name) for name in layout.classes], layout.event_time)
    return hashlib.sha256(msgspec.json.encode(said)).hexdigest()[:12]


@dataclass
class _Gathered:
    layout: PredictionLayout
    base: list[tuple[Any, ...]] = field(default_factory=list)
    request: list[Sequence[Any]] = field(default_factory=list)
    features: list[Sequence[Any]] = field(default_factory=list)
    values: list[Any] = field(default_factory=list)

    def add(self, segment: str, place: int, layout: PredictionLayout, record: Predictions) -> None:
        """Add a record. Raises :class:`StoreError` if its parts differ in length."""
        if not len(record.ids) == len(record.rows) == len(record.features) == len(record.values):
            raise StoreError("a record must have a request, features and an answer for every id", value=segment)
        version = (layout.model, layout.version, layout.digest, record.route)
        rest = (record.recorded_us, record.recorded_us, record.latency_us, segment, place)
        self.base += [(row_id, *version, row, *rest) for row, row_id in enumerate(record.ids)]
        self.request += record.rows
        self.features += record.features
        self.values += record.values

    def frame(self) -> pl.DataFrame:
        layout = self.layout
        request = [
            _request_column(name, kind, values)
            for (name, kind), values in zip(layout.request, _columns(self.request, len(layout.request)), strict=True)
        ]
        features = [
            untyped_column(f"{FEATURE}{name}", values)
            for name, values in zip(layout.features, _columns(self.features, len(layout.features)), strict=True)
        ]
        if layout.task == "multiclass":
            names = [f"{PREDICTION}.{name}" for name in layout.classes]
            chances = _columns(self.values, len(names))
        else:
            names, chances = [PREDICTION], [self.values]
        answers = [
            pl.Series(name, values, dtype=pl.Float64, strict=False) for name, values in zip(names, chances, strict=True)
        ]
        base = pl.DataFrame(self.base, schema=BASE, orient="row")
        for column in request:
            if column.name == f"{REQUEST}{layout.event_time}":
                base = base.with_columns(column.cast(INSTANT).alias("event_time"))
        return base.hstack([*answers, *request, *features])


def _columns(rows: Sequence[Sequence[Any]], width: int) -> list[Sequence[Any]]:
    if any(len(row) != width for row in rows):
        raise StoreError("a row must have the values that its layout names", value=[len(row) for row in rows[:3]])
    return list(zip(*rows, strict=True)) if rows else [()] * width


def _request_column(name: str, kind: str, values: Sequence[Any]) -> pl.Series:
    name, dtype = f"{REQUEST}{name}", _TYPES.get(kind, pl.String())
    if dtype == pl.Date:
        return pl.Series(name, values, dtype=pl.String, strict=False).str.to_date("%Y-%m-%d", strict=False)
    return pl.Series(name, values, dtype=dtype, strict=False)
