"""Statements over the query of a source: ``SELECT columns FROM (query) AS source WHERE time >= … AND time < …``.

The range is compared in PostgreSQL and SQLite; rows of other databases are filtered once they were read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

import polars as pl
import sqlalchemy as sa

from everfit.core.errors import SourceError
from everfit.core.instants import EARLIEST, END
from everfit.store.sql_types import SqlColumn, column_of_values, sqlite_column
from everfit.store.time_range import TimeRange

_SAMPLE_ROWS = 1_000
_VIEW = "everfit_source"
_DAY = timedelta(days=1)


@dataclass(frozen=True, kw_only=True)
class SqlQuery:
    """A query of a database."""

    url: str
    text: str
    place: str
    """Named by errors."""
    times: frozenset[str] = frozenset()
    """Columns that the source names as times."""
    unreadable: Callable[[Exception], SourceError] = field(compare=False)
    """Makes the error of a query that fails."""


def select(query: SqlQuery, columns: Sequence[Any]) -> sa.Select[Any]:
    """Return a statement that selects columns of a query."""
    # A comment may end the query.
    text = f"{query.text.strip().rstrip(';')}\n"
    return sa.select(*columns).select_from(sa.text(text).columns().subquery("source"))


def describe(connection: sa.Connection, query: SqlQuery) -> list[tuple[str, Any]]:
    """Return the name of each column, and its type: PostgreSQL's identifier, SQLite's declaration, or nothing."""
    result = connection.execute(select(query, [sa.literal_column("*")]).limit(0))
    described = [(str(name), kind) for name, kind, *_ in result.cursor.description] if result.cursor else []
    result.close()
    if connection.dialect.name == "postgresql":
        return described
    if connection.dialect.name != "sqlite":
        return [(name, "") for name, _ in described]
    declared = _declared(connection, query)
    return [(name, declared.get(name, "")) for name, _ in described]


def _declared(connection: sa.Connection, query: SqlQuery) -> dict[str, str]:
    """Return the declared types of the columns of an SQLite query, which a view of it inherits from its tables."""
    connection.exec_driver_sql("PRAGMA query_only = OFF")
    connection.execute(sa.text(f"CREATE TEMP VIEW {_VIEW} AS {query.text.strip().rstrip(';')}"))
    found = connection.exec_driver_sql(f"PRAGMA temp.table_info({_VIEW})").fetchall()
    connection.exec_driver_sql(f"DROP VIEW temp.{_VIEW}")
    connection.exec_driver_sql("PRAGMA query_only = ON")
    return {name: declared for _, name, declared, *_ in found}


def inferred(connection: sa.Connection, query: SqlQuery, described: Sequence[tuple[str, str]]) -> Iterator[SqlColumn]:
    """Yield the columns of a query in the types of what is declared and of its first values; reads these.

    Raises :class:`SourceError` if the values of a column are not of one type.
    """
    names: list[Any] = [sa.column(name) for name, _ in described]
    rows = connection.execute(select(query, names).limit(_SAMPLE_ROWS)).fetchall()
    for number, (name, declared) in enumerate(described):
        values = [row[number] for row in rows]
        if all(value is None for value in values) and len(rows) == _SAMPLE_ROWS:
            some = select(query, [sa.column(name)]).where(sa.column(name).is_not(None)).limit(1)
            values = list(connection.execute(some).scalars())
        if connection.dialect.name == "sqlite":
            yield sqlite_column(name, declared, values, is_time=name in query.times, place=query.place)
        else:
            yield column_of_values(name, values, is_time=name in query.times, place=query.place)


def selected(column: SqlColumn) -> sa.ColumnElement[Any]:
    """Return the expression that selects a column in its form."""
    own: sa.ColumnElement[Any] = sa.column(column.name)
    if column.form == "utc":
        own = sa.func.timezone("UTC", own)
    elif column.form in {"number", "text"}:
        own = sa.cast(own, sa.Double() if column.form == "number" else sa.Text())
    return own.label(column.name)


def in_range(connection: sa.Connection, by: SqlColumn, within: TimeRange) -> list[sa.ColumnElement[bool]]:
    """Return conditions that every row of a range meets, in a form that an index can answer."""
    own: sa.ColumnClause[Any] = sa.column(by.name)
    name = connection.dialect.name
    bounds: list[sa.ColumnElement[bool]] = []
    if name == "postgresql":
        first, end = within.dates() if by.dtype == pl.Date else (within.start, within.end)
        kind = sa.Date() if by.dtype == pl.Date else sa.DateTime(timezone=True)
        bounds += [] if first is None else [own >= sa.bindparam(None, first, type_=kind)]
        bounds += [] if end is None else [own < sa.bindparam(None, end, type_=kind)]
    elif name == "sqlite" and by.form == "iso":
        bounds += _iso_bounds(own, within)
    if not bounds and not within.with_nulls and (name == "postgresql" or by.form == "iso"):
        bounds.append(own.is_not(None))
    return [sa.or_(sa.and_(*bounds), own.is_(None))] if bounds and within.with_nulls else bounds


def _iso_bounds(own: Any, within: TimeRange) -> list[sa.ColumnElement[bool]]:
    """Bounds of ISO 8601 text with any zone: its local date, which sorts and is within a day of UTC's, then the instant
    as SQLite understands it, to a second.
    """
    bounds: list[sa.ColumnElement[bool]] = []
    julian = sa.func.julianday(own)
    for instant, is_start in ((within.start, True), (within.end, False)):
        if instant is None or not EARLIEST <= instant < END:
            continue
        local = own >= str((instant - _DAY).date()) if is_start else own < str((instant + 2 * _DAY).date())
        exact = julian >= _julian(instant) - _SECOND if is_start else julian <= _julian(instant) + _SECOND
        # SQLite knows fewer forms of ISO 8601 than Polars does.
        bounds += [local, sa.or_(exact, julian.is_(None))]
    return bounds


_SECOND = 1 / 86_400
_EPOCH_JULIAN = 2_440_587.5


def _julian(instant: datetime) -> float:
    return _EPOCH_JULIAN + instant.timestamp() / 86_400


_PROBE = "2024-01-01"


def has_index(connection: sa.Connection, query: SqlQuery, column: SqlColumn) -> bool | None:
    """Return whether the planner finds a range of a time column by an index; ``None`` for other databases."""
    own = connection.dialect.identifier_preparer.quote(column.name)
    of_range = f"SELECT 1 FROM (\n{query.text.strip().rstrip(';')}\n) AS source WHERE {own} >= "  # noqa: S608 - the query is the user's own
    if connection.dialect.name == "sqlite":
        plan = connection.execute(sa.text(f"EXPLAIN QUERY PLAN {of_range} '{_PROBE}'")).fetchall()
        return any(str(row[3]).startswith("SEARCH") and ">?" in str(row[3]) for row in plan)
    if connection.dialect.name != "postgresql":
        return None
    # The planner rightly reads small tables whole.
    connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
    kind = "DATE" if column.dtype == pl.Date else "TIMESTAMPTZ"
    lines = connection.execute(sa.text(f"EXPLAIN {of_range} {kind} '{_PROBE}'")).scalars()
    return any("Index Cond" in line and _PROBE in line for line in lines)


def newest_time(connection: sa.Connection, query: SqlQuery, column: SqlColumn, within: TimeRange) -> tuple[Any, bool]:
    """Return the newest instant, and ``True``, or an instant that it is not before, and ``False``."""
    own: sa.ColumnClause[Any] = sa.column(column.name)
    bounds = in_range(connection, column, within)
    if connection.dialect.name == "postgresql":
        return connection.execute(select(query, [sa.func.max(own)]).where(*bounds)).scalar(), True
    if connection.dialect.name != "sqlite" or column.form != "iso":
        return None, False
    # The greatest text is of the newest local date; a later instant is at most two days before it.
    text = connection.execute(select(query, [sa.func.max(own)]).where(*bounds)).scalar()
    if text is None:
        return None, True
    cut = (date.fromisoformat(str(text)[:10]) - 2 * _DAY).isoformat()
    julian = connection.execute(
        select(query, [sa.func.max(sa.func.julianday(own))]).where(own >= cut, *bounds)
    ).scalar()
    if julian is None:
        return None, False
    return datetime.fromtimestamp((julian - _EPOCH_JULIAN) * 86_400, UTC) - timedelta(seconds=3), False
