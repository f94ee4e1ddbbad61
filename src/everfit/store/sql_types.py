"""Types of the columns of an SQL query, the same whichever rows are read.

PostgreSQL names the type of every column. SQLite has types of values, not of columns: the declared type decides, and
some values where it leaves a choice. Other databases are known by some of their values. A value that is read later and
does not fit is an error, never another type.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

import polars as pl

from everfit.core.errors import SourceError
from everfit.store.timestamps import INSTANT

_ISO_INSTANT = r"^\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)$"
_NAIVE = pl.Datetime("us")

SqlForm = Literal["plain", "number", "text", "utc", "iso"]
"""Selection of a column: as it is, cast to double precision, cast to text, as naive UTC, or as ISO 8601 text."""


@dataclass(frozen=True, kw_only=True)
class SqlColumn:
    """A column of a query: its type in frames, and the form in which the database sends it."""

    name: str
    dtype: pl.DataType
    form: SqlForm = "plain"
    is_settled: bool = True
    """``False`` while the column has no value that its type could be known by."""


_POSTGRES: dict[int, pl.DataType] = {
    16: pl.Boolean(),
    17: pl.Binary(),
    **dict.fromkeys((20, 21, 23, 26), pl.Int64()),
    **dict.fromkeys((700, 701), pl.Float64()),
    **dict.fromkeys((18, 19, 25, 1042, 1043), pl.String()),
    1082: pl.Date(),
    1083: pl.Time(),
    1114: _NAIVE,
    1186: pl.Duration("us"),
    1000: pl.List(pl.Boolean),
    **dict.fromkeys((1005, 1007, 1016), pl.List(pl.Int64)),
    **dict.fromkeys((1021, 1022), pl.List(pl.Float64)),
    **dict.fromkeys((1009, 1015), pl.List(pl.String)),
}
"""By the object identifier of a built-in type (pg_type.dat)."""
_NUMERIC, _TIMESTAMPTZ = 1700, 1184


def postgres_column(name: str, oid: int) -> SqlColumn:
    """Return a column of PostgreSQL by the identifier of its type; types without a counterpart are read as text."""
    if oid == _NUMERIC:
        return SqlColumn(name=name, dtype=pl.Float64(), form="number")
    if oid == _TIMESTAMPTZ:
        return SqlColumn(name=name, dtype=INSTANT, form="utc")
    return SqlColumn(name=name, dtype=_POSTGRES.get(oid, pl.String()), form="plain" if oid in _POSTGRES else "text")


def sqlite_column(name: str, declared: str, values: Sequence[object], *, is_time: bool, place: str) -> SqlColumn:
    """Return a column of SQLite by its declared type and some of its values.

    Args:
        name: Name of the column.
        declared: The type in ``CREATE TABLE``; empty for an expression.
        values: Values of some rows.
        is_time: The source names it as a time.
        place: Named by errors.

    Raises :class:`SourceError` if the values are not of one type.
    """
    kinds = set(map(type, values)) - {type(None)}
    affinity = _affinity(declared)
    if kinds <= {int, float} and affinity in {"INTEGER", "REAL", "NUMERIC"}:
        is_whole = affinity == "INTEGER" or "BOOL" in declared.upper()
        return SqlColumn(name=name, dtype=pl.Int64() if is_whole and float not in kinds else pl.Float64())
    if not kinds and affinity == "BLOB":
        return SqlColumn(name=name, dtype=pl.Binary())
    return column_of_values(name, values, is_time=is_time, place=place)


def column_of_values(name: str, values: Sequence[object], *, is_time: bool, place: str) -> SqlColumn:
    """Return a column by some of its values; text that is an ISO 8601 instant with a zone in each of them is one.

    Raises :class:`SourceError` if the values are not of one type.
    """
    kinds = set(map(type, values)) - {type(None)}
    if not kinds:
        if is_time:
            return SqlColumn(name=name, dtype=INSTANT, form="iso", is_settled=False)
        return SqlColumn(name=name, dtype=pl.String(), is_settled=False)
    if kinds == {str} and pl.Series(values, dtype=pl.String).str.contains(_ISO_INSTANT).all():
        return SqlColumn(name=name, dtype=INSTANT, form="iso")
    for types, dtype in _OF_VALUES:
        if kinds <= types:
            return SqlColumn(name=name, dtype=_zoned(values) if dtype == _NAIVE else dtype)
    found = ", ".join(sorted(kind.__name__ for kind in kinds))
    raise SourceError(f"the column {name} must have values of one type", value=found, remedy=_cast(name), place=place)


_OF_VALUES: list[tuple[set[type], pl.DataType]] = [
    ({bool}, pl.Boolean()),
    ({int, bool}, pl.Int64()),
    ({int, float, bool, Decimal}, pl.Float64()),
    ({str}, pl.String()),
    ({bytes}, pl.Binary()),
    ({dt.datetime}, _NAIVE),
    ({dt.date}, pl.Date()),
    ({dt.time}, pl.Time()),
    ({dt.timedelta}, pl.Duration("us")),
]


def column_values(column: SqlColumn, values: Sequence[object], *, place: str) -> pl.Series:
    """Return values that were read, in the column's type.

    Raises :class:`SourceError` naming the column and the first value that is not of its type.
    """
    stored = pl.String() if column.form == "iso" else _NAIVE if column.form == "utc" else column.dtype
    if stored == pl.Float64 and any(isinstance(value, Decimal) for value in values):
        values = [float(value) if isinstance(value, Decimal) else value for value in values]
    try:
        found = pl.Series(column.name, values, dtype=stored)
    except (TypeError, OverflowError) as error:
        raise _other_type(column, values, stored, place) from error
    if column.form == "utc":
        return found.dt.replace_time_zone("UTC")
    return _instants(found, place) if column.form == "iso" else found


def _instants(text: pl.Series, place: str) -> pl.Series:
    wrong = text.filter(~text.str.contains(_ISO_INSTANT))
    if len(wrong):
        rule = f"the column {text.name} must hold instants as ISO 8601 with a zone in every row"
        remedy = "Correct the row, for example to 2024-03-01T08:30:00Z, or leave it out in the query."
        raise SourceError(rule, value=wrong[0], remedy=remedy, place=place)
    if text.null_count() == len(text):
        return text.cast(INSTANT)
    return text.str.to_datetime(time_unit="us", time_zone="UTC")


def _other_type(column: SqlColumn, values: Sequence[object], stored: pl.DataType, place: str) -> SourceError:
    value = next((value for value in values if not _fits(value, stored)), None)
    rule = f"the column {column.name} must hold values of the type {column.dtype} in every row"
    return SourceError(rule, value=value, remedy=_cast(column.name), place=place)


def _fits(value: object, dtype: pl.DataType) -> bool:
    try:
        pl.Series([value], dtype=dtype)
    except (TypeError, OverflowError):
        return False
    return True


def _cast(name: str) -> str:
    return f"Cast it in the query: CAST({name} AS REAL) AS {name} for numbers, CAST({name} AS TEXT) AS {name} for text."


def _affinity(declared: str) -> str:
    """Return the affinity of a declared type (https://www.sqlite.org/datatype3.html, 3.1); empty for an expression."""
    name = declared.upper()
    if not name:
        return ""
    for affinity, parts in (("INTEGER", ["INT"]), ("TEXT", ["CHAR", "CLOB", "TEXT"]), ("BLOB", ["BLOB"])):
        if any(part in name for part in parts):
            return affinity
    return "REAL" if any(part in name for part in ("REAL", "FLOA", "DOUB")) else _numeric(name)


def _numeric(name: str) -> str:
    """Dates and times have numeric affinity as well, but are text as a rule."""
    return "" if any(part in name for part in ("DATE", "TIME")) else "NUMERIC"


def _zoned(values: Sequence[object]) -> pl.DataType:
    aware = all(value.tzinfo is not None for value in values if isinstance(value, dt.datetime))
    return INSTANT if aware else _NAIVE
