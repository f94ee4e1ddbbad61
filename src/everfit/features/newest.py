"""The newest labelled events of a model: a sample that is small and like what is predicted next."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import polars as pl

from everfit.definitions.model import Model
from everfit.features.labels import label_value, used_columns
from everfit.store.known_values import instant_of, known_columns, known_rows, latest_known
from everfit.store.reader import Reader
from everfit.store.time_range import TimeRange
from everfit.store.timestamps import instant_literal

_TIME = "time"
_FURTHER = (1, 4, 16, 64)
"""Spans that are read one after the other, in lengths of that of the newest rows, before all events are."""
_BEGINNING = datetime.min.replace(tzinfo=UTC)


class EventWindow(NamedTuple):
    """Event times ``[start, end)``."""

    start: datetime
    end: datetime
    whole: bool
    """All labelled events are in it."""


def newest_window(
    model: Model, reader: Reader, *, rows: int, as_of: datetime, end: datetime | None = None
) -> EventWindow | None:
    """Return the window from the first of the newest ``rows`` labelled events to the last; ``None`` if there are none.

    Events of the first one's instant are in it, and so are events without a label; none at ``end`` or later. Raises
    :class:`SourceError` if the source cannot be read or lacks a column.
    """
    # Most of the newest rows may have no label yet.
    before = as_of + timedelta(microseconds=1) if end is None else min(end, as_of + timedelta(microseconds=1))
    for since in _starts(model, reader, rows=rows, before=before):
        window = _window(model, reader, rows=rows, within=TimeRange(since, before), as_of=as_of)
        if window is not None and not window.whole:
            return window
    return _window(model, reader, rows=rows, within=TimeRange(None, before), as_of=as_of)


def _starts(model: Model, reader: Reader, *, rows: int, before: datetime) -> Iterator[datetime]:
    """Yield instants ever further back, the first of about as many events as are wanted; none if there are fewer."""
    source, by = model.events.source, model.events.timestamp
    start = reader.start_of_newest(source, rows, by=by, before=before)
    last = None if start is None else reader.newest(source, column=by, before=before)
    if start is None or last is None:
        return
    for factor in _FURTHER:
        reach = max(last - start, timedelta(seconds=1)) * factor
        if last - _BEGINNING > reach:
            yield last - reach


def _window(model: Model, reader: Reader, *, rows: int, within: TimeRange, as_of: datetime) -> EventWindow | None:
    """Return the window of the newest labelled events in a range."""
    events, label = model.events, model.label
    columns = list(dict.fromkeys([*used_columns(model), *known_columns(events.source), events.source.timestamp]))
    read = reader.scan(events.source, columns=columns, within=within, by=events.timestamp)
    known = known_rows(read, events.source, as_of)
    time, label_known = instant_of(known, events.timestamp), instant_of(known, label.known_at)
    label_known = latest_known(known, events.source, label_known, label.columns)
    moment = instant_literal(as_of)
    labelled = known if events.where is None else known.filter(events.where)
    labelled = labelled.filter(time <= moment, label_known <= moment, label_value(model).is_not_null())
    times = labelled.select(time.alias(_TIME))
    count, newest = pl.collect_all([times.select(pl.len()), times.top_k(rows, by=_TIME)])
    if newest.is_empty():
        return None
    first, last = newest[_TIME].min(), newest[_TIME].max()
    assert isinstance(first, datetime)
    assert isinstance(last, datetime)
    return EventWindow(first, last + timedelta(microseconds=1), count.item() <= rows)
