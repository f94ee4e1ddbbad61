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

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from everfit.core.errors import SourceError
from everfit.store.instants import to_instant
from everfit.store.reader import require_columns

if TYPE_CHECKING:
    from numpy.typing import NDArray

_CHUNK = 1 << 19
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
    """Whether reading ``rows`` twice gives the same rows in the same order, as scans of files do. Then keys and times
    are read first and features last, a few columns at a time; otherwise all is read once and held."""
    flag_found: bool = False
    """Whether to add ``name.__found``: true where a row was in reach, though its values may be null."""


def point_in_time_join(events: pl.DataFrame, views: Sequence[ViewRows], *, time: str) -> pl.DataFrame:
    """Add the features of every view to the events.

    Args:
        events: One row for each moment; its rows come back complete, once each and in the same order.
        views: Joined one after the other.
        time: The events' column with ``t``, an aware instant or a date; a null matches nothing.

    Returns:
        The events' columns, then ``view.feature`` for each view in turn, null where no row was in reach.

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
    codes = keys.filter(pl.Series(moments.known)).drop_nulls().unique().with_row_index(_CODE)
    slots = _Slots(keys.join(codes, on=list(view.keys), how="left", maintain_order="left")[_CODE], moments)
    if not view.rereadable:
        rows = rows.select(*view.keys, view.time, *([view.created] if view.created else []), *view.features)
        rows = rows.collect().lazy()
    winners = _winners(_entries(rows, codes, slots, view, schema), slots, rows, view)
    return _fetch(rows, _by_event(winners, slots, view), view)


class _Moments:
    """The distinct times of the events in order, and which of them each event has; shared by all views."""

    def __init__(self, moment: pl.Series) -> None:
        self.known = moment.is_not_null().to_numpy()
        instant = moment.to_physical().fill_null(0).to_numpy()
        self.times, self.rank = np.unique(instant, return_inverse=True)


class _Slots:
    """The distinct (key, time) pairs among the events, ordered by key, then time.

    After the last slot of each key comes one at the end of time. It takes the rows that no event sees, so that a row
    looked up in the order never lands on another key.
    """

    def __init__(self, codes: pl.Series, moments: _Moments) -> None:
        usable = codes.is_not_null().to_numpy() & moments.known
        code = codes.fill_null(0).to_numpy().astype(np.int64)[usable]
        self.times = moments.times
        self._stride = len(self.times) + 1
        last = np.unique(code) * self._stride + len(self.times)
        asked = np.concatenate([code * self._stride + moments.rank[usable], last])
        self._packed, position = np.unique(asked, return_inverse=True)
        self.code = self._packed // self._stride
        self.time = np.append(self.times, _FOREVER)[self._packed % self._stride]
        self.of_event: NDArray[np.int64] = np.full(len(codes), -1, dtype=np.int64)
        self.of_event[usable] = position[: len(code)]

    def __len__(self) -> int:
        return len(self._packed)

    def oldest(self, ttl: timedelta) -> NDArray[np.int64]:
        """The earliest event time that is in reach at each slot."""
        oldest: NDArray[np.int64] = self.time - ttl // _MICROSECOND
        return oldest

    def enter(self, code: NDArray[np.int64], known: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The order in which rows enter the slots, and the slot that each enters, in that order."""
        packed = code * self._stride + _search(self.times, known)
        order = _argsort(packed)
        return order, np.searchsorted(self._packed, packed[order])


def _search(ordered: NDArray[np.int64], values: NDArray[np.int64]) -> NDArray[np.int64]:
    """``np.searchsorted``, several times faster on values in no order: it is kind to the cache if they ascend."""
    if bool(np.all(values[1:] >= values[:-1])):
        return np.searchsorted(ordered, values)
    order = _argsort(values)
    found = np.empty(len(values), dtype=np.int64)
    found[order] = np.searchsorted(ordered, values[order])
    return found


def _argsort(values: NDArray[np.int64]) -> NDArray[np.int64]:
    """Indices that sort the values; their position rides in the low bits where there is room, as sorting numbers is
    four times as fast as sorting indices.
    """
    bits = len(values).bit_length()
    low = values.min()
    if int(values.max() - low) >> (62 - bits):
        return np.argsort(values)
    return np.sort(((values - low) << bits) | np.arange(len(values))) & ((1 << bits) - 1)


