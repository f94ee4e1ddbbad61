"""Feed of a model's predictions, outcomes and labels: each row of log and lake once; errors are :class:`StoreError`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import polars as pl
from msgspec import Struct

from everfit.core.instants import EARLIEST, END
from everfit.journal.log_tailer import LogTailer
from everfit.journal.logs import LABEL, LABEL_LOG, OUTCOME, OUTCOME_LOG, PREDICTION_LOG
from everfit.journal.prediction_rows import BASE
from everfit.store.lake import PLACE, SEGMENT, SegmentRows, united
from everfit.store.table_tailer import Span, TableMark, TableTailer
from everfit.store.timestamps import in_years, instant_literal

EARLIER = timedelta(days=30)
"""A label that was known so long before the first predicted event was no prediction's."""
_MOST_CHUNKS = 64
"""Pieces of memory that a column may consist of: each costs some microseconds in every operation."""
_PART_ROWS = 50_000
"""Rows of a file that are read at a time, so that memory does not depend on how large it is."""


@dataclass(frozen=True)
class Portion:
    """Rows of one kind that were added since the last call."""

    rows: pl.DataFrame
    is_all: bool
    """True if rows were deleted, so that those of earlier calls are void, and in the first call."""

    def added_to(self, held: pl.DataFrame) -> pl.DataFrame:
        """Return the rows behind those that are held."""
        return self.rows if self.is_all else together(held, self.rows)


@dataclass(frozen=True, kw_only=True)
class NewRows:
    """Result of :meth:`JournalFeed.read`."""

    predictions: Portion
    outcomes: Portion
    labels: Portion
    until: datetime | None
    """The earliest event time of the predictions that are left for later calls; ``None`` if all were read."""


def together(held: pl.DataFrame, new: pl.DataFrame) -> pl.DataFrame:
    """Return rows behind those that are held; a frame that grows by every call is now and then laid out anew."""
    if not new.height:
        return held
    found = pl.concat([held, new], how="diagonal_relaxed")
    return found.rechunk() if found.n_chunks() > _MOST_CHUNKS else found


class StreamMark(Struct, frozen=True, kw_only=True):
    """High-water mark of rows of one kind."""

    tables: TableMark
    taken: dict[str, int]
    """By segment of the log, the place up to which its rows were read."""


class FeedMark(Struct, frozen=True, kw_only=True):
    """High-water mark of a feed: what was read, so that another one can go on."""

    predictions: StreamMark
    outcomes: StreamMark
    labels: StreamMark
    first_event: datetime | None


