"""The point-in-time join: what was known about an entity at the moment of an event, and nothing later.

For each event and view: the newest view row with event time in ``[t - ttl, t]``, both ends inclusive, and known time
at most ``t``. Ties on event time go to the newest known time; rows that tie on both are told apart by their values, so
that the result does not depend on the order in which rows arrive.

Every event is a *slot* in the order of key, then time. A view row first becomes visible in one slot: the earliest of
its key that is not before the row's known time. Each slot keeps the newest of the rows that enter there, and a running
maximum over the slots of a key carries it on.

A view is read once, in batches, and never held: whenever the rows of some batches are more than twice the events, at
most one of them is kept for each slot. So memory grows with the events, not with the view. Of a batch that is in the
order of time most rows are left out without a sort, by two table look-ups a row.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from everfit.core.errors import SourceError
from everfit.store.reader import require_columns
from everfit.store.timestamps import to_instant

BATCH_ROWS = 1 << 20
"""Measured on 11 M rows: half as many take 5 % more processor time and 80 MiB less, twice as many 15 % and 100 MiB
more."""
_SHARE_OF_KEYS = 16
"""A block is so short that about one in 16 keys has an event in it."""
_MOST_BLOCKS = 512
"""Blocks of one batch; each costs about 20 µs."""
_MICROSECOND = timedelta(microseconds=1)
_FOREVER = np.iinfo(np.int64).max
_CODE, _EVENT, _KNOWN, _ROW = "__code", "__event", "__known", "__row"


@dataclass(frozen=True, kw_only=True)
class ViewRows:
    """A view's history, ready to be joined.

    Rows with a null key, event time or known time are never seen.
    """

    name: str
    """Prefix of the features' columns: ``name.feature``."""
    rows: pl.LazyFrame
    keys: Sequence[str]
    """Key columns, called the same among the events: strings, integers or dates."""
    time: str
    """Event time: an aware instant or a date."""
    features: Sequence[str]
    ttl: timedelta
    created: str | None = None
    """Known time; without one, rows are known at their event time."""


def point_in_time_join(
    events: pl.DataFrame, views: Sequence[ViewRows], *, time: str, batch_rows: int = BATCH_ROWS
) -> pl.DataFrame:
    """Add the features of every view to the events: ``view.feature``, null where no row was in reach.

    Args:
        events: One row for each moment; its rows come back complete, once each and in the same order.
        views: Joined one after the other.
        time: The events' column with ``t``, an aware instant or a date; a null matches nothing.
        batch_rows: Rows of a view that are read at once, positive. Besides the result, memory holds the features of at
            most twice as many rows as there are events, and of a few batches.

    Raises:
        SourceError: If a column is missing, or a key has another type among the events than in the view.
        TimestampError: If a time column holds neither aware instants nor dates.
    """
    require_columns([time], events.columns, place="events")
    moment = events.select(to_instant(time, events.schema[time], place="events").alias(time)).to_series()
    moments = _Moments(moment)
    found = (_features_at(events, moments, view, batch_rows=batch_rows) for view in views)
    return pl.concat([events, *found], how="horizontal")


def _features_at(events: pl.DataFrame, moments: _Moments, view: ViewRows, *, batch_rows: int) -> pl.DataFrame:
    place = f"view {view.name}"
    schema = view.rows.collect_schema()
    require_columns([*view.keys, view.time, *view.features], schema, place=place)
    keys, rows = _same_keys(events, view, schema)
    codes = _Codes(keys.filter(pl.Series(moments.known)).drop_nulls(), events.height)
    slots = _Slots(codes.number(keys), len(codes), moments, ttl=view.ttl)
    winners = _Winners(slots, view, most=2 * len(slots) + batch_rows)
    if len(slots):
        rows = _visible_rows(rows, codes, slots, view, schema)
        batches = rows.collect_batches(chunk_size=batch_rows, maintain_order=True, engine="streaming")
        for batch in _Narrowing(slots).over(batches):
            winners.add(batch)
    return winners.by_event(events.height).select(pl.all().name.prefix(f"{view.name}."))


def _visible_rows(rows: pl.LazyFrame, codes: _Codes, slots: _Slots, view: ViewRows, schema: pl.Schema) -> pl.LazyFrame:
    """Return code, times and features of the rows that any event may see."""
    place, first, last = f"view {view.name}", slots.oldest.min(), slots.times[-1]
    times = [to_instant(view.time, schema[view.time], place=place).alias(_EVENT)]
    near = pl.col(_EVENT).to_physical().is_between(first, last)
    if view.created:
        times.append(to_instant(view.created, schema[view.created], place=place).alias(_KNOWN))
        near &= pl.col(_KNOWN).to_physical() <= last
    keys = [pl.col(key).alias(name) for key, name in zip(view.keys, _key_names(view), strict=True)]
    return codes.add(rows.select(*keys, *times, *view.features).filter(near))


