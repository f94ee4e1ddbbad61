"""Online store: the newest feature values of every entity, in one SQLite file, for predictions.

A view has a *generation* for each definition that its rows were computed by, so that a version reads the values that it
was trained on while the next one reads its own. Nothing here imports Polars or NumPy.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import mmap
import os
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from itertools import chain, repeat
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple
from weakref import WeakSet, finalize

import msgspec

from everfit.core.errors import StoreError
from everfit.core.instants import AHEAD_US
from everfit.store.sqlite_file import creation_lock, file_lock, is_read_only, read_only_uri

_CACHED_ROWS = 20_000
"""Cached rows of a view in a thread, and at most those of one more call: about 9 MB where a row has 16 numbers."""
_COMMITTING = bytes(8)
"""Stamp while a writer commits, or after one died at it: nothing is cached then."""
_BUSY_S = 60.0
"""Longest wait of a writer for another one."""
_PROBE_S = 1.0
"""Longest wait of a reader that only asks for watermarks."""
_KEYS_PER_QUERY = 512
_ROWS_PER_STATEMENT = 64
_FOREVER = 2**63 - 1

Key = tuple[Any, ...]
"""The values of a view's keys, in the order of its entities: strings, integers or dates."""
_Row = tuple[bytes, int, int, bytes]
"""Key, event and known time in microseconds, and values; not decoded, so that the garbage collector has no work with
cached rows."""
_Columns = tuple[str, str | None, tuple[str, ...] | None]
"""A view, the definition of a generation of it (``None``: the current one), and the features that are read of it
(``None``: all)."""


class _CachedRows(dict[Key, _Row | None]):
    """Rows that were read last, and ``None`` for keys without one. A key that is not there raises :class:`KeyError`.

    They are in two halves, of which the older one is dropped as a whole, so that nothing is looked for: to drop the
    oldest row alone costs as much as reading one (measured), since a dictionary is searched for its first key.
    """

    def __init__(self) -> None:
        super().__init__()
        self._older: dict[Key, _Row | None] = {}

    def __missing__(self, key: Key) -> _Row | None:
        return self._older[key]

    def keep(self, rows: Iterable[tuple[Key, _Row | None]]) -> None:
        """Add rows."""
        if len(self) >= _CACHED_ROWS // 2:
            self._older = self.copy()
            self.clear()
        self.update(rows)


_SCHEMA = """
CREATE TABLE IF NOT EXISTS generations (
    number INTEGER PRIMARY KEY AUTOINCREMENT, view TEXT NOT NULL, definition TEXT NOT NULL, keys TEXT NOT NULL,
    features TEXT NOT NULL, watermark_us INTEGER, complete INTEGER NOT NULL, current INTEGER NOT NULL,
    UNIQUE (view, definition, complete)
)
"""
_COPY_VIEWS = """
INSERT INTO generations SELECT number, name, definition, '[]', features, watermark_us, 1, 1 FROM views
WHERE name NOT LIKE '%.next'
"""
"""Of the layout before there were generations: one table per view, and ``<view>.next`` while it was written again."""
_OLD_READERS = """
CREATE VIEW views AS SELECT number, view AS name, features, definition, watermark_us FROM generations
WHERE complete AND current
"""
"""For processes that began before the layout changed."""
_READ_OLD = """
CREATE TEMP VIEW generations AS SELECT number, name AS view, definition, '[]' AS keys, features, watermark_us,
1 AS complete, 1 AS current FROM views WHERE name NOT LIKE '%.next'
"""


class Generation(NamedTuple):
    """Rows of a view that one definition computed: schema and high-water mark."""

    number: int
    view: str
    definition: str
    """Digest of the definition."""
    keys: tuple[str, ...]
    """The names of a key's values, in order; empty if they were not recorded."""
    features: tuple[str, ...]
    """The names of a row's values, in order."""
    watermark_us: int | None
    """High-water mark in microseconds since 1970: everything known up to here was written; ``None`` if nothing was."""
    complete: bool
    """False for a draft, which is being written and cannot be read yet."""
    current: bool
    """True for the one that is read where no definition is named."""

    @property
    def table(self) -> str:
        """Return the SQLite table of the rows."""
        return f"rows_{self.number}"


