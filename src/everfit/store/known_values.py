"""Point-in-time view of a source: its rows by their known time, values by the known time of their column."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import polars as pl

from everfit.definitions.source import Source
from everfit.store.timestamps import instant_literal, to_instant


def known_rows(rows: pl.LazyFrame, source: Source, as_of: datetime) -> pl.LazyFrame:
    """The rows that were known at an instant, with the values that were: others are null.

    A row is known at its ``created``, or at its event time if the source has none.
    """
    moment = instant_literal(as_of)
    known = instant_of(rows, source.created or source.timestamp)
    return hide_unknown(rows.filter(known <= moment), source, at=moment)


def known_columns(source: Source) -> list[str]:
    """The columns of a source that these functions look at: known times, and values that are known later."""
    return [*([source.created] if source.created else []), *source.known_at, *source.known_at.values()]


def hide_unknown(rows: pl.LazyFrame, source: Source, *, at: pl.Expr) -> pl.LazyFrame:
    """Null for each value that was not yet known, by the source's ``known_at``, when its row is looked at.

    Args:
        at: An aware instant; where it is null, nothing is known.
    """
    return rows.with_columns(
        pl.when(instant_of(rows, known_at) <= at).then(pl.col(column)).alias(column)
        for column, known_at in source.known_at.items()
    )


def count_unknown(rows: pl.LazyFrame, source: Source, columns: Iterable[str], *, at: pl.Expr) -> dict[str, int]:
    """Count the values of some columns that :func:`hide_unknown` would hide; columns without any are left out."""
    hidden = [
        (pl.col(name).is_not_null() & ~(instant_of(rows, source.known_at[name]) <= at).fill_null(value=False)).sum()
        for name in columns
        if name in source.known_at
    ]
    counts = rows.select(hidden).collect(engine="streaming").row(0, named=True) if hidden else {}
    return {name: count for name, count in counts.items() if count}


def latest_known(rows: pl.LazyFrame, source: Source, known: pl.Expr, columns: Iterable[str]) -> pl.Expr:
    """The time at which all of some columns are known, and not before ``known``; null while one is not."""
    later = [instant_of(rows, source.known_at[name]) for name in columns if name in source.known_at]
    if not later:
        return known
    times = [known, *later]
    return pl.when(pl.all_horizontal(time.is_not_null() for time in times)).then(pl.max_horizontal(times))


def instant_of(rows: pl.LazyFrame, column: str) -> pl.Expr:
    """A time column as ``Datetime("us", "UTC")``.

    Raises :class:`TimestampError` if it holds neither aware instants nor dates.
    """
    return to_instant(column, rows.collect_schema()[column], place=column)
