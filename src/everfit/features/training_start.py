"""First event time of a model's training window."""

from __future__ import annotations

from datetime import datetime

import polars as pl

from everfit.definitions.model import Model
from everfit.features.labels import scan_label_times
from everfit.features.newest import newest_window
from everfit.store.reader import Reader
from everfit.store.timestamps import instant_literal


def training_start(
    model: Model, reader: Reader, *, as_of: datetime, end: datetime | None = None, share: float = 1.0
) -> datetime | None:
    """Return the first event time that the model is trained on; ``None`` for all history.

    Args:
        as_of: Labels that became known later do not count.
        end: Last event time, exclusive; ``as_of`` by default.
        share: The part of the window that is taken, the newest; in (0, 1].

    Raises:
        SourceError: If the window is a number of rows, and the events' source cannot be read or lacks a column.
    """
    window = model.history
    if window is None:
        return None
    if window.span is not None:
        return min(as_of, end or as_of) - window.span * share
    assert window.rows is not None
    newest = newest_window(model, reader, rows=max(1, round(window.rows * share)), as_of=as_of, end=end)
    return None if newest is None or newest.whole else newest.start


def count_labelled(model: Model, reader: Reader, *, as_of: datetime) -> int:
    """Return the number of events of all history with a label that was known.

    Raises :class:`SourceError` if the events' source cannot be read or lacks a column.
    """
    moment = instant_literal(as_of)
    with reader.naming_damage(model.events.source):
        labels = scan_label_times(model, reader).filter(pl.max_horizontal("event_time", "known_at") <= moment)
        return int(labels.select(pl.len()).collect().item())
