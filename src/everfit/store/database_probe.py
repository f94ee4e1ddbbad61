"""Probe of a database: it is there, can be read and can be written now; nothing is made, migrated or waited for."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa

from everfit.core.errors import StoreError
from everfit.core.sqlite_url import sqlite_path
from everfit.store.sqlite_file import is_read_only, read_only_uri

_BUSY_S = 1.0
"""Longest wait for another process's transaction; a commit takes milliseconds."""


def database_exists(url: str) -> bool:
    """Return false for an SQLite file that is not there; true for any other database."""
    file = sqlite_path(url)
    return file is None or file.exists()


@contextmanager
def probing(url: str, *, writes: bool = True) -> Iterator[sa.Engine]:
    """Yield an engine whose connections wait for nothing, once the database was found to be writable.

    Raises :class:`StoreError` if it is not there, cannot be reached, or, with ``writes``, cannot be written; also
    if the block cannot read from it.
    """
    engine = _engine(url)
    try:
        if writes:
            with engine.connect() as connection:
                connection.exec_driver_sql("BEGIN IMMEDIATE" if engine.dialect.name == "sqlite" else "SELECT 1")
                connection.rollback()
        yield engine
    except sa.exc.SQLAlchemyError as error:
        raise StoreError(str(getattr(error, "orig", None) or error)) from error
    finally:
        engine.dispose()


def _engine(url: str) -> sa.Engine:
    file = sqlite_path(url)
    if file is not None:
        return sa.create_engine("sqlite://", creator=lambda: _connect(file), poolclass=sa.pool.NullPool)
    try:
        parsed = sa.make_url(url)
        options = {"connect_timeout": 1} if parsed.get_backend_name() == "postgresql" else {}
        return sa.create_engine(parsed, connect_args=options, poolclass=sa.pool.NullPool)
    except (sa.exc.SQLAlchemyError, ImportError) as error:
        raise StoreError(f"{error}") from error


def _connect(file: Path) -> sqlite3.Connection:
    uri = read_only_uri(file) if is_read_only(file) else f"{file.as_uri()}?mode=rw"
    return sqlite3.connect(uri, uri=True, timeout=_BUSY_S, check_same_thread=False)