@dataclass(frozen=True, kw_only=True)
class _Entries:
    """View rows and the slots they enter; aligned arrays."""

    slot: NDArray[np.int64]
    event: NDArray[np.int64]
    known: NDArray[np.int64]
    row: NDArray[np.uint32]

    def __getitem__(self, chosen: NDArray[np.bool_] | NDArray[np.int64]) -> _Entries:
        return _Entries(
            slot=self.slot[chosen], event=self.event[chosen], known=self.known[chosen], row=self.row[chosen]
        )


def _entries(rows: pl.LazyFrame, codes: pl.DataFrame, slots: _Slots, view: ViewRows, schema: pl.Schema) -> _Entries:
    """The rows that may win, the newest of each slot with those that tie with it."""
    if not len(slots):
        return _concat([])
    place = f"view {view.name}"
    event = to_instant(view.time, schema[view.time], place=place).alias(_EVENT)
    wanted = [*view.keys, event, pl.col(_ROW)]
    first, last = int(slots.times[0]) - view.ttl // _MICROSECOND, int(slots.times[-1])
    near = pl.col(_EVENT).to_physical().is_between(first, last)
    if view.created:
        wanted.insert(-1, to_instant(view.created, schema[view.created], place=place).alias(_KNOWN))
        near &= pl.col(_KNOWN).to_physical() <= last
    narrow = (
        rows.with_row_index(_ROW)
        .select(wanted)
        .filter(near)
        .join(codes.lazy(), on=list(view.keys), how="inner")
        .drop(*view.keys)
        .collect(engine="streaming")
    )
    oldest = slots.oldest(view.ttl)
    with ThreadPoolExecutor(2) as pool:
        parts = list(pool.map(lambda chunk: _enter(chunk, slots, oldest, view), narrow.iter_slices(_CHUNK)))
    return _newest(_concat(parts), len(slots))


def _enter(chunk: pl.DataFrame, slots: _Slots, oldest: NDArray[np.int64], view: ViewRows) -> _Entries:
    """Those of the rows that may win: in reach, and the newest by event time of their slot."""
    event = chunk[_EVENT].to_physical().to_numpy()
    created = chunk[_KNOWN].to_physical().to_numpy() if view.created else event
    order, slot = slots.enter(chunk[_CODE].to_numpy().astype(np.int64), np.maximum(event, created))
    entries = _Entries(slot=slot, event=event[order], known=created[order], row=chunk[_ROW].to_numpy()[order])
    # Later slots of the key are later in time, so a row that is stale where it enters is stale for good.
    entries = entries[entries.event >= oldest[slot]]
    starts = np.flatnonzero(np.diff(entries.slot, prepend=-1))
    if not len(starts):
        return entries
    sizes = np.diff(starts, append=len(entries.slot))
    return entries[entries.event == np.repeat(np.maximum.reduceat(entries.event, starts), sizes)]


def _newest(entries: _Entries, slots: int) -> _Entries:
    """Of each slot, the rows with the newest event time, and of those the ones with the newest known time."""
    for value in ("event", "known"):
        column: NDArray[np.int64] = getattr(entries, value)
        best = np.full(slots, _NEVER, dtype=np.int64)
        np.maximum.at(best, entries.slot, column)
        winning = column == best[entries.slot]
        if not winning.all():
            entries = entries[winning]
    return entries


def _winners(entries: _Entries, slots: _Slots, rows: pl.LazyFrame, view: ViewRows) -> _Entries:
    """One row for each slot that any row enters; full ties go to the greatest values, feature by feature."""
    counts = np.bincount(entries.slot, minlength=len(slots))
    tied = counts[entries.slot] > 1
    if not tied.any():
        return entries
    ties = entries[tied]
    values = _gather(rows, pl.Series(ties.row), view.features)
    ordered = values.with_columns(pl.Series(_CODE, ties.slot)).with_row_index(_ROW)
    chosen = (
        ordered.sort(_CODE, *view.features, nulls_last=False, maintain_order=True)
        .unique(_CODE, keep="last", maintain_order=True)[_ROW]
        .to_numpy()
        .astype(np.int64)
    )
    return _concat([entries[~tied], ties[chosen]])


