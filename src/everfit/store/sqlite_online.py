"""Online store: the newest feature values of every entity, in one SQLite file, for predictions.

Nothing here imports Polars or NumPy.
"""

from __future__ import annotations

import fcntl
import json
import mmap
import os
import sqlite3
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import chain
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple
from weakref import WeakSet, finalize

import msgspec

from everfit.core.errors import StoreError
from everfit.core.instants import AHEAD_US
from everfit.store.sqlite_file import creation_lock, is_read_only, read_only_uri

_CACHED_ROWS = 20_000
"""Cached rows of a view in a thread: about 15 MB where a row has 16 numbers."""
_COMMITTING = bytes(8)
"""Stamp while a writer commits, or after one died at it: nothing is cached then."""
_BUSY_S = 60.0
"""Longest wait of a writer for another one."""
_KEYS_PER_QUERY = 512
_ROWS_PER_STATEMENT = 64
_FOREVER = 2**63 - 1

Key = tuple[Any, ...]
"""The values of a view's keys, in the order of its entities: strings, integers or dates."""
_Row = tuple[int, int, list[Any]]
"""Event and known time in microseconds, and the values, which must not be changed."""
_Kept = dict[Key, _Row | None]
_Columns = tuple[str, tuple[str, ...] | None]
"""A view and the features that are read of it; ``None`` for all."""


class ViewState(NamedTuple):
    """Schema and high-water mark of a view."""

    table: str
    """The SQLite table of its rows."""
    features: tuple[str, ...]
    """The names of a row's values, in order."""
    definition: str
    """Digest of the view's definition; rows of another definition must not be used."""
    watermark_us: int | None
    """High-water mark in microseconds since 1970: everything known up to here was written; ``None`` if nothing was."""