class _Moments:
    """The distinct times of the events in order, and which of them each event has; shared by all views."""

    def __init__(self, moment: pl.Series) -> None:
        self.known = moment.is_not_null().to_numpy()
        self.times, self.rank = _distinct(moment.to_physical().fill_null(0).to_numpy())


def _key_names(view: ViewRows) -> list[str]:
    return [f"__key{index}" for index in range(len(view.keys))]


class _Codes:
    """A number from 0 up to ``len`` for each key among the events.

    A single integer is its own code, less the smallest, if the range has no more numbers than there are events:
    arithmetic is nearly free, while looking up ten million keys costs as much as reading them. Within the range may
    lie keys that no event has. A single text is looked up as a category, which keeps the rows in their order.
    """

    def __init__(self, usable: pl.DataFrame, events: int) -> None:
        self._keys = usable.columns
        self._low: int | None = None
        self._texts: pl.Enum | None = None
        self._size: int
        if len(self._keys) == 1 and usable.height and usable.dtypes[0].is_integer():
            low, high = usable.select(pl.all().min().alias("low"), pl.all().max().alias("high")).row(0)
            if high - low < events and low > -_FOREVER and high < _FOREVER:
                self._low, self._size = low, high - low + 1
                return
        distinct = usable.unique()
        self._size = distinct.height
        if usable.dtypes == [pl.String]:
            self._texts = pl.Enum(distinct.to_series())
        self._table = distinct.with_row_index(_CODE).with_columns(pl.col(_CODE).cast(pl.Int64)).lazy()

    def __len__(self) -> int:
        return self._size

    def number(self, keys: pl.DataFrame) -> pl.Series:
        """Return the code of each row of keys in order, null for others."""
        if self._low is None and self._texts is None:
            return keys.lazy().join(self._table, on=self._keys, how="left", maintain_order="left").collect()[_CODE]
        return keys.select(self._code()).to_series()

    def add(self, rows: pl.LazyFrame) -> pl.LazyFrame:
        """Return the rows of the events' keys, with their code in place of their keys."""
        if self._low is None and self._texts is None:
            return rows.join(self._table, on=self._keys, how="inner").drop(self._keys)
        return rows.with_columns(self._code()).filter(pl.col(_CODE).is_not_null()).drop(self._keys)

    def _code(self) -> pl.Expr:
        key = pl.col(self._keys[0])
        if self._texts is not None:
            return key.cast(self._texts, strict=False).to_physical().cast(pl.Int64).alias(_CODE)
        assert self._low is not None
        within = key.is_between(self._low, self._low + self._size - 1)
        return pl.when(within).then(key.cast(pl.Int64, strict=False) - self._low).alias(_CODE)


