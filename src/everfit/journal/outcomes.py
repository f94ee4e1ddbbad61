"""What became of predictions, as it was known at an instant: pure functions of frames."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import polars as pl

from everfit.core.errors import TimestampError
from everfit.journal.prediction_rows import REQUEST
from everfit.store.lake import PLACE, SEGMENT
from everfit.store.reader import require_columns
from everfit.store.timestamps import INSTANT

OUTCOME, OUTCOME_KNOWN_AT = "outcome", "outcome_known_at"
"""The columns that are added to predictions."""


def latest_outcomes(outcomes: pl.LazyFrame, as_of: datetime) -> pl.LazyFrame:
    """The outcome of every id, as it was known.

    Of several reports of an id the last recorded holds. If that took the outcome back, there is none.

    Args:
        outcomes: Columns as :data:`everfit.journal.outcome_rows.BASE`.
        as_of: Nothing recorded or known later is used; aware.

    Returns:
        ``id``, ``value``, ``known_at`` and ``recorded_at``; every id once at most.

    Raises:
        TimestampError: If ``as_of`` has no time zone.
    """
    moment = _moment(as_of)
    return (
        outcomes.filter(pl.col("recorded_at") <= moment, pl.col("known_at") <= moment)
        .sort("recorded_at", SEGMENT, PLACE)
        .unique("id", keep="last", maintain_order=True)
        .filter(pl.col("value").is_not_null())
        .select("id", "value", "known_at", "recorded_at")
    )


def join_outcomes(predictions: pl.LazyFrame, outcomes: pl.LazyFrame, as_of: datetime) -> pl.LazyFrame:
    """The predictions that had been made, with their outcomes as they were known.

    An id that was answered twice, as when a client asks again because it did not hear the answer, counts once for each
    route: by its first answer.

    Args:
        predictions: Columns as :data:`everfit.journal.prediction_rows.BASE`, and any others.
        outcomes: Columns as :data:`everfit.journal.outcome_rows.BASE`.
        as_of: Nothing recorded or known later is used; aware.

    Returns:
        The predictions' columns, ``outcome`` and ``outcome_known_at``; null where none was known.

    Raises:
        TimestampError: If ``as_of`` has no time zone.
    """
    known = latest_outcomes(outcomes, as_of).select(
        "id", pl.col("value").alias(OUTCOME), pl.col("known_at").alias(OUTCOME_KNOWN_AT)
    )
    return first_answers(predictions, as_of).join(known, on="id", how="left")


def join_labels(
    predictions: pl.LazyFrame, labels: pl.LazyFrame, *, keys: Sequence[str] = (), as_of: datetime
) -> pl.LazyFrame:
    """The predictions that had been made, with their outcomes from a label source.

    Of several labels of one event the last that became known holds.

    Args:
        predictions: As for :func:`join_outcomes`.
        labels: ``value`` and ``known_at``, and either ``id``, or the keys and ``time``.
        keys: Request fields that, together with the event time, name an event; by default its id does.
        as_of: Nothing recorded or known later is used; aware.

    Returns:
        As :func:`join_outcomes`; ``outcome`` has the type of ``value``.

    Raises:
        TimestampError: If ``as_of`` has no time zone.
        SourceError: If a column is missing.
    """
    answers = first_answers(predictions, as_of)
    there = answers.collect_schema()
    event = {f"{REQUEST}{key}": key for key in keys} | {"event_time": "time"} if keys else {"id": "id"}
    require_columns(event, there, place="predictions")
    require_columns([*event.values(), "value", "known_at"], labels.collect_schema(), place="labels")
    known = (
        labels.filter(pl.col("known_at") <= _moment(as_of))
        .select(
            *(pl.col(theirs).cast(there[ours]).alias(ours) for ours, theirs in event.items()),
            pl.col("value").alias(OUTCOME),
            pl.col("known_at").cast(INSTANT).alias(OUTCOME_KNOWN_AT),
        )
        .sort(OUTCOME_KNOWN_AT, OUTCOME)
        .unique(list(event), keep="last", maintain_order=True)
        .filter(pl.col(OUTCOME).is_not_null())
    )
    return answers.join(known, on=list(event), how="left")


def first_answers(predictions: pl.LazyFrame, as_of: datetime) -> pl.LazyFrame:
    """The predictions that had been made; an id that was answered twice counts once for each route, by the first.

    Args:
        predictions: Columns as :data:`everfit.journal.prediction_rows.BASE`, and any others.
        as_of: Nothing recorded later is used; aware.
    """
    return (
        predictions.filter(pl.col("recorded_at") <= _moment(as_of))
        .sort("recorded_at", SEGMENT, PLACE, "row")
        .unique(["id", "route"], keep="first", maintain_order=True)
    )


def _moment(as_of: datetime) -> pl.Expr:
    if as_of.tzinfo is None:
        raise TimestampError("as_of must have a time zone", value=as_of, remedy="Give it tzinfo=UTC.")
    return pl.lit(as_of, dtype=INSTANT)