def _by_event(winners: _Entries, slots: _Slots, view: ViewRows) -> pl.Series:
    """The view row that each event sees, null where there is none in reach."""
    none = len(winners.row)
    rank = np.empty(none, dtype=np.int64)
    rank[np.lexsort((winners.known, winners.event))] = np.arange(none)
    held = np.full(len(slots), -1, dtype=np.int64)
    held[winners.slot] = rank
    # The code comes first in the packed value, so the running maximum starts anew with each key.
    base = slots.code * (none + 1)
    seen = np.maximum.accumulate(base + held + 1) - base - 1 if len(slots) else held
    order = np.empty(none, dtype=np.int64)
    order[rank] = np.arange(none)
    valid = seen >= 0
    index = order[seen[valid]]
    valid[valid] = winners.event[index] >= slots.oldest(view.ttl)[valid]
    row_of_slot = np.full(len(slots) + 1, -1, dtype=np.int64)
    row_of_slot[:-1][seen >= 0] = winners.row[index]
    row_of_slot[:-1][~valid] = -1
    row = pl.Series(_ROW, row_of_slot[slots.of_event])  # no slot is -1: the spare last element
    return row.set(row < 0, None)


def _fetch(rows: pl.LazyFrame, wanted: pl.Series, view: ViewRows) -> pl.DataFrame:
    """The features of the wanted rows, under their full names; null where no row is wanted."""
    out = _gather(rows, wanted, view.features).select(pl.all().name.prefix(f"{view.name}."))
    if view.flag_found:
        out = out.with_columns(wanted.is_not_null().alias(f"{view.name}.__found"))
    return out


def _gather(rows: pl.LazyFrame, index: pl.Series, columns: Sequence[str]) -> pl.DataFrame:
    """Some rows of some columns, holding only a few whole columns at a time."""
    parts = [rows.select(group).collect().select(pl.all().gather(index)) for group in _groups(columns)]
    return pl.concat(parts, how="horizontal")


def _groups(columns: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(columns), _COLUMNS_AT_ONCE):
        yield list(columns[start : start + _COLUMNS_AT_ONCE])


def _concat(parts: Sequence[_Entries]) -> _Entries:
    empty = np.empty(0, dtype=np.int64)
    return _Entries(
        slot=np.concatenate([empty, *(part.slot for part in parts)]),
        event=np.concatenate([empty, *(part.event for part in parts)]),
        known=np.concatenate([empty, *(part.known for part in parts)]),
        row=np.concatenate([empty.astype(np.uint32), *(part.row for part in parts)]),
    )


def _same_keys(events: pl.DataFrame, view: ViewRows, schema: pl.Schema) -> tuple[pl.DataFrame, pl.LazyFrame]:
    """The events' keys and the view's rows, brought to one type per key.

    Raises:
        SourceError: If the types mean different things: text here and numbers there.
    """
    require_columns(view.keys, events.columns, place=f"events, keys of view {view.name}")
    left, right = [], []
    for key in view.keys:
        ours, theirs = events.schema[key], schema[key]
        if ours == theirs:
            left.append(pl.col(key))
            continue
        common = _common_key(ours, theirs)
        if common is None:
            raise SourceError(
                f"the key {key} must have one type, but it is {ours} among the events and {theirs} in the view",
                place=f"view {view.name}",
                remedy="Cast one of them where the data is made, or declare the entity's dtype accordingly.",
            )
        left.append(pl.col(key).cast(common))
        right.append(pl.col(key).cast(common))
    return events.select(left), view.rows.with_columns(right) if right else view.rows


def _common_key(ours: pl.DataType, theirs: pl.DataType) -> pl.DataType | None:
    if ours.is_integer() and theirs.is_integer():
        return pl.Int128() if pl.UInt64 in {ours, theirs} else pl.Int64()
    text = (pl.String, pl.Categorical, pl.Enum)
    return pl.String() if isinstance(ours, text) and isinstance(theirs, text) else None
