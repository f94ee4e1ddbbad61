"""Half-open range of instants by which a source is read."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import polars as pl

from everfit.core.errors import TimestampError
from everfit.store.timestamps import INSTANT, instant_literal, to_instant

_SLACK = timedelta(milliseconds=1)
"""The coarsest unit of a Polars ``Datetime``."""
_YEARS = (1700, 2250)
"""Nanoseconds in 64 bits hold the years 1677 to 2262."""


@dataclass(frozen=True)
class TimeRange:
    """Instants in ``[start, end)``, kept in UTC; a side that is ``None`` is open.

    Raises :class:`TimestampError` if a side has no time zone.
    """

    start: datetime | None
    end: datetime | None
    with_nulls: bool = False
    """Include rows without a time."""

    def __post_init__(self) -> None:
        for name, instant in (("start", self.start), ("end", self.end)):
            if instant is None:
                continue
            if instant.tzinfo is None:
                raise TimestampError(f"{name} must have a time zone", value=instant, remedy="Give it tzinfo=UTC.")
            object.__setattr__(self, name, instant.astimezone(UTC))

    @classmethod
    def until(cls, last: datetime, start: datetime | None = None) -> TimeRange:
        """Return the range that ends with an instant, which is in it: frames count in microseconds."""
        return cls(start, last + timedelta(microseconds=1))

    def dates(self) -> tuple[date | None, date | None]:
        """Return the half-open range of the dates whose midnights in UTC are in the range."""
        return _date_from(self.start), _date_from(self.end)

    def condition(self, column: str, dtype: pl.DataType) -> pl.Expr:
        """Expression: true if the time of a row, an aware instant or a date, is in the range; never null.

        It compares the column as it is stored, so that the statistics of Parquet files apply. Raises
        :class:`TimestampError` if the column holds neither aware instants nor dates.
        """
        time = to_instant(column, dtype, place=column)
        bounds: list[pl.Expr] = [pl.col(column).is_not_null()]
        if dtype == pl.Date:
            first, end = self.dates()
            bounds += [pl.col(column) >= pl.lit(first, pl.Date)] if first else []
            bounds += [pl.col(column) < pl.lit(end, pl.Date)] if end else []
        else:
            bounds += [] if dtype == INSTANT else self._stored_bounds(column, dtype)
            bounds += [time >= instant_literal(self.start)] if self.start else []
            bounds += [time < instant_literal(self.end)] if self.end else []
        inside = pl.all_horizontal(bounds)
        return inside | pl.col(column).is_null() if self.with_nulls else inside

    def _stored_bounds(self, column: str, dtype: pl.DataType) -> list[pl.Expr]:
        """Bounds in the column's own unit and zone that no row of the range violates."""
        assert isinstance(dtype, pl.Datetime)
        given = [_shifted(self.start, -_SLACK), _shifted(self.end, _SLACK)]
        first, end = (
            None
            if bound is None
            else instant_literal(bound)
            .dt.convert_time_zone(dtype.time_zone or "UTC")
            .dt.cast_time_unit(dtype.time_unit)
            for bound in given
        )
        own = pl.col(column)
        return [*([] if first is None else [own >= first]), *([] if end is None else [own <= end])]


def _shifted(instant: datetime | None, by: timedelta) -> datetime | None:
    return instant + by if instant is not None and _YEARS[0] <= instant.year < _YEARS[1] else None


def _date_from(instant: datetime | None) -> date | None:
    """Return the first date whose midnight is not before an instant."""
    if instant is None:
        return None
    midnight = instant.replace(hour=0, minute=0, second=0, microsecond=0)
    return instant.date() if instant == midnight else instant.date() + timedelta(days=1)
