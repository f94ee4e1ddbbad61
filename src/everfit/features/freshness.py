"""Freshness of views: the age of each view's newest row at an instant."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import polars as pl

from everfit.core.evidence import SourceFreshness
from everfit.definitions.view import FeatureView
from everfit.features.compute import feature_names, view_rows
from everfit.store.reader import Reader


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
    # A live source has its newest row within the ttl, so that the view need not be computed for all time.
    for reach in (ttl, 16 * ttl, None):
        since = None if reach is None else at - reach
        rows = view_rows(view, reader, since=since, as_of=at, keep_infinite=True)
        schema = rows.collect_schema()
        numbers = [name for name in feature_names(view, rows) if schema[name].is_float()]
        found = pl.col(view.timestamp).max().alias("__newest"), pl.len().alias("__rows")
        counted = rows.select(*found, *(pl.col(name).is_infinite().sum() for name in numbers)).collect()
        newest, height, *counts = counted.row(0)
        infinite = {name: count for name, count in zip(numbers, counts, strict=True) if count}
        if newest is not None:
            break
    age = None if newest is None else at - newest
    return SourceFreshness(source=view.source.name, view=view.name, age=age, ttl=ttl, rows=height, infinite=infinite)
