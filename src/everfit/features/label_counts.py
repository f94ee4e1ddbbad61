"""Cached counts of the labels in a model's events' source."""

from __future__ import annotations

import time
from datetime import datetime

import polars as pl
from msgspec import Struct

from everfit.core.instants import EARLIEST
from everfit.definitions.model import Model
from everfit.features.labels import scan_label_times
from everfit.store.reader import Reader
from everfit.store.timestamps import INSTANT

_MOST_TIME = 0.02
"""Share of the time that counting may take; chosen."""


class LabelCounts(Struct, frozen=True, kw_only=True):
    """Counts of labels that are known."""

    total: int
    known_since: int
    """Known later than the champion's ``as_of``."""
    of_later_events: int
    """Of events from the champion's ``trained_until`` on."""


class _Cached(Struct, frozen=True, kw_only=True):
    read_at: datetime
    since: tuple[datetime | None, datetime | None]
    fingerprint: object
    known: LabelCounts
    future: pl.DataFrame
    """A row for each label that becomes known after ``read_at``, sorted by ``known_at``."""


class LabelCounter:
    """Counts the labels of a model, and reads its events' source again only when that may have changed.

    Labels that become known in the future are cached by known time, so that a later instant needs no reading. Counting
    takes at most 2 % of the time: a source that always changes is read less often instead.

    Args:
        reader: Reads its events.
    """

    def __init__(self, model: Model, reader: Reader) -> None:
        self._model, self._reader = model, reader
        self._cached: _Cached | None = None
        self._next_s = 0.0

    def count(
        self, now: datetime, *, as_of: datetime | None = None, trained_until: datetime | None = None
    ) -> LabelCounts:
        """Count the labels that are known at ``now``.

        Args:
            as_of: The champion's; by default every label counts as ``known_since``.
            trained_until: The champion's; by default every event counts as later.

        Raises:
            SourceError: If the source cannot be read or lacks a column.
            TimestampError: If one of its times has no time zone.
        """
        began_s = time.monotonic()
        fingerprint = self._reader.fingerprint(self._model.events.source)
        cached = self._cached
        if cached is None or now < cached.read_at or cached.since != (as_of, trained_until):
            stale = True
        else:
            stale = (fingerprint is None or fingerprint != cached.fingerprint) and began_s >= self._next_s
        if stale or cached is None:
            cached = self._cached = self._read(now, as_of, trained_until, fingerprint)
            ended_s = time.monotonic()
            self._next_s = ended_s + (ended_s - began_s) / _MOST_TIME
        due = cached.future.filter(pl.col("known_at") <= pl.lit(now, dtype=INSTANT))
        return LabelCounts(
            total=cached.known.total + due.height,
            known_since=cached.known.known_since + int(due["known_since"].sum()),
            of_later_events=cached.known.of_later_events + int(due["of_later_events"].sum()),
        )

    def _read(
        self, now: datetime, as_of: datetime | None, trained_until: datetime | None, fingerprint: object
    ) -> _Cached:
        since, later = pl.lit(as_of or EARLIEST, dtype=INSTANT), pl.lit(trained_until or EARLIEST, dtype=INSTANT)
        labels = scan_label_times(self._model, self._reader).select(
            "known_at",
            (pl.col("known_at") > since).alias("known_since"),
            (pl.col("event_time") >= later).alias("of_later_events"),
        )
        is_known = pl.col("known_at") <= pl.lit(now, dtype=INSTANT)
        flags = pl.col("known_since", "of_later_events")
        counts = labels.filter(is_known).select(pl.len().alias("total"), flags.sum().cast(pl.Int64))
        with self._reader.naming_damage(self._model.events.source):
            counted, future = pl.collect_all([counts, labels.filter(~is_known).sort("known_at")])
        return _Cached(
            read_at=now,
            since=(as_of, trained_until),
            fingerprint=fingerprint,
            known=LabelCounts(**counted.row(0, named=True)),
            future=future,
        )
