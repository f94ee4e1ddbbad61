"""The point-in-time join: what was known about an entity at the moment of an event, and nothing later.

For each event and view: the newest view row with event time in ``[t - ttl, t]``, both ends inclusive, and known time
at most ``t``. Ties on event time go to the newest known time; rows that tie on both are told apart by their values, so
that the answer does not depend on the order in which rows arrive.

How: the view is never sorted. Every distinct (key, time) among the events is a *slot*. A view row first becomes visible
in one slot: the earliest of its key that is not before the row's known time. Each slot keeps the newest of the rows
that enter there, and a running maximum over the slots of a key carries it on. Only keys and times take part; feature
values are fetched afterwards, for the rows that won.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from everfit.core.errors import SourceError
from everfit.store.reader import require_columns
from everfit.store.timestamps import to_instant

_CHUNK = 1 << 21
_COLUMNS_AT_ONCE = 3
_MICROSECOND = timedelta(microseconds=1)
_NEVER, _FOREVER = np.iinfo(np.int64).min, np.iinfo(np.int64).max
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
    rereadable: bool = False
    """True if reading ``rows`` twice gives the same rows in the same order, as scans of files do. Then keys and times
    are read first and features last, a few columns at a time; otherwise all is read once and held."""


def point_in_time_join(events: pl.DataFrame, views: Sequence[ViewRows], *, time: str) -> pl.DataFrame:
    """Add the features of every view to the events: ``view.feature``, null where no row was in reach.

    Args:
        events: One row for each moment; its rows come back complete, once each and in the same order.
        views: Joined one after the other.
        time: The events' column with ``t``, an aware instant or a date; a null matches nothing.

    Raises:
        SourceError: If a column is missing, or a key has another type among the events than in the view.
        TimestampError: If a time column holds neither aware instants nor dates.
    """
    require_columns([time], events.columns, place="events")
    moment = events.select(to_instant(time, events.schema[time], place="events").alias(time)).to_series()
    moments = _Moments(moment)
    return pl.concat([events, *(_features_at(events, moments, view) for view in views)], how="horizontal")


def _features_at(events: pl.DataFrame, moments: _Moments, view: ViewRows) -> pl.DataFrame:
    place = f"view {view.name}"
    schema = view.rows.collect_schema()
    require_columns([*view.keys, view.time, *view.features], schema, place=place)
    keys, rows = _same_keys(events, view, schema)
    codes = _Codes(keys.filter(pl.Series(moments.known)).drop_nulls(), events.height)
    slots = _Slots(codes.add(keys.lazy(), how="left").collect()[_CODE], len(codes), moments)
    if not view.rereadable:
        rows = rows.select(*view.keys, view.time, *([view.created] if view.created else []), *view.features)
        rows = rows.collect().lazy()
    winners = _winners(_entries(rows, codes, slots, view, schema), slots, rows, view)
    found = _gather(rows, _by_event(winners, slots, view), view.features)
    return found.select(pl.all().name.prefix(f"{view.name}."))


class _Moments:
    """The distinct times of the events in order, and which of them each event has; shared by all views."""

    def __init__(self, moment: pl.Series) -> None:
        self.known = moment.is_not_null().to_numpy()
        self.times, self.rank = _distinct(moment.to_physical().fill_null(0).to_numpy())


class _Codes:
    """A number from 0 up to ``len`` for each key among the events.

    A single integer is its own code, less the smallest, if the range has no more numbers than there are events:
    arithmetic is nearly free, while looking up ten million keys costs as much as reading them. Within the range may
    lie keys that no event has.
    """

    def __init__(self, usable: pl.DataFrame, events: int) -> None:
        self._keys = usable.columns
        self._low: int | None = None
        self._size: int
        if len(self._keys) == 1 and usable.height and usable.dtypes[0].is_integer():
            low, high = usable.select(pl.all().min().alias("low"), pl.all().max().alias("high")).row(0)
            if high - low < events and low > -_FOREVER and high < _FOREVER:
                self._low, self._size = low, high - low + 1
                return
        table = usable.unique().with_row_index(_CODE)
        self._table, self._size = table.lazy(), table.height

    def __len__(self) -> int:
        return self._size

    def add(self, rows: pl.LazyFrame, *, how: Literal["inner", "left"]) -> pl.LazyFrame:
        """The rows with their code in place of their keys; rows of other keys have null (left) or go (inner)."""
        if self._low is None:
            order: Literal["left", "none"] = "left" if how == "left" else "none"
            return rows.join(self._table, on=self._keys, how=how, maintain_order=order).drop(self._keys)
        key = pl.col(self._keys[0])
        within = key.is_between(self._low, self._low + self._size - 1)
        code = key.cast(pl.Int64, strict=False) - self._low
        if how == "left":
            code = pl.when(within).then(code)
        else:
            rows = rows.filter(within)
        return rows.with_columns(code.cast(pl.UInt32).alias(_CODE)).drop(self._keys)


class _Slots:
    """The distinct (key, time) pairs among the events, ordered by key, then time.

    After the last slot of each key comes one at the end of time. It takes the rows that no event sees, so that a row
    looked up in the order never lands on another key.
    """

    def __init__(self, codes: pl.Series, keys: int, moments: _Moments) -> None:
        usable = codes.is_not_null().to_numpy() & moments.known
        code = codes.fill_null(0).to_numpy().astype(np.int64)[usable]
        self.times = moments.times
        self._stride = len(self.times) + 1
        last = np.arange(1, keys + 1) * self._stride - 1
        self._packed, position = _distinct(np.concatenate([code * self._stride + moments.rank[usable], last]))
        self.code, rank = np.divmod(self._packed, self._stride)
        self.time = np.append(self.times, _FOREVER)[rank]
        self.of_event: NDArray[np.int64] = np.full(len(codes), -1, dtype=np.int64)
        self.of_event[usable] = position[: len(code)]

    def __len__(self) -> int:
        return len(self._packed)

    def oldest(self, ttl: timedelta) -> NDArray[np.int64]:
        """The earliest event time that is in reach at each slot."""
        oldest: NDArray[np.int64] = self.time - ttl // _MICROSECOND
        return oldest

    def enter(self, code: NDArray[np.int64], known: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The order in which rows enter the slots, and how many have entered by the end of each slot."""
        entering, order = _sort(code * self._stride + _search(self.times, known))
        # There are fewer slots than rows, and both ascend.
        return order, np.searchsorted(entering, self._packed, side="right")