class OnlineStore:
    """Store of the newest row of every entity, view by view, in one SQLite file.

    - **The same rule as the point-in-time join.** With ``at_us``, a row is visible if its event time lies in
      ``[at_us - ttl_us, at_us]`` and its known time is not after ``at_us``. Without (``None``), every row is.
      Older rows are not kept; the history has them.
    - **Nulls are values**: a null in the newest row stays null. An unknown entity, or a view that was never written,
      has no row: ``None`` in place of the list.
    - **Equal keys are one key**, whatever type carries them: ``3`` and ``numpy.int64(3)``, a date and its ISO text.
    - **Any thread** may call any method of one object (each gets a connection of its own), any number of processes may
      open one store, and a reader never waits for a writer. A read sees a write as soon as it was acknowledged. Do not
      carry an open store across ``fork``.
    - **The newest wins**: of two rows of one entity, the one with the later event time stays, and of two with the
      same event time the one that became known later, in whatever order they were written. On a full tie the one
      written last stays. So writing the same rows again changes nothing.
    - **Atomic**: each call takes effect as a whole, the watermark with its rows. Rows outlive a killed process as soon
      as they were acknowledged; after a power failure the store may be a few transactions behind, but rows and
      watermarks agree.

    A table per view, ordered by the msgpack of the key, has the values as one msgpack array. The file and its folder
    are made if they are missing. Raises :class:`StoreError` if it cannot be opened, or is not such a store.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._local = threading.local()
        self._sessions: WeakSet[_Session] = WeakSet()
        self._session()

    def close(self) -> None:
        """Close the connections of all threads; no other call may be running."""
        for session in list(self._sessions):
            session.close()
        self._local = threading.local()

    def state(self, view: str) -> ViewState | None:
        """Return the features, definition and watermark of a view; ``None`` if it was never written."""
        with _named(self.path):
            return self._session().state(view)

    def get_one(
        self, view: str, key: Key, *, at_us: int | None, ttl_us: int, features: tuple[str, ...] | None = None
    ) -> list[Any] | None:
        """Return the values of one entity that are visible at an instant.

        Args:
            at_us: The instant, in microseconds since 1970; ``None`` for the newest row, however old.
            ttl_us: How old a row may be, in microseconds.
            features: The names to return, in this order, whatever the order they are stored in; a name that the
                view does not have is null. By default all, in the order of :meth:`state`.
        """
        session = self._session()
        kept = session.kept((view, features))
        try:
            row = kept[key]
        except KeyError:
            row = self._read_one(session, (view, features), key, kept)
        if row is None:
            return None
        event_us, created_us, values = row
        if at_us is not None and not (at_us - ttl_us <= event_us <= at_us and created_us <= at_us):
            return None
        return values

    def _read_one(self, session: _Session, columns: _Columns, key: Key, kept: _Kept) -> _Row | None:
        try:
            plan = session.plans[columns]
            found = session.execute(plan.select, (_encode(key),)).fetchone()
        except (KeyError, sqlite3.Error):
            # Not read before, or the view was replaced: read it again, once.
            return self._read(session, columns, (key,), kept).get(key)
        row = found and (found[0], found[1], plan.decode(found[2]))
        _keep(kept, key, row)
        return row

    def get(
        self, view: str, keys: Sequence[Key], *, at_us: int | None, ttl_us: int, features: tuple[str, ...] | None = None
    ) -> list[list[Any] | None]:
        """Return the result of :meth:`get_one` for each key, in order, from one snapshot of the store."""
        session = self._session()
        kept = session.kept((view, features))
        try:
            rows: Any = [kept[key] for key in keys]
        except KeyError:
            read = self._read(session, (view, features), keys, kept)
            rows = [read[key] for key in keys]
        if at_us is None:
            return [row and row[2] for row in rows]
        since_us = at_us - ttl_us
        return [row[2] if row is not None and since_us <= row[0] <= at_us and row[1] <= at_us else None for row in rows]

    def _read(self, session: _Session, columns: _Columns, keys: Sequence[Key], kept: _Kept) -> dict[Key, _Row | None]:
        """Return the rows of these keys from one snapshot of the store."""
        blobs = {key: _encode(key) for key in keys}
        with _named(self.path):
            plan, found = session.look_up(columns, list(dict.fromkeys(blobs.values())))
        if plan is None:
            return dict.fromkeys(keys)
        by_blob = {blob: (event_us, created_us, plan.decode(payload)) for blob, event_us, created_us, payload in found}
        rows = {key: by_blob.get(blob) for key, blob in blobs.items()}
        for key, row in rows.items():
            _keep(kept, key, row)
        return rows

    def create(self, view: str, features: Sequence[str], *, definition: str = "") -> None:
        """Create an empty view, replacing any of this name."""
        with _named(self.path), self._session().transaction() as connection:
            _drop(connection, view)
            number = connection.execute(
                "INSERT INTO views (name, features, definition) VALUES (?, ?, ?)",
                (view, json.dumps(list(features)), definition),
            ).lastrowid
            connection.execute(
                f"CREATE TABLE rows_{number} (key BLOB PRIMARY KEY, event_us INTEGER NOT NULL, "
                "created_us INTEGER NOT NULL, payload BLOB NOT NULL) WITHOUT ROWID"
            )

    def write_columns(
        self,
        view: str,
        keys: Sequence[Sequence[Any]],
        event_us: Sequence[int],
        created_us: Sequence[int],
        columns: Sequence[Sequence[Any]],
        *,
        watermark_us: int | None = None,
        now_us: int | None = None,
    ) -> int:
        """Write rows that are given by columns; fastest with one row per entity, in the order of the keys.

        Raises :class:`StoreError` if there is no such view, or there is not one column per feature. Returns the number
        of rows that were new or newer than the stored ones.

        Args:
            keys: One column per key.
            event_us: Event times, in microseconds since 1970.
            created_us: Known times, in microseconds since 1970.
            columns: One column per feature, in the view's order.
            watermark_us: The new watermark; by default it stays.
            now_us: The present, in microseconds since 1970. A stored row that is later than that by more than
                :data:`everfit.core.instants.AHEAD` is wrong, and any row replaces it.
        """
        payloads = map(_encode, zip(*columns, strict=True) if columns else ((),) * len(event_us))
        # In the order of the table, SQLite fills page after page; equal keys stay in the order they came in.
        rows = sorted(
            zip(map(_encode, zip(*keys, strict=True)), event_us, created_us, payloads, strict=True), key=itemgetter(0)
        )
        session = self._session()
        with _named(self.path), session.transaction() as connection:
            state = session.state(view)
            if state is None:
                raise StoreError("rows can only be written to a view that was created", value=view)
            if len(columns) != len(state.features):
                raise StoreError(f"view {view} has {len(state.features)} features, one column each", value=len(columns))
            before = connection.total_changes
            _upsert(connection, state.table, rows, latest_us=_FOREVER if now_us is None else now_us + AHEAD_US)
            written = connection.total_changes - before
            if watermark_us is not None:
                connection.execute("UPDATE views SET watermark_us = ? WHERE name = ?", (watermark_us, view))
        return written

    def replace(self, view: str, *, by: str) -> None:
        """Rename the view ``by`` to ``view`` and drop the one of that name, atomically.

        Raises :class:`StoreError` if there is no view ``by``.
        """
        session = self._session()
        with _named(self.path), session.transaction() as connection:
            if session.state(by) is None:
                raise StoreError("only a view that exists can take another's place", value=by)
            _drop(connection, view)
            connection.execute("UPDATE views SET name = ? WHERE name = ?", (view, by))

    def _session(self) -> _Session:
        try:
            return self._local.session  # type: ignore[no-any-return]
        except AttributeError:
            with _named(self.path):
                session = self._local.session = _Session(self.path)
            self._sessions.add(session)
            return session


class _Plan(NamedTuple):
    """Statement and decoder for a view's rows."""

    table: str
    select: str
    decode: Callable[[bytes], list[Any]]


