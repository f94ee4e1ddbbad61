"""Reader of SQL queries: lazily, by columns and ranges of time, in chunks and without writing.

See :mod:`everfit.store.sql_statements` for what is sent to the database.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from threading import Lock
from typing import Any
from weakref import finalize

import polars as pl
import sqlalchemy as sa
from polars.io.plugins import register_io_source
from sqlalchemy.exc import SQLAlchemyError

from everfit.core.errors import SourceError
from everfit.core.sqlite_url import sqlite_path
from everfit.store.sql_statements import (
    SqlQuery,
    describe,
    has_index,
    in_range,
    inferred,
    newest_time,
    select,
    selected,
)
from everfit.store.sql_types import SqlColumn, column_values, postgres_column
from everfit.store.time_range import TimeRange

_CELLS_PER_CHUNK = 500_000
"""About 40 MB of Python values; chosen."""
_FIRST_ROWS = 2_000
"""Rows of the first chunk: often no more are needed."""
_ASK_AGAIN_S = 60.0
"""Time after which a column without a value is looked at again."""
_HANDLER_STEPS = 10_000
"""Instructions of SQLite's machine between two looks at the clock; below 1 ms."""


class SqlReader:
    """Reads queries, and keeps one connection open for each URL; further ones are opened while it is in use.

    SQLite files are opened for each read: the file may have been replaced. It may be used by several threads.

    Args:
        statement_s: Longest time of one statement, or of fetching one chunk of its rows.
    """

    def __init__(self, *, statement_s: float) -> None:
        self._statement_s = statement_s
        self._engines: dict[str, sa.Engine] = {}
        self._columns: dict[tuple[SqlQuery, object], tuple[float, tuple[SqlColumn, ...]]] = {}
        """By query and what the database declares: the columns, and until when they count."""
        self._lock = Lock()
        finalize(self, _dispose, self._engines)

    def scan(self, query: SqlQuery, *, within: TimeRange | None = None, by: str = "") -> pl.LazyFrame:
        """Return the rows of a query, lazily; of its rows outside of a range, by a time column, at least some are left
        out where that costs the database less.

        Raises :class:`SourceError` if the database cannot be reached or does not accept the query; so does collecting
        the rows, also if a value does not fit its column's type.
        """
        columns = {column.name: column for column in self.columns(query)}

        def read(
            names: list[str] | None, predicate: pl.Expr | None, rows: int | None, _: int | None
        ) -> Iterator[pl.DataFrame]:
            roots = () if predicate is None else predicate.meta.root_names()
            wanted = [column for name, column in columns.items() if names is None or name in {*names, *roots}]
            limit = rows if predicate is None else None
            for chunk in self._chunks(query, wanted, within, columns.get(by), limit=limit):
                found = chunk if predicate is None else chunk.filter(predicate)
                found = found if names is None else found.select(names)
                if rows is not None:
                    found = found.head(rows)
                    rows -= found.height
                yield found
                if rows == 0:
                    return

        schema = {name: column.dtype for name, column in columns.items()}
        return register_io_source(read, schema=schema, is_pure=True)

    def columns(self, query: SqlQuery) -> tuple[SqlColumn, ...]:
        """Return the columns of a query, without reading its rows; see :mod:`everfit.store.sql_types`.

        Raises :class:`SourceError` as :meth:`scan`.
        """
        with self._connect(query) as connection:
            described = describe(connection, query)
            names = [name for name, _ in described]
            if len(set(names)) < len(names):
                doubled = next(name for name in names if names.count(name) > 1)
                raise SourceError("the columns of a query must have different names", value=doubled, place=query.place)
            if connection.dialect.name == "postgresql":
                return tuple(postgres_column(name, oid) for name, oid in described)
            key = query, (_file_number(query.url), *described)
            until_s, known = self._columns.get(key, (0.0, ()))
            if time.monotonic() < until_s:
                return known
            found = tuple(inferred(connection, query, described))
            is_settled = all(column.is_settled for column in found)
            self._columns[key] = float("inf") if is_settled else time.monotonic() + _ASK_AGAIN_S, found
            return found

    def newest(self, query: SqlQuery, column: str, *, before: datetime | None = None) -> date | None:
        """Return the newest value of a time column, perhaps of those before an instant; ``None`` if there is none.

        PostgreSQL and SQLite find it by ``max``, through an index if there is one. Raises :class:`SourceError` as
        :meth:`scan`.
        """
        within = TimeRange(None, before)
        known = {known.name: known for known in self.columns(query)}[column]
        with self._connect(query) as connection:
            found, is_exact = newest_time(connection, query, known, within)
        if is_exact or found is None:
            newest: object = found
        else:
            newest = self._newest_of(query, known, TimeRange(found, before))
        if newest is None and not is_exact:
            newest = self._newest_of(query, known, within)
        assert newest is None or isinstance(newest, date)
        return newest

    def nth_newest(self, query: SqlQuery, column: str, number: int, *, before: datetime) -> date | None:
        """Return about the time of the row with this many newer ones before an instant; ``None`` if there are fewer.

        Raises :class:`SourceError` as :meth:`scan`.
        """
        known = {known.name: known for known in self.columns(query)}[column]
        own: sa.ColumnClause[Any] = sa.column(column)
        with self._connect(query) as connection:
            statement = select(query, [own]).where(
                own.is_not(None), *in_range(connection, known, TimeRange(None, before))
            )
            # Text of instants is in the order of their local dates.
            found: object = connection.execute(statement.order_by(own.desc()).offset(number).limit(1)).scalar()
        if known.form == "iso":
            found = column_values(known, [found], place=query.place)[0]
        assert found is None or isinstance(found, date)
        return found

    def doubled(self, query: SqlQuery, column: str, *, at_most: int) -> list[object]:
        """Return some values that several rows have, and ``None`` if a row has none, by ``GROUP BY``.

        Raises :class:`SourceError` as :meth:`scan`.
        """
        own: sa.ColumnClause[Any] = sa.column(column)
        statement = select(query, [own]).group_by(own).having(sa.or_(sa.func.count() > 1, own.is_(None))).limit(at_most)
        with self._connect(query) as connection:
            return list(connection.execute(statement).scalars())

    def without_index(self, query: SqlQuery, columns: Collection[str]) -> tuple[str, ...]:
        """Return the time columns whose ranges PostgreSQL or SQLite cannot read through an index, by their planners.

        Raises :class:`SourceError` as :meth:`scan`.
        """
        known = [column for column in self.columns(query) if column.name in columns]
        with self._connect(query) as connection:
            return tuple(column.name for column in known if has_index(connection, query, column) is False)

    def _newest_of(self, query: SqlQuery, column: SqlColumn, within: TimeRange) -> object:
        rows = self.scan(query, within=within, by=column.name)
        rows = rows.filter(within.condition(column.name, column.dtype))
        return rows.select(pl.col(column.name).max()).collect().item()

    def _chunks(
        self,
        query: SqlQuery,
        columns: Sequence[SqlColumn],
        within: TimeRange | None,
        by: SqlColumn | None,
        *,
        limit: int | None,
    ) -> Iterator[pl.DataFrame]:
        with self._connect(query) as connection:
            statement = select(query, [selected(column) for column in columns])
            if within is not None and by is not None:
                statement = statement.where(*in_range(connection, by, within))
            # With a range, some rows may still be left out.
            statement = statement.limit(limit) if limit is not None and within is None else statement
            size = max(_CELLS_PER_CHUNK // max(len(columns), 1), 1)
            streamed = connection.execution_options(stream_results=True, max_row_buffer=size)
            result = streamed.execute(statement)
            rows = _fetch(connection, result, min(size, _FIRST_ROWS))
            while rows:
                pairs = zip(columns, zip(*rows, strict=True), strict=True)
                yield pl.DataFrame([column_values(column, values, place=query.place) for column, values in pairs])
                rows = _fetch(connection, result, size)

    @contextmanager
    def _connect(self, query: SqlQuery) -> Iterator[sa.Connection]:
        """A connection in a transaction that cannot write and whose statements end in time."""
        try:
            with self._engine(query.url).connect() as connection:
                _restrict(connection, self._statement_s)
                yield connection
        except (SQLAlchemyError, ImportError) as error:
            if _is_late(error):
                raise SourceError(
                    f"a statement of a source must end within {self._statement_s:g} s",
                    place=query.place,
                    remedy="Give its time column an index ('everfit doctor' names those without one), narrow the "
                    "query, or raise [sources] statement_seconds.",
                ) from error
            raise query.unreadable(error) from error

    def _engine(self, url: str) -> sa.Engine:
        with self._lock:
            if url not in self._engines:
                self._engines[url] = _make_engine(url)
            return self._engines[url]


def _file_number(url: str) -> int | None:
    """Return the number of an SQLite file, which another one in its place does not have."""
    file = sqlite_path(url)
    return None if file is None else file.stat().st_ino


def _dispose(engines: dict[str, sa.Engine]) -> None:
    for engine in engines.values():
        engine.dispose()


def _make_engine(url: str) -> sa.Engine:
    if sa.make_url(url).get_backend_name() != "sqlite":
        return sa.create_engine(url, pool_size=1, max_overflow=-1, pool_pre_ping=True)
    # Polars may go on with a query in another thread.
    engine = sa.create_engine(url, poolclass=sa.pool.NullPool, connect_args={"check_same_thread": False})
    sa.event.listen(engine, "connect", _prepare_sqlite)
    return engine


def _prepare_sqlite(connection: Any, record: Any) -> None:
    connection.execute("PRAGMA temp_store = MEMORY")
    connection.execute("PRAGMA query_only = ON")
    deadline = record.info["deadline"] = _Deadline()
    connection.set_progress_handler(deadline.is_over, _HANDLER_STEPS)


@dataclass
class _Deadline:
    limit_s: float = 0.0
    _until_s: float = float("inf")

    def start(self) -> None:
        self._until_s = time.monotonic() + self.limit_s

    def is_over(self) -> bool:
        return time.monotonic() > self._until_s


def _restrict(connection: sa.Connection, statement_s: float) -> None:
    if connection.dialect.name == "postgresql":
        limit_ms = max(round(statement_s * 1000), 1)
        connection.exec_driver_sql(f"SET TRANSACTION READ ONLY; SET LOCAL statement_timeout = {limit_ms}")
    elif connection.dialect.name == "sqlite":
        connection.info["deadline"].limit_s = statement_s
        connection.info["deadline"].start()


def _fetch(connection: sa.Connection, result: sa.CursorResult[Any], size: int) -> Sequence[Any]:
    if connection.dialect.name == "sqlite":
        connection.info["deadline"].start()
    return result.fetchmany(size)


def _is_late(error: Exception) -> bool:
    text = str(getattr(error, "orig", None) or error)
    return text == "interrupted" or "statement timeout" in text