def _search(ordered: NDArray[np.int64], values: NDArray[np.int64]) -> NDArray[np.int64]:
    """``np.searchsorted``, several times faster: it finds the few ordered ones among the many values instead."""
    if not (values[1:] >= values[:-1]).all():
        ascending, order = _sort(values)
        found = np.empty(len(values), dtype=np.int64)
        found[order] = _search(ordered, ascending)
        return found
    if not len(values):
        return np.empty(0, dtype=np.int64)
    first, last = np.searchsorted(ordered, values[[0, -1]])
    steps = np.searchsorted(values, ordered[first:last], side="right")
    return np.repeat(np.arange(first, last + 1), np.diff(steps, prepend=0, append=len(values)))


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
    if not len(values):
        return values, np.empty(0, dtype=np.int64)
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
    """View rows and the slots they enter; aligned arrays."""

    slot: NDArray[np.int64]
    event: NDArray[np.int64]
    known: NDArray[np.int64]
    row: NDArray[np.uint32]

    def take(self, chosen: NDArray[np.bool_] | NDArray[np.int64]) -> _Entries:
        return _Entries(self.slot[chosen], self.event[chosen], self.known[chosen], self.row[chosen])


def _entries(rows: pl.LazyFrame, codes: _Codes, slots: _Slots, view: ViewRows, schema: pl.Schema) -> _Entries:
    """The rows that may win, the newest of each slot with those that tie with it."""
    if not len(slots):
        return _concat()
    place = f"view {view.name}"
    event = to_instant(view.time, schema[view.time], place=place).alias(_EVENT)
    wanted = [*view.keys, event, pl.col(_ROW)]
    first, last = int(slots.times[0]) - view.ttl // _MICROSECOND, int(slots.times[-1])
    near = pl.col(_EVENT).to_physical().is_between(first, last)
    if view.created:
        wanted.insert(-1, to_instant(view.created, schema[view.created], place=place).alias(_KNOWN))
        near &= pl.col(_KNOWN).to_physical() <= last
    narrow = codes.add(rows.with_row_index(_ROW).select(wanted).filter(near), how="inner").collect(engine="streaming")
    oldest = slots.oldest(view.ttl)
    with ThreadPoolExecutor(2) as pool:
        parts = list(pool.map(lambda chunk: _enter(chunk, slots, oldest, view), narrow.iter_slices(_CHUNK)))
    return _newest(_concat(*parts), len(slots))


