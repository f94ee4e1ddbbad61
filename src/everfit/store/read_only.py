"""SQLite files in folders that cannot be written: a read-only mount, or another user's project."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import quote


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