def _plan(state: ViewState, features: tuple[str, ...] | None) -> _Plan:
    """Return the plan that reads the features of these names."""
    stored = state.features
    decode: Callable[[bytes], list[Any]] = _decode
    if features is not None and features != stored:
        # One null behind the stored values stands for every feature that is not stored.
        places = [stored.index(name) if name in stored else len(stored) for name in features]

        def decode(payload: bytes) -> list[Any]:
            values = _decode(payload)
            values.append(None)
            return [values[place] for place in places]

    return _Plan(state.table, f"SELECT event_us, created_us, payload FROM {state.table} WHERE key = ?", decode)  # noqa: S608


class _Session:
    """One thread's connection, with cached plans and rows."""

    def __init__(self, path: Path) -> None:
        read_only = is_read_only(path)
        if not read_only:
            path.parent.mkdir(parents=True, exist_ok=True)
        # Only close() reaches a connection from another thread.
        self.connection = sqlite3.connect(
            read_only_uri(path) if read_only else path,
            uri=read_only,
            timeout=_BUSY_S,
            isolation_level=None,
            check_same_thread=False,
        )
        self.execute = self.connection.execute
        self.plans: dict[_Columns, _Plan] = {}
        self._kept: defaultdict[_Columns, _Kept] = defaultdict(dict)
        self._kept_under = _COMMITTING
        if read_only:
            # Nothing is cached under the stamp of a committing writer, and this one never changes.
            self._stamp = mmap.mmap(-1, len(_COMMITTING))
            return
        self._stamp_file = os.open(path.with_name(f"{path.name}-stamp"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        finalize(self, os.close, self._stamp_file)
        if not os.fstat(self._stamp_file).st_size:
            os.ftruncate(self._stamp_file, len(_COMMITTING))
        self._stamp = mmap.mmap(self._stamp_file, len(_COMMITTING))
        self._heal()
        # SQLite does not wait where two processes turn a new file to WAL at once: one of them finds it locked.
        with creation_lock(path):
            self.execute("PRAGMA journal_mode = WAL").fetchall()
            self.execute(
                "CREATE TABLE IF NOT EXISTS views (number INTEGER PRIMARY KEY AUTOINCREMENT, "
                "name TEXT NOT NULL UNIQUE, features TEXT NOT NULL, definition TEXT NOT NULL, watermark_us INTEGER)"
            )
        for pragma in ("synchronous = NORMAL", "mmap_size = 1073741824", "cache_size = -65536"):
            self.execute(f"PRAGMA {pragma}").fetchall()

    def close(self) -> None:
        """Close the connection and the stamp."""
        self.connection.close()
        self._stamp.close()

    def kept(self, columns: _Columns) -> _Kept:
        """Return the cache of rows that are still valid.

        SQLite's own look-up takes its locks each time, which with a cold processor cache costs 30 µs (measured). While
        a writer commits, the stamp is zero and nothing is cached; before its commit returns, the stamp is a new one. So
        rows that were read under the present stamp are one snapshot, with every write that was acknowledged.
        """
        stamp = self._stamp[:]
        if stamp != self._kept_under:
            # First the stamp, then the rows: the other way round, a write in between would stay unseen.
            self._kept_under = stamp
            self._kept.clear()
        return {} if stamp == _COMMITTING else self._kept[columns]

    def _heal(self) -> None:
        """Create the stamp, or replace that of a writer that died while it committed."""
        try:
            fcntl.flock(self._stamp_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:  # another writer commits now
            return
        if self._stamp[:] == _COMMITTING:
            self._stamp[:] = os.urandom(len(_COMMITTING))
        fcntl.flock(self._stamp_file, fcntl.LOCK_UN)

    def state(self, view: str) -> ViewState | None:
        """Return a view's present state; ``None`` if there is none."""
        row = self.execute(
            "SELECT number, features, definition, watermark_us FROM views WHERE name = ?", (view,)
        ).fetchone()
        return row and ViewState(f"rows_{row[0]}", tuple(json.loads(row[1])), *row[2:])

    def look_up(
        self, columns: _Columns, blobs: list[bytes]
    ) -> tuple[_Plan | None, list[tuple[bytes, int, int, bytes]]]:
        """Return the rows of these keys from one snapshot of the store; no plan where there is no such view."""
        plan = self.plans.get(columns)
        if plan is not None and len(blobs) <= _KEYS_PER_QUERY:
            with suppress(sqlite3.OperationalError):  # the view was replaced since, and its old table dropped
                return plan, self._select(plan, blobs)
        self.plans.pop(columns, None)
        self.execute("BEGIN")
        try:
            state = self.state(columns[0])
            if state is None:
                return None, []
            plan = self.plans[columns] = _plan(state, columns[1])
            return plan, self._select(plan, blobs)
        finally:
            self.execute("ROLLBACK")

    def _select(self, plan: _Plan, blobs: list[bytes]) -> list[tuple[bytes, int, int, bytes]]:
        rows: list[tuple[bytes, int, int, bytes]] = []
        for start in range(0, len(blobs), _KEYS_PER_QUERY):
            part: list[bytes | None] = list(blobs[start : start + _KEYS_PER_QUERY])
            # A power of two of places, nulls in the spare ones: few statements to prepare, whatever the request.
            places = 1 << (len(part) - 1).bit_length()
            part += [None] * (places - len(part))
            marks = ",".join(["(?)"] * places)
            # Joined with the keys as they come: quicker than IN, which first sorts them into a table of its own.
            rows += self.execute(
                f"WITH asked (key) AS (VALUES {marks}) SELECT asked.key, event_us, created_us, payload "  # noqa: S608
                f"FROM asked CROSS JOIN {plan.table} AS kept ON kept.key = asked.key",
                part,
            ).fetchall()
        return rows

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Run one write transaction, rolled back if anything is raised; its commit empties the caches of all readers
        of all processes.
        """
        self.execute("BEGIN IMMEDIATE")
        try:
            yield self.connection
        except BaseException:
            self.execute("ROLLBACK")
            raise
        # Only the holder of SQLite's write lock comes here: it waits no longer than the last one takes to leave.
        fcntl.flock(self._stamp_file, fcntl.LOCK_EX)
        try:
            self._stamp[:] = _COMMITTING
            self.execute("COMMIT")
            self._stamp[:] = os.urandom(len(_COMMITTING))
        finally:
            fcntl.flock(self._stamp_file, fcntl.LOCK_UN)


def _keep(kept: _Kept, key: Key, row: _Row | None) -> None:
    if len(kept) >= _CACHED_ROWS:
        del kept[next(iter(kept))]
    kept[key] = row


def _upsert(
    connection: sqlite3.Connection, table: str, rows: Sequence[tuple[bytes, int, int, bytes]], *, latest_us: int
) -> None:
    """Insert rows that are newer than the stored ones, or where the stored one is later than ``latest_us``.

    Many rows in a statement: stepping through a statement costs as much as inserting a row (measured).
    """
    values = list(chain.from_iterable(rows))
    whole = len(rows) - len(rows) % _ROWS_PER_STATEMENT
    for first, last, size in ((0, whole, _ROWS_PER_STATEMENT), (whole, len(rows), 1)):
        statement = (
            f"INSERT INTO {table} VALUES {','.join(['(?,?,?,?)'] * size)} "  # noqa: S608 - a name of ours
            "ON CONFLICT (key) DO UPDATE SET "
            "event_us = excluded.event_us, created_us = excluded.created_us, payload = excluded.payload "
            "WHERE (excluded.event_us, excluded.created_us) >= (event_us, created_us) "
            f"OR max(event_us, created_us) > {latest_us}"
        )
        starts = range(4 * first, 4 * last, 4 * size)
        connection.executemany(statement, (values[start : start + 4 * size] for start in starts))


def _drop(connection: sqlite3.Connection, view: str) -> None:
    for (number,) in connection.execute("SELECT number FROM views WHERE name = ?", (view,)).fetchall():
        connection.execute(f"DROP TABLE rows_{number}")
        connection.execute("DELETE FROM views WHERE number = ?", (number,))


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Name the file in errors of SQLite or of the disk."""
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise StoreError(f"the online store {path} cannot be used: {error}") from error


def _plain(value: Any) -> Any:
    """Convert a NumPy scalar to a Python value."""
    if hasattr(value, "item"):
        return value.item()
    raise TypeError(f"cannot be stored: {type(value).__name__}")


_encode = msgspec.msgpack.Encoder(enc_hook=_plain).encode
_decode = msgspec.msgpack.Decoder(list[Any]).decode