class JournalFeed:
    """Reader of what is new, from one call to the next; a row that is shipped after it was read is not read again.

    Args:
        labels: Digest of the label's definition; without it, labels of the events' source are not read.
        wanted: Returns true for the name of a prediction's column that is to be read.
        include_unshipped: Also read what is not in the lake yet.
    """

    def __init__(
        self,
        lake: Path,
        journal: Path,
        model: str,
        *,
        labels: str,
        wanted: Callable[[str], bool],
        include_unshipped: bool,
    ) -> None:
        logs = (PREDICTION_LOG, OUTCOME_LOG, LABEL_LOG) if include_unshipped else ()
        self._logs = tuple(LogTailer(log, journal) for log in logs)
        every = lambda _: True  # noqa: E731
        self._predictions = _Stream(
            TableTailer(lake, f"predictions/{model}", BASE, wanted, "event_time"), is_folder=True
        )
        self._outcomes = _Stream(TableTailer(lake, f"outcomes/{model}", OUTCOME, every, "recorded_at"))
        self._labels = _Stream(TableTailer(lake, f"labels/{model}/{labels or 'none'}", LABEL, every, "known_at"))
        self.model = model
        self.is_cut = False
        """Older predictions were left out."""
        self.first_event: datetime | None = None
        """The earliest event time of all predictions that were read."""

    @property
    def left_out(self) -> int:
        """Predictions and outcomes that are left out, since an instant of theirs breaks the rule for instants."""
        return self._predictions.left_out + self._outcomes.left_out

    def read(self, most_rows: int | None = None, *, newest: int | None = None, as_of: datetime = END) -> NewRows:
        """Return what was added since the last call.

        Args:
            most_rows: Number of predictions of the lake to read at a time, by files: those with the earliest events
                first, with the outcomes and labels up to then. What is not shipped comes last.
            newest: Where everything is new, files are left out that are not needed for so many predictions, of events
                up to ``as_of``, and their outcomes and labels.
        """
        # The log first: what is shipped in between is in the tables then, and recognised by segment and place.
        waiting = [part for tailer in self._logs for part in tailer.unshipped()]
        begin = EARLIEST

        def older(spans: Sequence[Span]) -> list[bool]:
            nonlocal begin
            begin = _begin_of_newest(spans, newest or 0, as_of)
            passed = [span.last < begin for span in spans]
            self.is_cut = any(passed)
            return passed

        self._predictions.gather(waiting, most_rows=most_rows, skipped=None if newest is None else older)
        until, since = self._predictions.tailer.unread_from, max(begin, EARLIEST + EARLIER) - EARLIER
        for stream in (self._outcomes, self._labels):
            stream.gather(waiting, until=until, skipped=lambda spans: [span.last < since for span in spans])
        # All were read: what one of them has gathered is not lost if another one cannot be read.
        predictions, outcomes, labels = (stream.drain() for stream in (self._predictions, self._outcomes, self._labels))
        if predictions.rows.height and isinstance(first := predictions.rows["event_time"].min(), datetime):
            self.first_event = first if self.first_event is None else min(first, self.first_event)
        if until is not None:
            until = min([until, *self._predictions.waiting_from(waiting)])
        return NewRows(predictions=predictions, outcomes=outcomes, labels=labels, until=until)

    def read_labels(self) -> Portion:
        """Return the labels of the events' source that were added since the last call of :meth:`read`.

        Nothing must be left for later calls.
        """
        waiting = [part for tailer in self._logs if tailer.log is LABEL_LOG for part in tailer.unshipped()]
        self._labels.gather(waiting)
        return self._labels.drain()

    def mark(self) -> FeedMark:
        """Return what was read; nothing must be left for later calls."""
        return FeedMark(
            predictions=self._predictions.mark(),
            outcomes=self._outcomes.mark(),
            labels=self._labels.mark(),
            first_event=self.first_event,
        )

    def resume(self, mark: FeedMark) -> None:
        """Go on from a mark, in place of the beginning."""
        self._predictions.resume(mark.predictions)
        self._outcomes.resume(mark.outcomes)
        self._labels.resume(mark.labels)
        self.first_event = mark.first_event

    def between(self, first: datetime, last: datetime, wanted: Callable[[str], bool]) -> pl.DataFrame:
        """Return the predictions that were read with event times in ``[first, last]``, with other columns."""
        return self._predictions.between(first, last, wanted)

    def labels_since(self, begin: datetime) -> pl.DataFrame:
        """Return the labels of the events' source that were read, and were known at an instant or later."""
        return self._labels.between(begin, END, lambda _: True)


@dataclass(frozen=True)
class _LoggedPart:
    """Rows of a segment of the log for one table."""

    rows: pl.DataFrame
    kept: pl.DataFrame
    """Those whose instants keep the rule for instants."""
    end: int
    """The place after the last one; 0 without rows."""

    @classmethod
    def of(cls, rows: pl.DataFrame) -> _LoggedPart:
        last = rows[PLACE].max()
        return cls(rows, in_years(rows), last + 1 if isinstance(last, int) else 0)


