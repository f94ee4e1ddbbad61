"""Leader election: one of a project's controllers leads, and the others stand by until it is gone."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import sqlalchemy as sa

from everfit.core.errors import LoopError

_LOCK_KEY = 0x45564552_46495400
"""The advisory lock's number on PostgreSQL: "EVERFIT" in ASCII."""


class FileLeadership:
    """A lock on a file, which holds the leading process's id; for a ledger in SQLite, where all controllers are on one
    machine.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: int | None = None

    def win(self) -> bool:
        """Take or keep the lock. Raises :class:`LoopError` if the file cannot be opened."""
        if self._file is not None:
            return True
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            rule = "the lock of the leading controller must be a file that can be written"
            raise LoopError(rule, value=str(error)) from error
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
            return False
        os.truncate(file, 0)
        os.pwrite(file, f"{os.getpid()}\n".encode(), 0)
        self._file = file
        return True

    def holds(self) -> bool:
        """Return true once it was won: the lock ends with the process."""
        return self._file is not None


def leading_process(path: Path) -> int | None:
    """Return the process that holds the lock of :class:`FileLeadership`, or 0 if it left no id; ``None`` for none.

    The lock is shared for an instant, and never taken from a leader.
    """
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        fcntl.flock(file, fcntl.LOCK_UN)
    except BlockingIOError:
        text = os.pread(file, 32, 0).strip()
        return int(text) if text.isdigit() else 0
    finally:
        os.close(file)
    return None


def has_leading_session(connection: sa.Connection) -> bool:
    """Return true if a session of a PostgreSQL ledger holds the lock of :class:`PostgresLeadership`."""
    query = (
        "SELECT 1 FROM pg_locks JOIN pg_database ON pg_database.oid = database AND datname = current_database() "
        "WHERE locktype = 'advisory' AND granted AND objsubid = 1 AND classid = :high AND objid = :low"
    )
    key = {"high": _LOCK_KEY >> 32, "low": _LOCK_KEY & 0xFFFFFFFF}
    return connection.execute(sa.text(query), key).first() is not None


class PostgresLeadership:
    """A session's advisory lock, for a ledger in PostgreSQL: controllers may be on several machines."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._session: sa.Connection | None = None

    def win(self) -> bool:
        """Take or keep the lock. Raises :class:`LoopError` if the database cannot be reached."""
        if self._session is not None:
            return self.holds()
        try:
            session = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
            won = session.execute(sa.select(sa.func.pg_try_advisory_lock(_LOCK_KEY))).scalar()
        except sa.exc.SQLAlchemyError as error:
            raise LoopError("the ledger must be reachable to lead", value=str(error)) from error
        if not won:
            session.close()
            return False
        self._session = session
        return True

    def holds(self) -> bool:
        """Return true while the session is alive: the lock ends with it."""
        if self._session is None:
            return False
        try:
            self._session.execute(sa.select(1))
        except sa.exc.SQLAlchemyError:
            self._session.invalidate()
            self._session = None
            return False
        return True


Leadership = FileLeadership | PostgresLeadership
"""A lock that ends with the process that holds it."""
