"""What the events' source says of outcomes, without holding it to the rules of training."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import polars as pl

from everfit.features.label_values import class_text
from everfit.store.known_values import hide_unknown, latest_known
from everfit.store.plain_values import plain_label
from everfit.store.reader import Reader, require_columns
from everfit.store.timestamps import INSTANT, to_instant

if TYPE_CHECKING:
    from everfit.definitions.model import Model


def scan_labels(model: Model, reader: Reader, *, as_of: datetime) -> pl.LazyFrame:
    """Every label that was known, doubled or contradicting ones among them.

    Args:
        model: The definition.
        reader: Reads its events.
        as_of: Nothing known later is used; aware.

    Returns:
        ``id`` as text, ``value`` in the label's own type, but a class that is stored as a category or a float as text;
        ``known_at``; none is null.

    Raises:
        SourceError: If the source cannot be read or lacks a column.
        TimestampError: If the known time has no time zone.
    """
    events, label, place = model.events, model.label, f"model {model.name}, label"
    rows = reader.scan(events.source)
    schema = rows.collect_schema()
    used = [events.id, label.known_at, *label.columns]
    used += [] if events.where is None else events.where.meta.root_names()
    require_columns(used, schema, place=place)
    known = to_instant(label.known_at, schema[label.known_at], place=place)
    known = latest_known(rows, events.source, known, label.columns)
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
