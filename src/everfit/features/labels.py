"""Labels in the events' source, without the checks that training makes."""

from __future__ import annotations

from datetime import datetime

import polars as pl

from everfit.definitions.model import Model
from everfit.features.label_values import class_text
from everfit.store.known_values import hide_unknown, latest_known
from everfit.store.plain_values import plain_label
from everfit.store.reader import Reader, require_columns
from everfit.store.timestamps import INSTANT, to_instant


def scan_labels(model: Model, reader: Reader, *, as_of: datetime) -> pl.LazyFrame:
    """Return every label that was known, duplicates and contradictions included.

    Args:
        reader: Reads its events.
        as_of: Nothing known later is used; aware.

    Returns:
        ``id`` as text, ``value`` in the label's own type, but a class that is stored as a category or a float as text;
        ``known_at``; none is null.

    Raises:
        SourceError: If the source cannot be read or lacks a column.
        TimestampError: If the known time has no time zone.
    """
    events, label = model.events, model.label
    rows, known = _known_labels(model, reader, label.columns)
    rows = hide_unknown(rows, events.source, at=pl.lit(as_of, dtype=INSTANT))
    rows = rows if events.where is None else rows.filter(events.where)
    value = pl.col(label.value) if isinstance(label.value, str) else label.value
    value = plain_label(value, rows.select(value.alias("value")).collect_schema()["value"])
    if model.task != "regression":
        value = class_text(value, rows.select(value.alias("value")).collect_schema()["value"])
    return (
        rows.select(pl.col(events.id).cast(pl.String).alias("id"), value.alias("value"), known.alias("known_at"))
        .filter(pl.col("known_at") <= pl.lit(as_of, dtype=INSTANT))
        .drop_nulls()
    )


def read_labels(model: Model, reader: Reader, *, as_of: datetime) -> pl.DataFrame:
    """Return the rows of :func:`scan_labels`, with values as text.

    Raises:
        SourceError: If the source cannot be read or lacks a column.
        TimestampError: If the known time has no time zone.
    """
    with reader.naming_damage(model.events.source):
        rows = scan_labels(model, reader, as_of=as_of)
        return rows.with_columns(pl.col("value").cast(pl.String)).collect()


def scan_label_times(model: Model, reader: Reader) -> pl.LazyFrame:
    """Return ``event_time`` and ``known_at`` of every row with a label, those known in the future included.

    A label is known once its row was created, and all columns of the label and of ``where`` are known.

    Raises:
        SourceError: If the source cannot be read or lacks a column.
        TimestampError: If one of the times has no time zone.
    """
    events, label = model.events, model.label
    chosen_by = [] if events.where is None else events.where.meta.root_names()
    rows, known = _known_labels(model, reader, [*label.columns, *chosen_by])
    rows = rows if events.where is None else rows.filter(events.where)
    schema, place = rows.collect_schema(), f"model {model.name}, events"
    if (created := events.source.created) is not None:
        known = pl.max_horizontal(known, to_instant(created, schema[created], place=place))
    value = pl.col(label.value) if isinstance(label.value, str) else label.value
    times = to_instant(events.timestamp, schema[events.timestamp], place=place).alias("event_time")
    return rows.filter(value.is_not_null()).select(times, known.alias("known_at")).drop_nulls()


def _known_labels(model: Model, reader: Reader, columns: list[str] | tuple[str, ...]) -> tuple[pl.LazyFrame, pl.Expr]:
    """Return the events' rows, and the time at which their labels and some columns are known."""
    events, label, place = model.events, model.label, f"model {model.name}, label"
    rows = reader.scan(events.source)
    schema = rows.collect_schema()
    used = [events.id, events.timestamp, label.known_at, *label.columns]
    used += [] if events.where is None else events.where.meta.root_names()
    require_columns(used, schema, place=place)
    known = to_instant(label.known_at, schema[label.known_at], place=place)
    return rows, latest_known(rows, events.source, known, columns)
