"""The script of a replay: who says what, in which step of time. Pure functions of frames.

A step ``[start, end)`` is one breath. First everything is asked whose event time lies in it; then its end is reached;
then everything is told that has become known in ``(start, end]``: outcomes, and rows of feature views. So nothing is
ever told before it was known, and what becomes known within a step is told at its end, too late for the questions of
that step: the step is how far a replay may lag behind life.
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

_STEP = "__step"
_MICROSECOND = timedelta(microseconds=1)
_T = TypeVar("_T")
Row = dict[str, Any]


class Question(NamedTuple):
    """What a caller asks."""

    id: str
    at: datetime
    row: Row
    """The request's fields."""


class Step(NamedTuple):
    """One breath of a replay, in plain values as they are sent."""

    start: datetime
    end: datetime
    asked: Sequence[Question]
    """In the order of time."""
    outcomes: Sequence[Row]
    """``id``, ``value`` and ``known_at``."""
    arrived: Mapping[str, Sequence[Row]]
    """Of each view with news, every entity's newest row."""


def outcomes_of(asked: pl.DataFrame) -> pl.DataFrame:
    """What became of the questions of which anything ever became known: :data:`ID`, :data:`TIME`, :data:`LABEL`,
    :data:`KNOWN_AT`.
    """
    return asked.select(ID, TIME, LABEL, KNOWN_AT).drop_nulls(LABEL)


def due_by(outcomes: pl.DataFrame, instant: datetime) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The outcomes that can be told by an instant, and those that cannot yet; none before its question."""
    is_due = pl.max_horizontal(KNOWN_AT, TIME) <= instant
    return outcomes.filter(is_due), outcomes.filter(~is_due)


def steps(
    asked: pl.DataFrame,
    outcomes: pl.DataFrame,
    arrived: Mapping[str, tuple[Sequence[str], pl.DataFrame]],
    *,
    fields: Sequence[str],
    start: datetime,
    end: datetime,
    length: timedelta,
) -> Iterator[Step]:
    """A stretch of history, step by step, the empty ones as well; the last one may be shorter.

    Args:
        asked: Event times in ``[start, end)``, in order; :data:`ID`, :data:`TIME` and the request's fields.
        outcomes: As :func:`outcomes_of`, due in ``(start, end]``.
        arrived: Of each view its keys, and the rows that arrived in ``(start, end]``.
        fields: The request's.
        start: Where it begins.
        end: Where it ends.
        length: Of a step.
    """
    # All at once: on the few rows of a step, a data frame costs more than the service does.
    questions = map(Question, asked[ID].to_list(), asked[TIME].to_list(), asked.select(fields).to_dicts())
    asked_in = _parted(questions, asked.select(_number(pl.col(TIME), start, length)))
    # What was known when it was asked is told in the step of its question.
    due = pl.max_horizontal(pl.col(KNOWN_AT) - _MICROSECOND, TIME)
    told = outcomes.select(id=ID, value=LABEL, known_at=KNOWN_AT).to_dicts()
    outcomes_in = _parted(told, outcomes.select(_number(due, start, length)))
    arrived_in = {view: _newest(rows, keys, start, length) for view, (keys, rows) in arrived.items()}
    for number in range(-((start - end) // length)):
        yield Step(
            start=start + number * length,
            end=min(start + (number + 1) * length, end),
            asked=asked_in.get(number, ()),
            outcomes=outcomes_in.get(number, ()),
            arrived={view: parts[number] for view, parts in arrived_in.items() if number in parts},
        )


def _newest(rows: pl.DataFrame, keys: Sequence[str], start: datetime, length: timedelta) -> dict[int, list[Row]]:
    """Each entity's newest row of each step: nobody could ask between it and the ones before."""
    arrival = pl.max_horizontal(EVENT_TIME, CREATED) - _MICROSECOND
    newest = (
        rows.with_columns(_number(arrival, start, length))
        .sort(EVENT_TIME, CREATED, maintain_order=True)
        .unique([_STEP, *keys], keep="last", maintain_order=True)
    )
    return _parted(newest.drop(_STEP).to_dicts(), newest.select(_STEP))


def _number(at: pl.Expr, start: datetime, length: timedelta) -> pl.Expr:
    """The number of the step that an instant lies in."""
    return ((at.to_physical() - to_us(start)) // (length // _MICROSECOND)).alias(_STEP)


def _parted(rows: Iterable[_T], numbers: pl.DataFrame) -> dict[int, list[_T]]:
    parts: dict[int, list[_T]] = {}
    for number, row in zip(numbers[_STEP].to_list(), rows, strict=True):
        parts.setdefault(number, []).append(row)
    return parts
