"""Schedule of a replay: what is sent in which slice of time. Pure functions of frames.

In a slice ``[start, end)``, first all requests with event times in it are sent; then the clock reaches its end; then
everything is sent that became known in ``(start, end]``: outcomes, and rows of feature views. So nothing is sent before
it was known, and what became known within a slice is sent at its end, after the requests of the slice: the length of a
slice is the most that a replay lags behind reality.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple, TypeVar

import polars as pl

from everfit.core.clock import to_us
from everfit.core.columns import KNOWN_AT, LABEL, TIME
from everfit.core.evidence import ID
from everfit.replay.history import CREATED, EVENT_TIME

_SLICE = "__slice"
_MICROSECOND = timedelta(microseconds=1)
_T = TypeVar("_T")
Row = dict[str, Any]


class ReplayRequest(NamedTuple):
    """One request for a prediction."""

    id: str
    at: datetime
    row: Row
    """The request's fields."""


class Slice(NamedTuple):
    """One slice of a replay, in plain values as they are sent."""

    start: datetime
    end: datetime
    requests: Sequence[ReplayRequest]
    """In the order of time."""
    outcomes: Sequence[Row]
    """``id``, ``value`` and ``known_at``."""
    arrived: Mapping[str, Sequence[Row]]
    """By view, the newest row of each entity."""


def outcomes_of(events: pl.DataFrame) -> pl.DataFrame:
    """Return the outcomes of labelled events: :data:`ID`, :data:`TIME`, :data:`LABEL`, :data:`KNOWN_AT`."""
    return events.select(ID, TIME, LABEL, KNOWN_AT).drop_nulls(LABEL)


def due_by(outcomes: pl.DataFrame, instant: datetime) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Split outcomes into those that can be sent by an instant and the later ones; none is sent before its event."""
    is_due = pl.max_horizontal(KNOWN_AT, TIME) <= instant
    return outcomes.filter(is_due), outcomes.filter(~is_due)


def slices(
    events: pl.DataFrame,
    outcomes: pl.DataFrame,
    arrived: Mapping[str, tuple[Sequence[str], pl.DataFrame]],
    *,
    fields: Sequence[str],
    start: datetime,
    end: datetime,
    length: timedelta,
) -> Iterator[Slice]:
    """Yield the slices of a time range, empty ones included; the last one may be shorter.

    ``events`` are those in ``[start, end)``, in order: :data:`ID`, :data:`TIME` and the request fields. ``outcomes``,
    as of :func:`outcomes_of`, are due in ``(start, end]``. ``arrived`` has by view its keys, and the rows that arrived
    in ``(start, end]``.
    """
    # All slices at once: for the few rows of one, a data frame costs more than the service does.
    requests = map(ReplayRequest, events[ID].to_list(), events[TIME].to_list(), events.select(fields).to_dicts())
    requests_in = _parted(requests, events.select(_number(pl.col(TIME), start, length)))
    # An outcome that was known at its event time is sent in the slice of its event.
    due = pl.max_horizontal(pl.col(KNOWN_AT) - _MICROSECOND, TIME)
    reports = outcomes.select(id=ID, value=LABEL, known_at=KNOWN_AT).to_dicts()
    outcomes_in = _parted(reports, outcomes.select(_number(due, start, length)))
    arrived_in = {view: _newest(rows, keys, start, length) for view, (keys, rows) in arrived.items()}
    for number in range(-((start - end) // length)):
        yield Slice(
            start=start + number * length,
            end=min(start + (number + 1) * length, end),
            requests=requests_in.get(number, ()),
            outcomes=outcomes_in.get(number, ()),
            arrived={view: parts[number] for view, parts in arrived_in.items() if number in parts},
        )


def _newest(rows: pl.DataFrame, keys: Sequence[str], start: datetime, length: timedelta) -> dict[int, list[Row]]:
    """Return the newest row of each entity in each slice: no request is sent between it and the earlier ones."""
    arrival = pl.max_horizontal(EVENT_TIME, CREATED) - _MICROSECOND
    newest = (
        rows.with_columns(_number(arrival, start, length))
        .sort(EVENT_TIME, CREATED, maintain_order=True)
        .unique([_SLICE, *keys], keep="last", maintain_order=True)
    )
    return _parted(newest.drop(_SLICE).to_dicts(), newest.select(_SLICE))


def _number(at: pl.Expr, start: datetime, length: timedelta) -> pl.Expr:
    """Return the number of the slice that an instant is in."""
    return ((at.to_physical() - to_us(start)) // (length // _MICROSECOND)).alias(_SLICE)


def _parted(rows: Iterable[_T], numbers: pl.DataFrame) -> dict[int, list[_T]]:
    parts: dict[int, list[_T]] = {}
    for number, row in zip(numbers[_SLICE].to_list(), rows, strict=True):
        parts.setdefault(number, []).append(row)
    return parts
