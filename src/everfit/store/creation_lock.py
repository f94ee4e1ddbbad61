"""A file lock under which a database is created or migrated: by one process, while the others wait."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


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
