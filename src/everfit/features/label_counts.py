"""Cached counts of the labels in a model's events' source."""

from __future__ import annotations

import time
from datetime import datetime

import polars as pl
from msgspec import Struct

from everfit.core.instants import EARLIEST, END
from everfit.definitions.model import Model
from everfit.features.labels import scan_label_times
from everfit.store.reader import Reader
from everfit.store.timestamps import instant_literal


class LabelCounts(Struct, frozen=True, kw_only=True):
    """Counts of labels that are known."""

    total: int
    known_since: int
    """Known later than the champion's ``as_of``."""
    of_later_events: int
    """Of events from the champion's ``trained_until`` on."""
    since_change: int
    """Of events from the change of the world on; 0 where none is known."""


class _Cached(Struct, frozen=True, kw_only=True):
    read_at: datetime
    since: tuple[datetime | None, datetime | None, datetime | None]
    fingerprint: object
    known: LabelCounts
    future: pl.DataFrame
    """A row for each label that becomes known after ``read_at``, sorted by ``known_at``."""


class LabelCounter:
    """Counts the labels of a model, and reads its events' source again only when that may have changed.

    Labels that become known in the future are cached by known time, so that a later instant needs no reading. Counting
    takes at most 2 % of the time: a source that always changes is read less often instead.
    """

    def __init__(self, model: Model, reader: Reader) -> None:
        self._model, self._reader = model, reader
        self._cached: _Cached | None = None
        self._next_s = 0.0

    def count(
        self,
        now: datetime,
        *,
        as_of: datetime | None = None,
        trained_until: datetime | None = None,
        changed_at: datetime | None = None,
    ) -> LabelCounts:
        """Count the labels that are known at ``now``.

        ``as_of`` and ``trained_until`` are the champion's; without a champion, every label counts as ``known_since``
        and every event as later. Raises the errors of :func:`~everfit.features.labels.scan_label_times`.
        """
        began_s, cached = time.monotonic(), self._cached
        fingerprint = self._reader.fingerprint(self._model.events.source)
        changed = cached is None or fingerprint is None or fingerprint != cached.fingerprint
        since = as_of, trained_until, changed_at
        other = cached is None or now < cached.read_at or cached.since != since
        if cached is None or other or (changed and began_s >= self._next_s):
            cached = self._cached = self._read(now, since, fingerprint)
            ended_s = time.monotonic()
            self._next_s = ended_s + (ended_s - began_s) / 0.02
        due = cached.future.filter(pl.col("known_at") <= instant_literal(now))
        return LabelCounts(
            total=cached.known.total + due.height,
            known_since=cached.known.known_since + int(due["known_since"].sum()),
            of_later_events=cached.known.of_later_events + int(due["of_later_events"].sum()),
            since_change=cached.known.since_change + int(due["since_change"].sum()),
        )

    def _read(
        self, now: datetime, since: tuple[datetime | None, datetime | None, datetime | None], fingerprint: object
    ) -> _Cached:
        as_of, trained_until, changed_at = since
        later, changed = instant_literal(trained_until or EARLIEST), instant_literal(changed_at or END)
        labels = scan_label_times(self._model, self._reader).select(
            "known_at",
            (pl.col("known_at") > instant_literal(as_of or EARLIEST)).alias("known_since"),
            (pl.col("event_time") >= later).alias("of_later_events"),
            (pl.col("event_time") >= changed).alias("since_change"),
        )
        is_known = pl.col("known_at") <= instant_literal(now)
        flags = pl.col("known_since", "of_later_events", "since_change")
        counts = labels.filter(is_known).select(pl.len().alias("total"), flags.sum().cast(pl.Int64))
        with self._reader.naming_damage(self._model.events.source):
            counted, future = pl.collect_all([counts, labels.filter(~is_known).sort("known_at")])
        known = LabelCounts(**counted.row(0, named=True))
        return _Cached(read_at=now, since=since, fingerprint=fingerprint, known=known, future=future)