class OnlineStore:
    """Store of the newest row of every entity, generation by generation of each view, in one SQLite file.

    - **The same rule as the point-in-time join.** With ``at_us``, a row is visible if its event time lies in
      ``[at_us - ttl_us, at_us]`` and its known time is not after ``at_us``. Without (``None``), every row is.
      Older rows are not kept; the history has them.
    - **Nulls are values**: a null in the newest row stays null. An unknown entity, or a generation that was never
      written, has no row: ``None`` in place of the list.
    - **A definition names a generation.** Without one, the current generation is read: that which was chosen last
      (:meth:`choose`), or else the newest.
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

    A table per generation, ordered by the msgpack of the key, has the values as one msgpack array. The file and its
    folder are made if they are missing, and a file of an older layout is changed to this one. Raises
    :class:`StoreError` if it cannot be opened, or is not such a store.
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

    def state(self, view: str, definition: str | None = None) -> Generation | None:
        """Return a complete generation's features and watermark; ``None`` if there is none."""
        with _named(self.path):
            return self._session().state(view, definition)

    def generations(self, view: str | None = None) -> tuple[Generation, ...]:
        """Return all generations, of one view or of all, drafts among them, oldest first."""
        with _named(self.path):
            return self._session().generations("?1 IS NULL OR view = ?1 ORDER BY number", (view,))

    def get_one(
        self,
        view: str,
        key: Key,
        *,
        at_us: int | None,
        ttl_us: int,
        features: tuple[str, ...] | None = None,
        definition: str | None = None,
    ) -> list[Any] | None:
        """Return the values of one entity that are visible at an instant.

        Args:
            at_us: The instant, in microseconds since 1970; ``None`` for the newest row, however old.
            ttl_us: How old a row may be, in microseconds.
            features: The names to return, in this order, whatever the order they are stored in; a name that the
                view does not have is null. By default all, in the order of :meth:`state`.
            definition: The generation; by default the current one.
        """
        session = self._session()
        cached = session.cached((view, definition, features))
        try:
            row = cached.rows[key]
        except KeyError:
            row = self._read_one(session, cached, key)
        if row is None or (at_us is not None and not (at_us - ttl_us <= row[1] <= at_us and row[2] <= at_us)):
            return None
        return cached.decode(row[3])

    def _read_one(self, session: _Session, cached: _CachedView, key: Key) -> _Row | None:
        if cached.table is None:
            return self._read(session, cached, (key,))[0]
        try:
            row: _Row | None = session.execute(cached.select_one, (_encode(key),)).fetchone()
        except sqlite3.Error:  # the generation was replaced: read it again, once
            return self._read(session, cached, (key,))[0]
        cached.rows.keep(((key, row),))
        return row

    def get(
        self,
        view: str,
        keys: Sequence[Key],
        *,
        at_us: int | Sequence[int] | None,
        ttl_us: int,
        features: tuple[str, ...] | None = None,
        definition: str | None = None,
    ) -> list[list[Any] | None]:
        """Return the result of :meth:`get_one` for each key, in order, from one snapshot of the store.

        Args:
            at_us: The instant, in microseconds since 1970: one of all keys, or one of each.
        """
        session = self._session()
        cached = session.cached((view, definition, features))
        try:
            rows: Any = [cached.rows[key] for key in keys]
        except KeyError:
            rows = self._read(session, cached, keys)
        decode = cached.decode
        if at_us is None:
            return [row and decode(row[3]) for row in rows]
        instants = repeat(at_us, len(rows)) if isinstance(at_us, int) else at_us
        return [
            decode(row[3]) if row is not None and at - ttl_us <= row[1] <= at and row[2] <= at else None
            for row, at in zip(rows, instants, strict=True)
        ]

    def _read(self, session: _Session, cached: _CachedView, keys: Sequence[Key]) -> list[_Row | None]:
        """Return the rows of these keys, in order, from one snapshot of the store."""
        blobs = list(map(_encode, keys))
        with _named(self.path):
            found = session.look_up(cached, blobs)
        if found is None:
            return [None] * len(blobs)
        by_blob = {row[0]: row for row in found}
        rows = list(map(by_blob.get, blobs))
        cached.rows.keep(zip(keys, rows, strict=True))
        return rows

    def create(
        self, view: str, features: Sequence[str], *, definition: str = "", keys: Sequence[str] = (), draft: bool = False
    ) -> Generation:
        """Create an empty generation, replacing that of this definition; a draft cannot be read until it is published.

        Args:
            keys: The names of a key's values, in order.
        """
        session = self._session()
        with _named(self.path), session.transaction() as connection:
            replaced = _drop(connection, view, definition, complete=not draft)
            number = connection.execute(
                "INSERT INTO generations (view, definition, keys, features, complete, current) "
                "VALUES (?, ?, ?, ?, ?, ?)",
                (view, definition, json.dumps(list(keys)), json.dumps(list(features)), not draft, replaced),
            ).lastrowid
            connection.execute(
                f"CREATE TABLE rows_{number} (key BLOB PRIMARY KEY, event_us INTEGER NOT NULL, "
                "created_us INTEGER NOT NULL, payload BLOB NOT NULL) WITHOUT ROWID"
            )
            return session.generations("number = ?", (number,))[0]

    def write_columns(
        self,
        generation: Generation,
        keys: Sequence[Sequence[Any]],
        event_us: Sequence[int],
        created_us: Sequence[int],
        columns: Sequence[Sequence[Any]],
        *,
        watermark_us: int | None = None,
        now_us: int | None = None,
    ) -> int | None:
        """Write rows that are given by columns; fastest with one row per entity, in the order of the keys.

        Raises :class:`StoreError` if there is not one column per feature. Returns the number of rows that were new or
        newer than the stored ones; ``None`` if the generation was dropped, or replaced by a draft.

        Args:
            generation: As it was created or read; a draft may have been published since.
            keys: One column per key.
            event_us: Event times, in microseconds since 1970.
            created_us: Known times, in microseconds since 1970.
            columns: One column per feature, in the generation's order.
            watermark_us: The new watermark; by default it stays.
            now_us: The present, in microseconds since 1970. A stored row that is later than that by more than
                :data:`everfit.core.instants.AHEAD` is wrong, and any row replaces it.
        """
        if len(columns) != len(generation.features):
            rule = f"view {generation.view} has {len(generation.features)} features, one column each"
            raise StoreError(rule, value=len(columns))
        payloads = map(_encode, zip(*columns, strict=True) if columns else ((),) * len(event_us))
        # In the order of the table, SQLite fills page after page; equal keys stay in the order they came in.
        rows = sorted(
            zip(map(_encode, zip(*keys, strict=True)), event_us, created_us, payloads, strict=True), key=itemgetter(0)
        )
        session = self._session()
        with _named(self.path), session.transaction() as connection:
            if not session.generations("number = ?", (generation.number,)):
                return None
            before = connection.total_changes
            _upsert(connection, generation.table, rows, latest_us=_FOREVER if now_us is None else now_us + AHEAD_US)
            written = connection.total_changes - before
            if watermark_us is not None:
                values = watermark_us, generation.number
                connection.execute("UPDATE generations SET watermark_us = ? WHERE number = ?", values)
        return written

    def publish(self, draft: Generation) -> None:
        """Put a draft in the place of its definition's generation, atomically: from now on it can be read.

        Raises :class:`StoreError` if there is no such draft.
        """
        with _named(self.path), self._session().transaction() as connection:
            replaced = _drop(connection, draft.view, draft.definition, complete=True)
            change = "UPDATE generations SET complete = 1, current = ? WHERE number = ?"
            if connection.execute(change, (replaced, draft.number)).rowcount != 1:
                raise StoreError("only a draft that is there can be published", value=f"{draft.view} {draft.number}")

    def choose(self, view: str, definition: str) -> None:
        """Make a generation the view's current one; nothing is written if it is that already."""
        present = self.state(view)
        if present is None or (present.definition == definition and present.current):
            return
        with _named(self.path), self._session().transaction() as connection:
            connection.execute("UPDATE generations SET current = (definition = ?) WHERE view = ?", (definition, view))

    def drop(self, view: str, definition: str) -> bool:
        """Drop a generation and its draft, as far as they are there; return false if it is being written now."""
        with self.writing(view, definition, wait=False) as held:
            if held:
                with _named(self.path), self._session().transaction() as connection:
                    for complete in (False, True):
                        _drop(connection, view, definition, complete=complete)
                self._lock_file(view, definition).unlink()
        return held

    @contextmanager
    def writing(self, view: str, definition: str, *, wait: bool = True) -> Iterator[bool]:
        """Hold the lock of a generation that is materialized or dropped, against other threads and processes.

        Without ``wait`` the value is false, and nothing is held, if another one holds it.
        """
        with file_lock(self._lock_file(view, definition), wait=wait) as held:
            yield held

    def _lock_file(self, view: str, definition: str) -> Path:
        digest = hashlib.sha256(f"{view} {definition}".encode()).hexdigest()[:16]
        return self.path.with_name(f"{self.path.name}-{digest}.lock")

    def _session(self) -> _Session:
        try:
            return self._local.session  # type: ignore[no-any-return]
        except AttributeError:
            with _named(self.path):
                session = self._local.session = _Session(self.path)
            self._sessions.add(session)
            return session


