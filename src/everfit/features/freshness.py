"""Freshness of views: the age of each view's newest row at an instant."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import polars as pl

from everfit.core.evidence import SourceFreshness
from everfit.definitions.view import FeatureView
from everfit.features.compute import feature_names, view_rows
from everfit.store.reader import Reader

_COUNTED = timedelta(hours=1)
"""Span before the newest row in which infinite values are counted: it notices them, and reads little; chosen."""

_BEGINNING = datetime.min.replace(tzinfo=UTC)


def measure_freshness(views: Iterable[FeatureView], reader: Reader, *, at: datetime) -> tuple[SourceFreshness, ...]:
    """Return the age at ``at`` of each view's newest row that was known then, and counts of infinite values.

    Raises :class:`SourceError` if a source cannot be read or lacks a column, :class:`TimestampError` if an instant has
    no time zone.
    """
    found = []
    for view in views:
        with reader.naming_damage(view.source):
            found.append(_measure(view, reader, at=at))
    return tuple(found)


def _measure(view: FeatureView, reader: Reader, *, at: datetime) -> SourceFreshness:
    ttl, newest, height, infinite = view.time_to_live, None, 0, {}
    last = reader.newest(view.source, column=view.timestamp, before=at + timedelta(microseconds=1))
    # The newest row may have no key, or not be known yet.
    for reach in (min(ttl, _COUNTED), 16 * ttl, None):
        since = None if reach is None or last is None or last - _BEGINNING < reach else last - reach
        rows = view_rows(view, reader, since=since, as_of=at, keep_infinite=True)
        schema = rows.collect_schema()
        numbers = [name for name in feature_names(view, rows) if schema[name].is_float()]
        found = pl.col(view.timestamp).max().alias("__newest"), pl.len().alias("__rows")
        counted = rows.select(*found, *(pl.col(name).is_infinite().sum() for name in numbers)).collect()
        newest, height, *counts = counted.row(0)
        infinite = {name: count for name, count in zip(numbers, counts, strict=True) if count}
        if newest is not None or since is None:
            break
    age = None if newest is None else at - newest
    return SourceFreshness(source=view.source.name, view=view.name, age=age, ttl=ttl, rows=height, infinite=infinite)
