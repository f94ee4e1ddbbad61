"""Rows of a view that depend on rows of later: what a model is trained on then could not be served."""

from __future__ import annotations

from datetime import datetime, timedelta

import polars as pl

from everfit.definitions.view import FeatureView
from everfit.features.compute import feature_names, known_time, view_rows
from everfit.store.known_values import instant_of, known_rows
from everfit.store.reader import Reader
from everfit.store.time_range import TimeRange
from everfit.store.timestamps import INSTANT, instant_literal
from everfit.store.value_equality import differing_columns


def changed_by_later_rows(
    view: FeatureView, reader: Reader, *, as_of: datetime, since: datetime | None = None
) -> tuple[datetime, list[str]] | None:
    """Return an instant and the features that change in rows of before, once rows of after are known; ``None`` if none.

    The instant is the middle of the source's rows. A computation that looks further ahead than it looks back is noticed
    if it declares no look-back. Given ``since``, only rows from then on are used. Raises :class:`SourceError` if the
    view does not fit its source.
    """
    source = view.source
    # Where rows arrive late, rows of before change rightly.
    if view.transform is None or source.created is not None:
        return None
    within = None if since is None else TimeRange(since, None)
    rows = known_rows(reader.scan(source, within=within, by=view.timestamp), source, as_of)
    time = instant_of(rows, view.timestamp)
    middle = time.cast(pl.Int64).quantile(0.5, interpolation="lower").cast(pl.Int64).cast(INSTANT)
    cut = rows.select(middle).collect().item()
    if cut is None:
        return None
    until = as_of
    if view.lookback is not None:
        reach = max(view.look_back, timedelta(days=1))
        since, until = max(filter(None, (since, cut - reach))), min(as_of, cut + reach)
    then, later = (_rows_until(cut, view, reader, since=since, as_of=end) for end in (cut, until))
    changed = [name for name in differing_columns(then, later) if name not in {*view.keys, view.timestamp}]
    return (cut, changed) if changed else None


def _rows_until(
    cut: datetime, view: FeatureView, reader: Reader, *, since: datetime | None, as_of: datetime
) -> pl.DataFrame:
    rows = view_rows(view, reader, since=since, as_of=as_of)
    order = [view.timestamp, *view.keys, *feature_names(view, rows)]
    known = [
        pl.col(name) <= instant_literal(cut) for name in {view.timestamp, known_time(view, rows) or view.timestamp}
    ]
    return rows.filter(known).select(order).collect().sort(order)
