"""SQLite files: made under a lock, and read where they cannot be written, on a read-only mount or in another user's
project.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote


@contextmanager
def creation_lock(database: Path) -> Iterator[None]:
    """Hold the lock of a database file, a file beside it; it ends with the process that holds it.

    Neither Alembic nor MLflow locks anything while it creates its tables: of two processes that open a fresh project,
    one fails on a table that the other has just made. In a folder that cannot be written nothing can be created, so
    nothing is locked. Raises :class:`OSError` if the folder can be made or written only in part.
    """
    try:
        database.parent.mkdir(parents=True, exist_ok=True)
        file = os.open(database.with_name(f"{database.name}.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        if not isinstance(error, PermissionError) and os.access(database.parent, os.W_OK):
            raise
        yield  # nothing can be written there, or the file system is read-only
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
    finally:
        os.close(file)


@contextmanager
def file_lock(path: Path, *, wait: bool) -> Iterator[bool]:
    """Hold the lock of a file, which is made if it is missing and may be deleted by its holder.

    It ends with the process that holds it. Without ``wait`` the value is false if another one holds it.
    """
    held = False
    while not held:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
            held = _is_file_of(path, file)
        except BlockingIOError:
            break
        finally:
            if not held:
                os.close(file)
    try:
        yield held
    finally:
        if held:
            # A child that was forked a moment ago has the file open too, until it executes its program.
            fcntl.flock(file, fcntl.LOCK_UN)
            os.close(file)


def _is_file_of(path: Path, file: int) -> bool:
    """Return true if a path is that of an open file: its last holder may have deleted what this one waited for."""
    try:
        return os.path.samestat(os.stat(path), os.fstat(file))
    except FileNotFoundError:
        return False


def is_read_only(database: Path) -> bool:
    """``True`` if the file exists and SQLite could not keep its own files beside it."""
    return database.is_file() and not (os.access(database, os.W_OK) and os.access(database.parent, os.W_OK))


def read_only_uri(database: Path) -> str:
    """Return SQLite's own URI (https://www.sqlite.org/uri.html) for reading such a file.

    Opening a database in WAL mode needs its shared-memory file, which cannot be made here. Without a log the file holds
    everything, and ``immutable`` does without. With one, a process writes or died writing, and the log must be read.

    >>> read_only_uri(Path("/srv/a b/ledger.db"))
    'file:/srv/a%20b/ledger.db?mode=ro&immutable=1'
    """
    log = database.with_name(f"{database.name}-wal")
    has_log = log.is_file() and log.stat().st_size > 0
    return f"file:{quote(str(database))}?mode=ro{'' if has_log else '&immutable=1'}"
