"""The script of a replay: who says what, in which step of time. Pure functions of frames.

A step ``[start, end)`` is one breath. First everything is asked whose event time lies in it; then its end is reached;
then everything is told that has become known in ``(start, end]``: outcomes, and rows of feature views. So nothing is
ever told before it was known, and what becomes known within a step is told at its end, too late for the questions of
that step: the step is how far a replay may lag behind life.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

import polars as pl

from everfit.core.clock import to_us
from everfit.core.evidence import ID, KNOWN_AT, LABEL, TIME
from everfit.replay.history import CREATED, EVENT_TIME

_STEP = "__step"
_MICROSECOND = timedelta(microseconds=1)


class Step(NamedTuple):
    """One breath of a replay."""

    start: datetime
    end: datetime
    asked: pl.DataFrame | None
    """As :meth:`everfit.replay.history.History.asked` gives them; ``None`` where there are none."""
    outcomes: pl.DataFrame | None
    """:data:`ID`, :data:`LABEL` and :data:`KNOWN_AT`; ``None`` where there are none."""
    arrived: Mapping[str, pl.DataFrame]
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
    start: datetime,
    end: datetime,
    length: timedelta,
) -> Iterator[Step]:
    """A stretch of history, step by step, the empty ones as well; the last one may be shorter.

    Args:
        asked: Event times in ``[start, end)``, in order.
        outcomes: As :func:`outcomes_of`, due in ``(start, end]``.
        arrived: Of each view its keys, and the rows that arrived in ``(start, end]``.
        start: Where it begins.
        end: Where it ends.
        length: Of a step.
    """
    asked_in = _parted(asked, pl.col(TIME), start, length)
    # What was known when it was asked is told in the step of its question.
    due = pl.max_horizontal(pl.col(KNOWN_AT) - _MICROSECOND, TIME)
    outcomes_in = _parted(outcomes, due, start, length)
    arrived_in = {view: _newest(rows, keys, start, length) for view, (keys, rows) in arrived.items()}
    for number in range(-((start - end) // length)):
        yield Step(
            start=start + number * length,
            end=min(start + (number + 1) * length, end),
            asked=asked_in.get(number),
            outcomes=outcomes_in.get(number),
            arrived={view: parts[number] for view, parts in arrived_in.items() if number in parts},
        )


def _newest(rows: pl.DataFrame, keys: Sequence[str], start: datetime, length: timedelta) -> dict[int, pl.DataFrame]:
    """Each entity's newest row of each step: nobody could ask between it and the ones before."""
    arrival = pl.max_horizontal(EVENT_TIME, CREATED) - _MICROSECOND
    return {
        number: part.sort(EVENT_TIME, CREATED, maintain_order=True).unique(keys, keep="last", maintain_order=True)
        for number, part in _parted(rows, arrival, start, length).items()
    }


def _parted(rows: pl.DataFrame, at: pl.Expr, start: datetime, length: timedelta) -> dict[int, pl.DataFrame]:
    number = (at.to_physical() - to_us(start)) // (length // _MICROSECOND)
    parts = rows.with_columns(number.alias(_STEP)).partition_by(
        _STEP, as_dict=True, maintain_order=True, include_key=False
    )
    return {int(key[0]): part for key, part in parts.items()}