class _Slots:
    """The events that have a key and a time, ordered by key, then time."""

    def __init__(self, codes: pl.Series, keys: int, moments: _Moments, *, ttl: timedelta) -> None:
        usable = np.flatnonzero(codes.is_not_null().to_numpy() & moments.known)
        code, rank = codes.fill_null(0).to_numpy(), moments.rank
        if len(usable) < len(codes):
            code, rank = code[usable], rank[usable]
        self.keys, self.times = keys, moments.times
        self._bits = len(self.times).bit_length()
        self._packed, order = _sort(code << self._bits | rank)
        self.event = order if len(usable) == len(codes) else usable[order]
        self.code, rank_of_slot = self._packed >> self._bits, self._packed & ((1 << self._bits) - 1)
        #: The earliest event time that is in reach at each slot.
        self.oldest: NDArray[np.int64] = (self.times - ttl // _MICROSECOND)[rank_of_slot]
        self._last = np.full(keys, -1, dtype=np.int64)
        self._last[self.code] = rank_of_slot
        rank_in_order, order = _sort(rank)
        #: Times and codes of the same events, in the order of time.
        self.time_in_order, self.code_in_order = self.times[rank_in_order], code[order]

    def __len__(self) -> int:
        return len(self._packed)

    def enter(
        self, code: NDArray[np.int64], known: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Return the rows that enter a slot in the order of slots, the slots, and the number of rows in each."""
        rank = _search(self.times, known)
        visible = np.flatnonzero(rank <= self._last[code])
        entering, order = _sort(code[visible] << self._bits | rank[visible])
        if 2 * len(entering) < len(self):
            found = np.searchsorted(self._packed, entering)
            starts = np.flatnonzero(np.diff(found, prepend=-1))
            return visible[order], found[starts], np.diff(starts, append=len(found))
        sizes = np.diff(np.searchsorted(entering, self._packed, side="right"), prepend=0)
        slot = np.flatnonzero(sizes)
        return visible[order], slot, sizes[slot]


class _Narrowing:
    """Leaves out rows that cannot win, of batches in the order of time, by two table look-ups a row.

    The last row of a key wins over its earlier ones wherever it is visible. So those are left out where the key has no
    event before the last one, for each block of a batch. The last row itself is kept once an event of its key follows
    before another row does, or if no row follows within the next batch. Rows that tie with it are kept.
    """

    def __init__(self, slots: _Slots) -> None:
        self._slots = slots
        self._waiting: pl.DataFrame | None = None
        self._last: NDArray[np.int64] = np.full(slots.keys, -1, dtype=np.int64)
        self._keep: NDArray[np.bool_] = np.zeros(0, dtype=np.bool_)
        self._until: list[int] = []
        self._beyond, self._at_end = len(slots), 0

    def over(self, batches: Iterable[pl.DataFrame]) -> Iterator[pl.DataFrame]:
        """Yield the rows of batches that may win, in order; all rows of a batch that is not in the order of time."""
        for batch in batches:
            times = [batch[name].to_physical().to_numpy() for name in (_EVENT, _KNOWN) if name in batch.columns]
            if batch.is_empty():
                continue
            times[-1] = np.maximum(times[0], times[-1])
            starts = [time[0] for time in times]
            if not all((time[1:] >= time[:-1]).all() for time in times):
                yield from self._flush()
                yield batch
                continue
            if any(start < end for start, end in zip(starts, self._until, strict=False)):
                yield from self._flush()
            yield from self._take(batch, times)
        yield from self._flush()

    def _take(self, batch: pl.DataFrame, times: list[NDArray[np.int64]]) -> Iterator[pl.DataFrame]:
        """Yield the batch that waits, as what follows its rows is known now; this one waits instead."""
        slots, last, known, code = self._slots, self._last, times[-1], batch[_CODE].to_numpy()
        before = len(self._keep)
        keep = np.zeros(before + len(known) + 1, dtype=np.bool_)  # -1 is the spare last element
        keep[:before] = self._keep
        if self._until and self._until[-1] == known[0]:
            keep[self._at_end : before] = True  # they may tie with rows of this batch
        index = np.arange(before, before + len(known))
        has_event = np.zeros(slots.keys, dtype=np.bool_)
        starts = self._blocks(known)
        ends = np.append(starts[1:], len(known))
        edges = np.searchsorted(slots.time_in_order, known[starts])
        beyond = int(np.searchsorted(slots.time_in_order, known[-1], side="right"))
        first = min(self._beyond, int(edges[0]))
        for start, end, until in zip(starts.tolist(), ends.tolist(), [*edges[1:].tolist(), beyond], strict=True):
            wanted, own, inside = slots.code_in_order[first:until], code[start:end], index[start:end]
            keep[last[wanted]] = True
            has_event[wanted] = True
            chosen = has_event[own]
            has_event[wanted] = False
            last[own] = inside
            if (known[start + 1 : end] == known[start : end - 1]).any():
                newest = last[own]
                ties = [time[newest - before] == time[start:end] for time in times]
                chosen |= np.logical_and.reduce([newest != inside, *ties])
            keep[inside] = chosen
            first = until
        keep[last[last < before]] = True
        if self._waiting is not None:
            yield _rows_where(self._waiting, keep[:before])
        last -= before
        np.maximum(last, -1, out=last)
        self._waiting, self._keep, self._beyond = batch, keep[before:-1], beyond
        self._until = [int(time[-1]) for time in times]
        self._at_end = int(np.searchsorted(known, known[-1]))

    def _flush(self) -> Iterator[pl.DataFrame]:
        """Yield the batch that waits, with the last row of every key."""
        if self._waiting is not None:
            self._keep[self._last[self._last >= 0]] = True
            yield _rows_where(self._waiting, self._keep)
        self._waiting = None
        self._last.fill(-1)
        self._keep = np.zeros(0, dtype=np.bool_)
        self._until, self._beyond, self._at_end = [], len(self._slots), 0

    def _blocks(self, known: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return where the blocks of ascending rows start, each with events of few keys."""
        first, last = np.searchsorted(self._slots.time_in_order, known[[0, -1]])
        count = int(last - first) * _SHARE_OF_KEYS // self._slots.keys
        count = max(1, min(count, len(known), _MOST_BLOCKS))
        # Equal times are in one block.
        starts = np.searchsorted(known, known[np.arange(count) * len(known) // count])
        return np.unique(starts)


def _rows_where(rows: pl.DataFrame, keep: NDArray[np.bool_]) -> pl.DataFrame:
    return rows if keep.all() else rows.select(pl.all().gather(np.flatnonzero(keep)))


def _search(ordered: NDArray[np.int64], values: NDArray[np.int64]) -> NDArray[np.int64]:
    """``np.searchsorted``, several times faster: it finds the few ordered ones among the many values instead."""
    if not len(values):
        return np.empty(0, dtype=np.int64)
    if not (values[1:] >= values[:-1]).all():
        order = _nearly_sorting(values)
        found = np.empty(len(values), dtype=np.int64)
        found[order] = np.searchsorted(ordered, values[order])
        return found
    first, last = np.searchsorted(ordered, values[[0, -1]])
    steps = np.searchsorted(values, ordered[first:last], side="right")
    return np.repeat(np.arange(first, last + 1), np.diff(steps, prepend=0, append=len(values)))


def _nearly_sorting(values: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return indices that sort the values up to small differences: searched so, they are found in the cache."""
    bits = len(values).bit_length()
    low = values.min()
    beyond = max(0, (int(values.max()) - int(low)).bit_length() + bits - 62)
    both: NDArray[np.int64] = (values - low) >> beyond << bits
    both |= np.arange(len(values))
    both.sort()
    both &= (1 << bits) - 1
    return both


def _distinct(values: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """``np.unique`` with the inverse, several times faster."""
    ascending, order = _sort(values)
    first = np.diff(ascending, prepend=ascending[:1] - 1) != 0
    inverse = np.empty(len(values), dtype=np.int64)
    inverse[order] = np.cumsum(first) - 1
    return ascending[first], inverse


def _sort(values: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The values in order, and the indices that sort them.

    The index rides in the low bits where there is room, as sorting numbers is four times as fast as sorting indices.
    """
    if (values[1:] >= values[:-1]).all():
        return values, np.arange(len(values))
    bits = len(values).bit_length()
    low = values.min()
    if (int(values.max()) - int(low)) >> (62 - bits):
        order = np.argsort(values)
        return values[order], order
    both = values - low
    both <<= bits
    both |= np.arange(len(values))
    both.sort()
    order = both & ((1 << bits) - 1)
    both >>= bits
    both += low
    return both, order


class _Entries(NamedTuple):
    """View rows and the slots they enter; aligned arrays, ordered by slot."""

    slot: NDArray[np.int64]
    event: NDArray[np.int64]
    known: NDArray[np.int64] | None
    """``None`` where rows are known at their event time."""
    row: NDArray[np.int64]

    def take(self, chosen: NDArray[np.bool_] | NDArray[np.int64]) -> _Entries:
        known = None if self.known is None else self.known[chosen]
        return _Entries(self.slot[chosen], self.event[chosen], known, self.row[chosen])


class _Winners:
    """The rows that may win among those of the batches so far."""

    def __init__(self, slots: _Slots, view: ViewRows, *, most: int) -> None:
        self._slots, self._view = slots, view
        self._batches: list[pl.DataFrame] = []
        self._rows, self._most = 0, most

    def add(self, batch: pl.DataFrame) -> None:
        """Take the rows of a batch."""
        self._batches.append(batch)
        self._rows += batch.height
        if self._rows > self._most:
            self._settle()

    def by_event(self, events: int) -> pl.DataFrame:
        """Return the features that each event sees, null where no row is in reach."""
        if not self._rows:
            return self._view.rows.select(self._view.features).clear(events).collect()
        row = _row_by_event(self._settle(), self._slots, events)
        features = pl.concat([batch.select(self._view.features) for batch in self._batches], rechunk=True)
        self._batches = []
        return features.select(pl.all().gather(row))

    def _settle(self) -> _Entries:
        """Keep one row for each slot that any row enters, in the order of before, which may be that of time."""
        entries = self._enter()
        is_kept = np.zeros(self._rows, dtype=np.bool_)
        is_kept[entries.row] = True
        entries = entries._replace(row=(np.cumsum(is_kept) - 1)[entries.row])
        ends = np.cumsum([batch.height for batch in self._batches])
        self._batches = [
            _rows_where(batch, is_kept[end - batch.height : end])
            for batch, end in zip(self._batches, ends.tolist(), strict=True)
        ]
        self._rows = len(entries.row)
        return entries

    def _enter(self) -> _Entries:
        """Return one row for each slot that any row enters."""
        code, event, *created = (
            np.concatenate([batch[name].to_physical().to_numpy() for batch in self._batches])
            for name in (_CODE, _EVENT, *([_KNOWN] if self._view.created else []))
        )
        order, slot, sizes = self._slots.enter(code, np.maximum(event, *created) if created else event)
        event = event[order]
        newest = np.maximum.reduceat(event, np.cumsum(sizes) - sizes) if len(slot) else event
        # Later slots of the key are later in time, so a row that is stale where it enters is stale for good.
        newest[newest < self._slots.oldest[slot]] = _FOREVER
        won = np.flatnonzero(event == np.repeat(newest, sizes))
        row, event = order[won], event[won]
        known = created[0][row] if created else None
        entries = _newest_known(_Entries(slot=np.repeat(slot, sizes)[won], event=event, known=known, row=row))
        return self._greatest(entries)

    def _greatest(self, entries: _Entries) -> _Entries:
        """Of each slot's entries, return the one with the greatest values, feature by feature."""
        tied = _repeated(entries.slot)
        if not tied.any():
            return entries
        ties, features = entries.take(tied), self._view.features
        rows = pl.concat([batch.select(features) for batch in self._batches])
        values = rows.select(pl.all().gather(ties.row)).with_columns(pl.Series(_CODE, ties.slot))
        ordered = values.with_row_index(_ROW).sort(_CODE, *features, nulls_last=False, maintain_order=True)
        chosen = ordered.unique(_CODE, keep="last", maintain_order=True)[_ROW].to_numpy()
        return entries.take(np.sort(np.append(np.flatnonzero(~tied), np.flatnonzero(tied)[chosen])))


def _repeated(slot: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return which of ascending slots are there more than once."""
    repeated = np.zeros(len(slot), dtype=np.bool_)
    repeated[1:] = slot[1:] == slot[:-1]
    repeated[:-1] |= repeated[1:]
    return repeated


def _newest_known(entries: _Entries) -> _Entries:
    """Of each slot's entries, which have one event time, return those with the newest known time."""
    if entries.known is None or not _repeated(entries.slot).any():
        return entries
    first = np.flatnonzero(np.diff(entries.slot, prepend=-1))
    newest = np.maximum.reduceat(entries.known, first)
    return entries.take(entries.known == np.repeat(newest, np.diff(first, append=len(entries.slot))))


def _row_by_event(winners: _Entries, slots: _Slots, events: int) -> pl.Series:
    """Return the row that each event sees, null where there is none in reach."""
    code = slots.code[winners.slot]
    if winners.known is not None:
        # Where rows are not known at once, a later slot of a key may hold an earlier row.
        order = np.lexsort((winners.known, winners.event, code))
        winners, code = winners.take(order), code[order]
    held = np.full(len(slots), -1, dtype=np.int64)
    held[winners.slot] = np.arange(len(code))
    seen = np.maximum.accumulate(held)
    row = np.full(events, -1, dtype=np.int64)
    if len(code):
        fresh = (code[seen] == slots.code) & (winners.event[seen] >= slots.oldest) & (seen >= 0)
        row[slots.event] = np.where(fresh, winners.row[seen], -1)
    found = pl.Series(_ROW, row)
    return found.set(found < 0, None)


def _same_keys(events: pl.DataFrame, view: ViewRows, schema: pl.Schema) -> tuple[pl.DataFrame, pl.LazyFrame]:
    """The events' keys and the view's rows, brought to one type per key.

    :class:`SourceError` if the types mean different things: text here and numbers there.
    """
    require_columns(view.keys, events.columns, place=f"events, keys of view {view.name}")
    casts = []
    for key in view.keys:
        ours, theirs = events.schema[key], schema[key]
        if ours == theirs:
            continue
        common = _common_key(ours, theirs)
        if common is None:
            raise SourceError(
                f"the key {key} must have one type, but it is {ours} among the events and {theirs} in the view",
                place=f"view {view.name}",
                remedy="Cast one of them where the data is made, or declare the entity's dtype accordingly.",
            )
        casts.append(pl.col(key).cast(common))
    keys = events.select(view.keys).with_columns(casts).rename(dict(zip(view.keys, _key_names(view), strict=True)))
    return keys, view.rows.with_columns(casts) if casts else view.rows


def _common_key(ours: pl.DataType, theirs: pl.DataType) -> pl.DataType | None:
    if ours.is_integer() and theirs.is_integer():
        return pl.Int128() if pl.UInt64 in {ours, theirs} else pl.Int64()
    text = (pl.String, pl.Categorical, pl.Enum)
    return pl.String() if isinstance(ours, text) and isinstance(theirs, text) else None