def _enter(chunk: pl.DataFrame, slots: _Slots, oldest: NDArray[np.int64], view: ViewRows) -> _Entries:
    """Those of the rows that may win: in reach, and the newest by event time of their slot."""
    event = chunk[_EVENT].to_physical().to_numpy()
    created = chunk[_KNOWN].to_physical().to_numpy() if view.created else event
    order, ends = slots.enter(chunk[_CODE].to_numpy().astype(np.int64, copy=False), np.maximum(event, created))
    sizes = np.diff(ends, prepend=0)
    slot = np.flatnonzero(sizes)
    sizes = sizes[slot]
    event = event[order]
    newest = np.maximum.reduceat(event, ends[slot] - sizes) if len(slot) else event
    # Later slots of the key are later in time, so a row that is stale where it enters is stale for good.
    fresh = newest >= oldest[slot]
    newest[~fresh] = _FOREVER
    won = np.flatnonzero(event == np.repeat(newest, sizes))
    chosen = order[won]
    slot = np.searchsorted(ends, won, side="right")
    return _Entries(slot=slot, event=event[won], known=created[chosen], row=chunk[_ROW].to_numpy()[chosen])


def _newest(entries: _Entries, slots: int) -> _Entries:
    """Of each slot, the rows with the newest event time, and of those the ones with the newest known time."""
    for value in ("event", "known"):
        if not len(entries.slot) or np.bincount(entries.slot).max() == 1:
            break
        column: NDArray[np.int64] = getattr(entries, value)
        best = np.full(slots, _NEVER, dtype=np.int64)
        np.maximum.at(best, entries.slot, column)
        winning = column == best[entries.slot]
        if not winning.all():
            entries = entries.take(winning)
    return entries


def _winners(entries: _Entries, slots: _Slots, rows: pl.LazyFrame, view: ViewRows) -> _Entries:
    """One row for each slot that any row enters; full ties go to the greatest values, feature by feature."""
    counts = np.bincount(entries.slot, minlength=len(slots))
    tied = counts[entries.slot] > 1
    if not tied.any():
        return entries
    ties = entries.take(tied)
    values = _gather(rows, pl.Series(ties.row), view.features).with_columns(pl.Series(_CODE, ties.slot))
    ordered = values.with_row_index(_ROW).sort(_CODE, *view.features, nulls_last=False, maintain_order=True)
    chosen = ordered.unique(_CODE, keep="last", maintain_order=True)[_ROW].to_numpy().astype(np.int64)
    return _concat(entries.take(~tied), ties.take(chosen))


def _by_event(winners: _Entries, slots: _Slots, view: ViewRows) -> pl.Series:
    """The view row that each event sees, null where there is none in reach."""
    # Where rows are known at once, a later slot of a key holds a later row.
    rank = winners.slot
    if view.created:
        rank = np.empty(len(winners.slot), dtype=np.int64)
        rank[np.lexsort((winners.known, winners.event))] = np.arange(len(rank))
    size = len(slots)
    held, index = np.full((2, size), -1, dtype=np.int64)
    held[winners.slot] = rank
    index[rank] = np.arange(len(rank))
    # The code comes first in the packed value, so the running maximum starts anew with each key.
    base = slots.code * (size + 1)
    seen = np.maximum.accumulate(base + held) - base
    within = np.flatnonzero(seen >= 0)
    index = index[seen[within]]
    fresh = winners.event[index] >= slots.oldest(view.ttl)[within]
    row_of_slot = np.full(size + 1, -1, dtype=np.int64)
    row_of_slot[within[fresh]] = winners.row[index[fresh]]
    row = pl.Series(_ROW, row_of_slot[slots.of_event])  # no slot is -1: the spare last element
    return row.set(row < 0, None)


def _gather(rows: pl.LazyFrame, index: pl.Series, columns: Sequence[str]) -> pl.DataFrame:
    """Some rows of some columns, null for null, holding only a few whole columns at a time."""
    groups = (list(columns[at : at + _COLUMNS_AT_ONCE]) for at in range(0, len(columns), _COLUMNS_AT_ONCE))
    parts = [rows.select(group).collect().select(pl.all().gather(index)) for group in groups]
    return pl.concat(parts, how="horizontal")


def _concat(*parts: _Entries) -> _Entries:
    none = np.empty(0, dtype=np.int64)
    columns = zip(_Entries(none, none, none, none.astype(np.uint32)), *parts, strict=True)
    return _Entries(*(np.concatenate(column) for column in columns))


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
    return events.select(view.keys).with_columns(casts), view.rows.with_columns(casts) if casts else view.rows


def _common_key(ours: pl.DataType, theirs: pl.DataType) -> pl.DataType | None:
    if ours.is_integer() and theirs.is_integer():
        return pl.Int128() if pl.UInt64 in {ours, theirs} else pl.Int64()
    text = (pl.String, pl.Categorical, pl.Enum)
    return pl.String() if isinstance(ours, text) and isinstance(theirs, text) else None