def read_watermarks(path: Path) -> dict[str, int]:
    """Return the watermark of every view's current generation, in microseconds since 1970, by the view's name.

    The file is only read: it is neither made nor changed. Raises :class:`StoreError` if it cannot be read.
    """
    uri = read_only_uri(path) if is_read_only(path) else f"{path.as_uri()}?mode=rw"
    with _named(path), closing(sqlite3.connect(uri, uri=True, timeout=_PROBE_S)) as connection:
        if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'generations'").fetchall():
            connection.execute(_READ_OLD)
        query = "SELECT view, watermark_us FROM generations WHERE complete AND current AND watermark_us IS NOT NULL"
        return dict(connection.execute(query).fetchall())


class _CachedView:
    """Cache of one thread for some columns: rows, statements and decoder."""

    def __init__(self, columns: _Columns) -> None:
        self.columns = columns
        self.rows = _CachedRows()
        self.table: str | None = None
        """The generation's table; ``None`` where it is not known."""
        self.select_one = ""
        self._select_many: dict[int, str] = {}
        self.decode: Callable[[bytes], list[Any]] = _decode

    def plan(self, state: Generation) -> None:
        """Read a generation from now on."""
        self.table = state.table
        self.select_one = f"SELECT key, event_us, created_us, payload FROM {state.table} WHERE key = ?"  # noqa: S608
        self.decode = _decoder(state.features, self.columns[2])
        self._select_many = {}

    def select_many(self, places: int) -> str:
        """Return the statement for so many keys; it is built once, since that takes as long as some look-ups."""
        if places not in self._select_many:
            marks = ",".join(["(?)"] * places)
            # Joined with the keys as they come: quicker than IN, which first sorts them into a table of its own.
            self._select_many[places] = (
                f"WITH asked (key) AS (VALUES {marks}) SELECT kept.key, event_us, created_us, payload "  # noqa: S608
                f"FROM asked CROSS JOIN {self.table} AS kept ON kept.key = asked.key"
            )
        return self._select_many[places]