@dataclass
class _Stream:
    """Rows of one kind, from the tables of the lake and from the log."""

    tailer: TableTailer
    is_folder: bool = False
    """The tables lie below the folder; otherwise it is the table's own."""
    _taken: dict[str, int] = field(default_factory=dict)
    """By segment, the place up to which its rows were read from the log."""
    _waiting: list[pl.DataFrame] = field(default_factory=list)
    """Rows that the log holds and the tables do not."""
    _logged: dict[tuple[str, str], _LoggedPart] = field(default_factory=dict)
    """Rows of the log at the last call, by segment and table: most of it has not changed since."""
    _gathered: list[pl.DataFrame] = field(default_factory=list)
    _is_all: bool = False
    _left_out: int = 0

    @property
    def left_out(self) -> int:
        return self.tailer.left_out + self._left_out

    def mark(self) -> StreamMark:
        return StreamMark(tables=self.tailer.mark(), taken=self._taken)

    def resume(self, mark: StreamMark) -> None:
        self.tailer.resume(mark.tables)
        self._taken = mark.taken

    def gather(
        self,
        waiting: Sequence[SegmentRows],
        *,
        most_rows: int | None = None,
        until: datetime | None = None,
        skipped: Callable[[Sequence[Span]], Sequence[bool]] | None = None,
    ) -> None:
        """Read new rows; those of the log only once all files were read. Arguments as for the tables' tailer."""
        self._gather_shipped(most_rows, until, skipped)
        self._waiting, self._left_out = [], 0
        if self.tailer.unread_from is not None or until is not None:
            return
        own = [part for part in waiting if self._is_own(part.table)]
        # A segment is shipped table by table; what was read of it counts until the log has it no more.
        logged = {part.segment for part in own}
        taken_until = {name: place for name, place in self._taken.items() if name in logged}
        parts: dict[tuple[str, str], _LoggedPart] = {}
        for part in own:
            if part.segment in self.tailer.segments:
                continue
            begin, key = self._taken.get(part.segment, 0), (part.segment, part.table)
            logged_part = self._logged.get(key)
            if logged_part is None or logged_part.rows is not part.rows:
                logged_part = _LoggedPart.of(part.rows)
            parts[key] = logged_part
            kept, end = logged_part.kept, logged_part.end
            self._waiting.append(kept)
            self._left_out += part.rows.height - kept.height
            if begin < end:
                new = kept.filter(pl.col(PLACE) >= begin)
                self._gathered.append(new.select(name for name in new.columns if self.tailer.wanted(name)))
            taken_until[part.segment] = max(taken_until.get(part.segment, begin), end)
        self._taken, self._logged = taken_until, parts

    def _gather_shipped(
        self,
        most_rows: int | None,
        until: datetime | None,
        skipped: Callable[[Sequence[Span]], Sequence[bool]] | None,
    ) -> None:
        """Read the tables: once if a number of rows is given, else all rows up to an instant, part by part."""
        while True:
            shipped, is_all = self.tailer.grown(most_rows=most_rows or _PART_ROWS, until=until, skipped=skipped)
            if is_all:
                self._taken, self._gathered, self._is_all = {}, [], True
            if self._taken and shipped.height:
                taken = pl.col(SEGMENT).replace_strict(self._taken, default=0, return_dtype=pl.Int64)
                shipped = shipped.filter(pl.col(PLACE) >= taken)
            self._gathered.append(shipped)
            following = self.tailer.unread_from
            if most_rows is not None or following is None or (until is not None and following > until):
                return

    def drain(self) -> Portion:
        """Return what was gathered since the last call."""
        rows = self._gathered[0] if len(self._gathered) == 1 else pl.concat(self._gathered, how="diagonal_relaxed")
        portion = Portion(rows, self._is_all)
        self._gathered, self._is_all = [], False
        return portion

    def waiting_from(self, waiting: Sequence[SegmentRows]) -> list[datetime]:
        """Return the earliest instant of every segment in the log."""
        firsts = (in_years(part.rows)[self.tailer.instant].min() for part in waiting if self._is_own(part.table))
        return [first for first in firsts if isinstance(first, datetime)]

    def between(self, first: datetime, last: datetime, wanted: Callable[[str], bool]) -> pl.DataFrame:
        inside = pl.col(self.tailer.instant).is_between(instant_literal(first), instant_literal(last))
        waiting = [
            frame.lazy().filter(inside).select(name for name in frame.columns if wanted(name))
            for frame in self._waiting
        ]
        return united([self.tailer.between(first, last, wanted), *waiting]).collect()

    def _is_own(self, table: str) -> bool:
        return table.startswith(f"{self.tailer.under}/") if self.is_folder else table == self.tailer.under


def _begin_of_newest(spans: Sequence[Span], rows: int, as_of: datetime) -> datetime:
    """Return the first instant of the newest files that have so many rows of events up to an instant."""
    begin, left = EARLIEST, rows
    for span in sorted(spans, reverse=True):
        if span.first <= as_of:
            begin, left = span.first, left - span.rows
            if left <= 0:
                return begin
    return EARLIEST