def _decoder(stored: tuple[str, ...], features: tuple[str, ...] | None) -> Callable[[bytes], list[Any]]:
    """Return the decoder that gives the features of these names."""
    if features is None or features == stored:
        return _decode
    # One null behind the stored values stands for every feature that is not stored.
    places = [stored.index(name) if name in stored else len(stored) for name in features]

    def decode(payload: bytes) -> list[Any]:
        values = _decode(payload)
        values.append(None)
        return [values[place] for place in places]

    return decode


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
        self._cached: dict[_Columns, _CachedView] = {}
        self._cached_under = _COMMITTING
        if read_only:
            # Nothing is cached under the stamp of a committing writer, and this one never changes.
            self._stamp = mmap.mmap(-1, len(_COMMITTING))
            if not self._has("generations"):
                self.execute(_READ_OLD)
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
            if not self._has("generations"):
                self._create_schema()
        for pragma in ("synchronous = NORMAL", "mmap_size = 1073741824", "cache_size = -65536"):
            self.execute(f"PRAGMA {pragma}").fetchall()

    def close(self) -> None:
        """Close the connection and the stamp."""
        self.connection.close()
        self._stamp.close()

    def cached(self, columns: _Columns) -> _CachedView:
        """Return a view with the rows that are still valid.

        SQLite's own look-up takes its locks each time, which with a cold processor cache costs 30 µs (measured). While
        a writer commits, the stamp is zero and no row is valid; before its commit returns, the stamp is a new one. So
        rows that were read under the present stamp are one snapshot, with every write that was acknowledged.
        """
        stamp = self._stamp[:]
        if stamp != self._cached_under or stamp == _COMMITTING:
            # First the stamp, then the rows: the other way round, a write in between would stay unseen.
            for cached in self._cached.values():
                cached.rows = _CachedRows()
                if cached.columns[1] is None and stamp != self._cached_under:
                    cached.table = None  # another generation may be the current one
            self._cached_under = stamp
        try:
            return self._cached[columns]
        except KeyError:
            cached = self._cached[columns] = _CachedView(columns)
            return cached

    def _heal(self) -> None:
        """Create the stamp, or replace that of a writer that died while it committed."""
        try:
            fcntl.flock(self._stamp_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:  # another writer commits now
            return
        if self._stamp[:] == _COMMITTING:
            self._stamp[:] = os.urandom(len(_COMMITTING))
        fcntl.flock(self._stamp_file, fcntl.LOCK_UN)

    def _has(self, table: str) -> bool:
        return (
            self.execute("SELECT 1 FROM sqlite_schema WHERE name = ? AND type = 'table'", (table,)).fetchone()
            is not None
        )

    def _create_schema(self) -> None:
        """Create the table of generations; the views of an older layout become their first ones."""
        with self.transaction() as connection:
            connection.execute(_SCHEMA)
            if self._has("views"):
                connection.execute(_COPY_VIEWS)
                for (number,) in connection.execute("SELECT number FROM views WHERE name LIKE '%.next'").fetchall():
                    connection.execute(f"DROP TABLE rows_{number}")
                connection.execute("DROP TABLE views")
                connection.execute(_OLD_READERS)

    def state(self, view: str, definition: str | None) -> Generation | None:
        """Return a complete generation, or the current one; ``None`` if there is none."""
        if definition is None:
            found = self.generations("view = ? AND complete ORDER BY current DESC, number DESC LIMIT 1", (view,))
        else:
            found = self.generations("view = ? AND complete AND definition = ?", (view, definition))
        return found[0] if found else None

    def generations(self, which: str, values: tuple[Any, ...]) -> tuple[Generation, ...]:
        """Return the generations that fulfil a condition."""
        columns = "number, view, definition, keys, features, watermark_us, complete, current"
        rows = self.execute(f"SELECT {columns} FROM generations WHERE {which}", values)  # noqa: S608 - conditions of ours
        return tuple(
            Generation(number, view, definition, tuple(json.loads(keys)), tuple(json.loads(features)), *rest)
            for number, view, definition, keys, features, *rest in rows
        )

    def look_up(self, cached: _CachedView, blobs: list[bytes]) -> list[_Row] | None:
        """Return the rows of these keys from one snapshot of the store; ``None`` where there is no such generation."""
        if cached.table is not None and len(blobs) <= _KEYS_PER_QUERY:
            with suppress(sqlite3.OperationalError):  # it was replaced since, and its old table dropped
                return self._select(cached, blobs)
        cached.table = None
        self.execute("BEGIN")
        try:
            view, definition, _ = cached.columns
            state = self.state(view, definition)
            if state is None:
                return None
            cached.plan(state)
            return self._select(cached, blobs)
        finally:
            self.execute("ROLLBACK")

    def _select(self, cached: _CachedView, blobs: list[bytes]) -> list[_Row]:
        rows: list[_Row] = []
        for start in range(0, len(blobs), _KEYS_PER_QUERY):
            part: list[bytes | None] = list(blobs[start : start + _KEYS_PER_QUERY])
            # A power of two of places, nulls in the spare ones: few statements to prepare, whatever the request.
            places = 1 << (len(part) - 1).bit_length()
            part += [None] * (places - len(part))
            rows += self.execute(cached.select_many(places), part).fetchall()
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


def _drop(connection: sqlite3.Connection, view: str, definition: str, *, complete: bool) -> bool:
    """Drop a generation, or its draft, if it is there; return true if it was the current one."""
    condition = "view = ? AND definition = ? AND complete = ?", (view, definition, complete)
    found = connection.execute(f"SELECT number, current FROM generations WHERE {condition[0]}", condition[1]).fetchall()  # noqa: S608
    for number, _ in found:
        connection.execute(f"DROP TABLE rows_{number}")
        connection.execute("DELETE FROM generations WHERE number = ?", (number,))
    return any(current for _, current in found)


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
